"""Experiments: lists of cells that one table or figure needs, one module a claim. Data only."""

from repro.errors import UsageError
from repro.plan.experiments import (
    ablations,
    finetuning,
    flows,
    grid,
    iwae,
    ladder,
    mnist,
    norb,
    omniglot,
    replicates,
)
from repro.plan.experiments.grid import Cell

EXPERIMENTS: dict[str, list[Cell]] = {
    **mnist.EXPERIMENTS,
    **finetuning.EXPERIMENTS,
    **iwae.EXPERIMENTS,
    **flows.EXPERIMENTS,
    "table2": [*omniglot.EXPERIMENTS["omniglot"], *norb.EXPERIMENTS["norb"]],
    **omniglot.EXPERIMENTS,
    **norb.EXPERIMENTS,
    **ablations.EXPERIMENTS,
    **replicates.EXPERIMENTS,
    **ladder.EXPERIMENTS,
}
# Neither in the paper's tables nor in its figures: listed, and trained, where they are named.
UNLISTED = ("finetuning_mc10", "replicates", *ablations.EXPERIMENTS, *ladder.EXPERIMENTS)
# All others are trained where they are named: `repro train omniglot ladder`.
DEFAULT = tuple(name for name in mnist.EXPERIMENTS if name != "figure7")
# Of variants that are no column of a grid.
LABELS = {**finetuning.LABELS, **iwae.LABELS, **flows.LABELS}


def cells(names: list[str] | None = None) -> list[Cell]:
    """The distinct cells of the named experiments, or of all; grid order is kept.

    Raises UsageError for an unknown name.
    """
    for name in names or []:
        if name not in EXPERIMENTS:
            raise UsageError(f"unknown experiment {name!r}: choose from {', '.join(EXPERIMENTS)}")
    wanted = {cell for name in (names or EXPERIMENTS) for cell in EXPERIMENTS[name]}
    everything = dict.fromkeys(c for e in ("mnist", *EXPERIMENTS) for c in EXPERIMENTS[e])
    return [cell for cell in everything if cell in wanted]


def experiments_of(cell: Cell) -> list[str]:
    """The tables and figures that need a cell."""
    return [name for name, needed in EXPERIMENTS.items() if cell in needed]


def label_of(cell: Cell) -> str:
    """A cell's variant as tables and figures write it."""
    if cell.labels:
        return ladder.EVERY[cell.variant].label
    if cell.variant in LABELS:
        return LABELS[cell.variant]
    if base := replicates.base_of(cell):
        return f"{label_of(base)}, trained again"
    label = grid.EVERY[cell.variant.partition(ablations.MARK)[0]].label
    choice = ablations.choice_of(cell)
    return f"{label}, {choice.about}: {choice.instead}" if choice else label
