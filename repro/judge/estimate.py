"""A mean with its error, and what may be concluded from it. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.05  # of every one-sided test; two of them are the equivalence test


@dataclass(frozen=True)
class Estimate:
    """A quantity with the variance of its error.

    df: degrees of freedom of that variance: infinite where it is known, 0 where nothing is.
    """

    mean: float
    var: float = 0.0
    df: float = math.inf

    @property
    def error(self) -> float:
        """Standard error; NaN where nothing is known of it."""
        return math.sqrt(self.var) if self.known else math.nan

    @property
    def known(self) -> bool:
        return self.df > 0

    def plus(self, var: float, df: float = math.inf) -> Estimate:
        """With one more independent source of error; degrees of freedom as Welch and Satterthwaite
        combine them.
        """
        parts = [(v, d) for v, d in ((self.var, self.df), (var, df)) if v or not d]
        total = self.var + var
        if any(d == 0 for _, d in parts):
            return Estimate(self.mean, total, 0)
        share = sum(v * v / d for v, d in parts)
        return Estimate(self.mean, total, total * total / share if share else math.inf)

    def __sub__(self, other: Estimate | float) -> Estimate:
        """Of independent estimates, or from a number."""
        if not isinstance(other, Estimate):
            return Estimate(self.mean - other, self.var, self.df)
        return Estimate(self.mean - other.mean, self.var, self.df).plus(other.var, other.df)

    def __neg__(self) -> Estimate:
        return Estimate(-self.mean, self.var, self.df)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Which leaves `level` on each side: for 5%, the 90% interval of the equivalence test."""
        if not self.known:
            return -math.inf, math.inf
        half = quantile(level, self.df) * self.error
        return self.mean - half, self.mean + half


def quantile(level: float, df: float) -> float:
    """Of Student's t, that many errors to the right of 0 leave `level` beyond them."""
    from scipy.special import stdtrit  # commands that judge nothing do without it

    return float(stdtrit(min(df, 1e9), 1 - level))


def of_seeds(values: Sequence[float]) -> Estimate:
    """The mean over trainings with the error that their own spread gives; of one, none is known."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return Estimate(mean, 0.0, 0)
    return Estimate(mean, math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n, n - 1)


def equivalence(difference: Estimate, margin: float) -> str:
    """`same`, `higher`, `lower` or `undecided`, at 5%: two one-sided tests (TOST) for `same`.

    difference: ours - published. Its 90% interval lies within the margin, beyond it, or neither.
    """
    low, high = difference.interval()
    if -margin <= low and high <= margin:
        return "same"
    if low > margin:
        return "higher"
    return "lower" if high < -margin else "undecided"


def all_positive(margins: Sequence[Estimate]) -> str:
    """`holds`, `fails` or `undecided` of a statement that needs every margin to be 0 or more.

    It holds where each margin is positive at 5% (together at 5% as well: the statement is their
    intersection). It fails where one is negative at 5% over their number. `one seed` where nothing
    is known of the error of a margin.
    """
    if not all(m.known for m in margins):
        return "one seed"
    if all(m.interval()[0] >= 0 for m in margins):
        return "holds"
    failed = any(m.interval(LEVEL / len(margins))[1] < 0 for m in margins)
    return "fails" if failed else "undecided"
