"""Source: Table 2, small NORB
Command: `repro train norb --profile paper --seeds 3`
Run time here: predicted 17 days a seed on one core of an AMD EPYC; not run, the data was not had
Expected result: 5-layer LVAE 3455; best 3519, LVAE of three layers
"""

from repro.plan.experiments.grid import Cell, grid

EXPERIMENTS: dict[str, list[Cell]] = {"norb": grid("norb")}
