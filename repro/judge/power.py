"""Which differences a number of seeds can tell apart: by simulation of the tests that judge.

A store's own spread over trainings where it is known, else an assumed one.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from repro.judge.estimate import LEVEL, quantile
from repro.judge.targets import TARGETS
from repro.judge.targets.target import BINARISATION_NATS, ENOUGH_SEEDS, MNIST_NATS, TEST_IMAGES

SEEDS = (1, 3, 5, 10)
DRAWS = 20_000
USUAL = 0.8  # a difference is told apart if so many of such replications find it
IMAGES_NATS = 0.05  # of L_1 of two five-layer models, paired, at the published protocol


@dataclass(frozen=True)
class Setting:
    """What is replicated: spread over trainings, margin, and the errors that seeds do not lower.

    fixed: of the difference from a published number. images: of two models of ours, over the
    images that both were scored on. borrows: whether one or two seeds have the spread of others.
    """

    name: str
    unit: str
    sd: float
    margin: float
    fixed: float  # standard deviation
    fixed_df: float = math.inf
    images: float = 0.0
    borrows: bool = True


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
    apart: float | None


def bounds(sd: float) -> Setting:
    """Of a bound on a binarised test set."""
    fixed = math.sqrt(2) * BINARISATION_NATS
    return Setting("bound", "nats", sd, MNIST_NATS, fixed, images=IMAGES_NATS)


def ladder(sd: float) -> Setting:
    """Of a Ladder network's test error, against the published mean with the published spread."""
    target = TARGETS["ladder/full/100"]
    assert target.sd is not None, "printed with the number"
    fixed = target.sd / math.sqrt(target.paper_seeds)
    df = target.paper_seeds - 1
    images = math.sqrt(2 * target.paper * (100 - target.paper) / TEST_IMAGES["mnist"])
    return Setting("test error", "points", sd, target.margin, fixed, df, images, borrows=False)


@functools.cache
def power(s: Setting, seeds: int, floor_df: float) -> Power:
    """By simulation. floor_df: degrees of freedom of the spread that one or two seeds borrow, 0
    where there is none to borrow.
    """
    rng = np.random.default_rng([seeds, 0])
    own = seeds >= ENOUGH_SEEDS
    if not own and not (s.borrows and floor_df):
        return Power(seeds, None, None, None)
    df = seeds - 1 if own else floor_df
    var = s.sd**2 * rng.chisquare(df, DRAWS) / df / seeds
    other = s.sd**2 * rng.chisquare(df, DRAWS) / df / seeds if own else var  # borrowed by both
    both = var + other + s.images**2
    welch = both**2 / ((var**2 + other**2) if own else (var + other) ** 2) * df
    lead = rng.normal(0, math.hypot(s.sd * math.sqrt(2 / seeds), s.images), DRAWS)
    apart = _smallest(_half(both, welch) - lead)
    if not own:
        return Power(seeds, None, None, apart)
    mean = rng.normal(0, math.hypot(s.sd / math.sqrt(seeds), s.fixed), DRAWS)
    fixed = s.fixed**2
    welch = (var + fixed) ** 2 / (var * var / df + fixed * fixed / s.fixed_df)
    half = _half(var + fixed, welch)
    passes = float(np.mean(np.abs(mean) + half <= s.margin))
    return Power(seeds, passes, _smallest(s.margin + half - mean), apart)


def _half(var: np.ndarray, df: np.ndarray | float) -> np.ndarray:
    """Half the width of the interval that leaves LEVEL on each side."""
    return np.asarray(quantile(LEVEL, df) * np.sqrt(var))


def _smallest(needed: np.ndarray) -> float:
    """The smallest difference that USUAL of all replications find, by what each of them needs."""
    return max(0.0, float(np.quantile(needed, USUAL)))
