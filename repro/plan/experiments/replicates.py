"""Source: not in the paper; the floor of noise below which a difference of two Runs says nothing
Command: `repro train mnist-lvae_bn_wu@again2-L5-s1 --profile paper --threads N`, so each of the 7
Run time here: predicted 3 days on one core of an AMD EPYC; `--profile reduced` 27 min a Run
Expected result: of the default L_5000 = -82.12; how far equal Runs part is published nowhere

The 5-layer LVAE with and without batch norm, trained again: the same Runs under other names, so
that their records lie side by side. Sums come in another order with another number of threads, in
another stack, or with another version of the code. With what is called `lvae_wu` in Figure 7 and
`@no_bn` among the ablations there are five trainings of each.
"""

from dataclasses import replace

from repro.plan.experiments.ablations import MARK
from repro.plan.experiments.grid import MAX_DEPTH, Cell

AGAIN = "again"
TRAININGS = {"lvae_bn_wu": (2, 3, 4, 5), "lvae_wu": (2, 3, 4)}


def base_of(cell: Cell) -> Cell | None:
    """The cell that this one trains again; None for any other."""
    variant, _, name = cell.variant.partition(MARK)
    return replace(cell, variant=variant) if name.startswith(AGAIN) else None


EXPERIMENTS: dict[str, list[Cell]] = {
    "replicates": [
        Cell("mnist", f"{variant}{MARK}{AGAIN}{n}", MAX_DEPTH)
        for variant, numbers in TRAININGS.items()
        for n in numbers
    ]
}
