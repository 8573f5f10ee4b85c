"""What the paper shows of OMNIGLOT."""

from repro.plan.experiments.grid import MAX_DEPTH, Cell, grid

EXPERIMENTS: dict[str, list[Cell]] = {
    "figure8": grid("omniglot"),
    "figure10": [Cell("omniglot", "lvae_bn_wu", MAX_DEPTH)],
    "omniglot": grid("omniglot"),
}
