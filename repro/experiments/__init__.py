"""Experiments: lists of cells that one table or figure needs. Data only."""

from repro.errors import UsageError
from repro.experiments import mnist
from repro.experiments.grid import Cell

EXPERIMENTS: dict[str, list[Cell]] = {**mnist.EXPERIMENTS}


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
