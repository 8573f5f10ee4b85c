"""The maths: streams, distributions, layers, models, objectives, stacks of lanes."""
