"""Statements about Ladder networks on MNIST: which cost helps how much, by number of labels."""

from itertools import pairwise

from repro.judge.claims.claim import Claim, Judgement, at_least, bounds, in_row
from repro.judge.evidence import Books
from repro.judge.targets.ladder import RASMUS
from repro.plan.experiments import label_of, ladder
from repro.plan.experiments.grid import Cell

BY_ERROR = ("full", "bottom", "gamma", "baseline")  # fewest errors first
FROM_MEMORY = {100: "Gamma model and baseline", 1000: "baseline"}  # read in no public text


def cells_of(labels: int) -> tuple[Cell, ...]:
    return tuple(ladder.cell(variant, labels) for variant in BY_ERROR)


def _order(labels: int) -> Claim:
    cells = cells_of(labels)

    def test(found: Books) -> Judgement:
        contrasts = [
            at_least(
                f"error of {label_of(b)} over that of {label_of(a)}",
                found.difference(b, a, "error_percent"),
                0.0,
            )
            for a, b in pairwise(cells)
        ]
        errors = in_row(bounds(found, cells, "error_percent"))
        return contrasts, f"test error in percent of {', '.join(BY_ERROR)}: {errors}"

    return Claim(
        f"ladder/order_of_costs_{labels}",
        f"With {labels:,} labels the full network errs least, then the bottom-level cost alone, the"
        " Gamma model, and the supervised baseline",
        f"{RASMUS}, MNIST table, {labels} labels; {FROM_MEMORY[labels]} from memory",
        "test error over seeds: none is above that of the next",
        cells,
        test,
        metrics=("error_percent", "error_se"),
    )


CLAIMS = tuple(_order(labels) for labels in FROM_MEMORY)
