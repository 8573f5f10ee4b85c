"""What each MNIST table and figure of the paper needs."""

from repro.plan.experiments.grid import MAX_DEPTH, Cell, column, grid

DEEPEST = grid("mnist", range(MAX_DEPTH, MAX_DEPTH + 1))  # Fig. 2 does not state the depth: five

EXPERIMENTS: dict[str, list[Cell]] = {
    "table1": [Cell("mnist", "lvae_bn_wu", MAX_DEPTH)],
    "figure2": DEEPEST,
    "figure3": grid("mnist"),
    "figure4": DEEPEST,
    "figure5": DEEPEST,
    "figure6": [Cell("mnist", v, MAX_DEPTH) for v in ("vae", "lvae_bn_wu")],
    "figure7": [*grid("mnist"), *column("mnist", "lvae_wu")],
    "figure9": [Cell("mnist", "lvae_bn_wu", MAX_DEPTH)],
    "mnist": grid("mnist"),
}
