"""Source: Table 2, OMNIGLOT, and Figures 8 and 10
Command: `repro train omniglot --profile paper --seeds 3`
Run time here: predicted 3 days a seed on one core of an AMD EPYC; `--profile reduced` 69 min
Expected result: 5-layer LVAE L_5000 = -102.11; on rebuilt images it is other data
"""

from repro.plan.experiments.grid import MAX_DEPTH, Cell, grid

EXPERIMENTS: dict[str, list[Cell]] = {
    "figure8": grid("omniglot"),
    "figure10": [Cell("omniglot", "lvae_bn_wu", MAX_DEPTH)],
    "omniglot": grid("omniglot"),
}
