"""Source: Table 1, row "LVAE, 5-layer", and Figures 2 to 7 and 9
Command: `repro train mnist figure7 --profile paper --seeds 3`
Run time here: predicted 8 days a seed on one core of an AMD EPYC; `reduced` 105 min on two
Expected result: 5-layer LVAE: L_5000 = -82.12, L_1 = -85.23; best VAE: -82.74
"""

from repro.plan.experiments.grid import MAX_DEPTH, Cell, column, grid

DEEPEST = grid("mnist", range(MAX_DEPTH, MAX_DEPTH + 1))  # Fig. 2 does not state the depth: five

EXPERIMENTS: dict[str, list[Cell]] = {
    "table1": [Cell("mnist", "lvae_bn_wu", MAX_DEPTH)],
    "figure2": DEEPEST,
    "figure3": grid("mnist"),
    "figure4": DEEPEST,
    "figure5": DEEPEST,
    "figure6": DEEPEST,
    "figure7": [*grid("mnist"), *column("mnist", "lvae_wu")],
    "figure9": [Cell("mnist", "lvae_bn_wu", MAX_DEPTH)],
    "lk_curve": DEEPEST,
    "mnist": grid("mnist"),
}
