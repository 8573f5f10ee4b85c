"""CUDA graphs, and stacks that take turns."""
