"""What a claim is, and what the predicates of all of them use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from repro.judge import measures
from repro.judge.targets.target import MNIST_NATS
from repro.plan.experiments.grid import MAX_DEPTH, VARIANTS, Cell
from repro.store import Record

IMPROVES_NATS = 0.05  # about the Monte-Carlo error of a difference of two L_1
NO_GAIN_NATS = MNIST_NATS  # a smaller step is no improvement "beyond" a depth
SEVERAL_NATS = 3.0  # a gap between train and test below this is "close"

DEEPEST = tuple(Cell("mnist", v, MAX_DEPTH) for v in VARIANTS)
VAE, VAE_BN, VAE_BN_WU, LVAE = DEEPEST
VAES = (VAE, VAE_BN, VAE_BN_WU)
WARMED = tuple(c for c in DEEPEST if VARIANTS[c.variant].warmup)

Lookup = Callable[[Cell], Sequence[Record]]
Judgement = tuple[bool, str]


@dataclass(frozen=True)
class Claim:
    """A published statement (`text`) and the test of it, in words and as a function.

    `test` is given the finished records of each of `cells`; it answers whether the statement
    holds, and with what numbers. `files` are the arrays it reads.
    """

    id: str
    text: str
    source: str
    predicate: str
    cells: tuple[Cell, ...]
    test: Callable[[Lookup], Judgement]
    files: tuple[str, ...] = ()


def mean_of(records: Sequence[Record], value: Callable[[Record], Any]) -> Any:
    """Over seeds."""
    return np.mean([value(r) for r in records], axis=0)


def bounds(found: Lookup, cells: Sequence[Cell], name: str = "L1_test") -> list[float]:
    """One metric of each cell."""
    return [float(mean_of(found(c), lambda r: measures.metric(r, name))) for c in cells]


def in_row(values: Any, digits: int = 2) -> str:
    return " / ".join(f"{v:.{digits}f}" for v in values)


def rises(values: Sequence[float]) -> bool:
    """Whether each value improves on the one before."""
    return all(b - a >= IMPROVES_NATS for a, b in pairwise(values))
