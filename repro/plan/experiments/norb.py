"""The small NORB column of Table 2."""

from repro.plan.experiments.grid import Cell, grid

EXPERIMENTS: dict[str, list[Cell]] = {"norb": grid("norb")}
