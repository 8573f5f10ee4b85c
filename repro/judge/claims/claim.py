"""What a claim is, and what the tests of all of them use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from repro.judge.estimate import Estimate
from repro.judge.evidence import Books
from repro.judge.measures import metric
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import MAX_DEPTH, VARIANTS, Cell
from repro.store import Record

IMPROVES_NATS = 0.05  # the least that is called an improvement
NO_GAIN_NATS = 0.3  # a smaller step is no improvement "beyond" a depth
SEVERAL_NATS = 3.0  # a gap between train and test below this is "close"

DEEPEST = tuple(Cell("mnist", v, MAX_DEPTH) for v in VARIANTS)
VAE, VAE_BN, VAE_BN_WU, LVAE = DEEPEST
VAES = (VAE, VAE_BN, VAE_BN_WU)
WARMED = tuple(c for c in DEEPEST if VARIANTS[c.variant].warmup)

Judgement = tuple[Sequence["Contrast"], str]


@dataclass(frozen=True)
class Contrast:
    """One quantity that a statement needs to be 0 or more; `margin` is by how much it is."""

    name: str
    margin: Estimate

    def certainty(self) -> float:
        """By how many of its errors it is positive."""
        m = self.margin
        if not m.known:
            return -math.inf
        return m.mean / m.error if m.error else math.copysign(math.inf, m.mean)

    def __str__(self) -> str:
        error = f" ± {self.margin.error:.2g}" if self.margin.known else " (one seed)"
        return f"{self.name}, {self.margin.mean:+.2f}{error} beyond its threshold"


@dataclass(frozen=True)
class Claim:
    """A published statement (`text`) and the test of it, in words and as a function.

    `test` is given the records of a profile, sorted by cell, every one of `cells` with a finished
    Run; it answers with the contrasts that must all be positive, and with the numbers in words.
    `files` are the arrays it reads.
    """

    id: str
    text: str
    source: str
    predicate: str
    cells: tuple[Cell, ...]
    test: Callable[[Books], Judgement]
    files: tuple[str, ...] = ()


def at_least(name: str, quantity: Estimate, threshold: float) -> Contrast:
    return Contrast(name, quantity - threshold)


def at_most(name: str, quantity: Estimate, threshold: float) -> Contrast:
    return Contrast(name, -(quantity - threshold))


def quantity(found: Books, cell: Cell, read: Callable[[Record], float]) -> Estimate:
    """A number of a cell's Runs, with the error that training again would make of it."""
    return found.training_spread(found.of(cell), read)


def bounds(found: Books, cells: Sequence[Cell], name: str = "L1_test") -> list[float]:
    """One metric of each cell, for the words."""
    return [float(found.of(c).mean(lambda r: metric(r, name))) for c in cells]


def in_row(values: Any, digits: int = 2) -> str:
    return " / ".join(f"{v:.{digits}f}" for v in values)


def rises(found: Books, cells: Sequence[Cell], name: str = "L1_test") -> list[Contrast]:
    """That each cell improves on the one before."""
    return [
        at_least(f"{_name(b)} above {_name(a)}", found.difference(b, a, name), IMPROVES_NATS)
        for a, b in pairwise(cells)
    ]


def _name(cell: Cell) -> str:
    return f"{label_of(cell)} of depth {cell.depth}"
