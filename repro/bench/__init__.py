"""Benchmarks: how quickly lanes train and are scored, beside what bounds them from both sides.

`plain` is the model as people usually write it, `products` the matrix products alone; an arm is
measured between the two, in turn with them, so that a busy machine slows all three alike.
"""
