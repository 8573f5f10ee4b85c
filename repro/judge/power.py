"""Which differences a number of seeds can tell apart: by simulation of the tests that judge.

A store's own spread over trainings where it is known, else an assumed one.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from repro.judge.estimate import LEVEL, quantile
from repro.judge.targets import TARGETS
from repro.judge.targets.target import BINARISATION_NATS, ENOUGH_SEEDS, MNIST_NATS

SEEDS = (1, 3, 5, 10)
DRAWS = 20_000
USUAL = 0.8  # a difference is told apart if so many of such replications find it
STEPS = 400  # of the search for it, up to five margins


@dataclass(frozen=True)
class Setting:
    """What is replicated: spread over trainings, margin, and the errors that seeds do not lower."""

    name: str
    unit: str
    sd: float
    margin: float
    fixed: float  # standard deviation
    fixed_df: float = math.inf


@dataclass(frozen=True)
class Power:
    """Of a number of seeds; None where no test can be made.

    passes: share of perfect replications that come out as reproduced. different: the smallest
    difference from a published number that is called different. apart: the smallest difference of
    two models of ours that is; both in USUAL of all replications.
    """

    seeds: int
    passes: float | None
    different: float | None
    apart: float


def bounds(sd: float) -> Setting:
    """Of a bound on a binarised test set."""
    return Setting("bound", "nats", sd, MNIST_NATS, math.sqrt(2) * BINARISATION_NATS)


def ladder(sd: float) -> Setting:
    """Of a Ladder network's test error, against the published mean with the published spread."""
    target = TARGETS["ladder/full/100"]
    assert target.sd is not None, "printed with the number"
    fixed = target.sd / math.sqrt(target.paper_seeds)
    return Setting("test error", "points", sd, target.margin, fixed, target.paper_seeds - 1)


@functools.cache
def power(s: Setting, seeds: int, floor_df: float) -> Power:
    """By simulation. floor_df: degrees of freedom of the spread that one or two seeds borrow."""
    rng = np.random.default_rng([seeds, 0])
    own = seeds >= ENOUGH_SEEDS
    df = seeds - 1 if own else floor_df
    var = s.sd**2 * rng.chisquare(df, DRAWS) / df / seeds
    other = s.sd**2 * rng.chisquare(df, DRAWS) / df / seeds if own else var  # borrowed by both
    together = (var + other) ** 2 / (var**2 + other**2) * df if own else df
    lead = rng.normal(0, s.sd * math.sqrt(2 / seeds), DRAWS)
    apart = _smallest(s, lead, _half(var + other, together), 0.0)
    if not own:
        return Power(seeds, None, None, apart)
    mean = rng.normal(0, math.hypot(s.sd / math.sqrt(seeds), s.fixed), DRAWS)
    fixed = s.fixed**2
    welch = (var + fixed) ** 2 / (var * var / df + fixed * fixed / s.fixed_df)
    half = _half(var + fixed, welch)
    passes = float(np.mean(np.abs(mean) + half <= s.margin))
    return Power(seeds, passes, _smallest(s, mean, half, s.margin), apart)


def _half(var: np.ndarray, df: np.ndarray | float) -> np.ndarray:
    """Half the width of the interval that leaves LEVEL on each side."""
    return np.asarray(quantile(LEVEL, df) * np.sqrt(var))


def _smallest(s: Setting, mean: np.ndarray, half: np.ndarray, beyond: float) -> float:
    """The smallest difference whose interval lies beyond in USUAL of all replications."""
    for d in np.linspace(0, 5 * s.margin, STEPS + 1):
        if np.mean(mean + d - half > beyond) >= USUAL:
            return float(d)
    return math.inf
