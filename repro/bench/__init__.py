"""Benchmarks: an arm in turn with the model as usually written, and with its products alone."""
