"""How far trainings of one configuration lie apart, by rounding alone and by seed. No torch."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from repro.judge.estimate import pooled
from repro.judge.evidence import Evidence, books
from repro.judge.measures import metric
from repro.plan.experiments import ladder
from repro.plan.experiments.grid import MAX_DEPTH, Cell
from repro.plan.profiles import profile, run_of
from repro.store import Record, Store

STUDIED = tuple(Cell("mnist", variant, MAX_DEPTH) for variant in ("lvae_bn_wu", "lvae_wu"))
ASSUMED = {"bound": 0.2, "test error": 0.37}  # nats; points, as Rasmus et al. give it
LEAST_DF = 2  # of fewer a spread is hardly known: that of two trainings may be 0
WHOSE = {"bound": STUDIED[0], "test error": ladder.cell("full")}  # spread is reckoned with


@dataclass(frozen=True)
class Spread:
    """Standard deviation of one number over `n` trainings, with its 95% interval."""

    n: int
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Known:
    """A spread to reckon with, the degrees of freedom of what trainings show of it, and where it
    comes from.
    """

    sd: float
    df: float
    source: str


def of(values: list[float]) -> Spread | None:
    """None of fewer than two; the interval is that of normal values."""
    from scipy.special import chdtri  # commands that judge nothing do without it

    n = len(values)
    if n < 2:
        return None
    mean = math.fsum(values) / n
    squares = math.fsum((v - mean) ** 2 for v in values)
    low, high = (math.sqrt(squares / float(chdtri(n - 1, q))) for q in (0.025, 0.975))
    return Spread(n, math.sqrt(squares / (n - 1)), low, high)


def by_rounding(e: Evidence, names: Sequence[str]) -> tuple[list[Record], list[Spread | None]]:
    """The replicates of that seed of a cell which has most of them; of each metric over these."""
    replicates = max(e.by_seed.values(), key=len, default=[])
    return replicates, [of([metric(r, name) for r in replicates]) for name in names]


def by_seed(e: Evidence, names: Sequence[str]) -> list[Spread | None]:
    """Of each metric over seeds, each the mean of its replicates."""
    return [of([float(v) for v in e.values(n)]) for n in names]


def known(store: Store, profile_name: str, quantity: str) -> Known:
    """Of `bound` (L_1 of MNIST's 5-layer LVAE) or `test error` (Ladder network, 100 labels)."""
    found, p = books(store, profile_name), profile(profile_name)
    cell = WHOSE[quantity]
    name = "L1_test" if quantity == "bound" else "error_percent"
    parts = found.spread(run_of(cell, p), functools.partial(metric, name=name))
    var, df = pooled(parts)
    if df < LEAST_DF:
        why = "assumed, as no Run like it is known to have been trained three times"
        return Known(ASSUMED[quantity], df, why)
    whose = ", ".join(source for _, _, source in parts)
    return Known(math.sqrt(var), df, f"of {whose} and its like (degrees of freedom: {df:.0f})")
