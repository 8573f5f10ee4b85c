"""Stacks as tasks of a Ray cluster."""
