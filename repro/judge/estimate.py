"""A mean with its error, and what may be concluded from it. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Part = tuple[float, float, str]
LEVEL = 0.05  # of every one-sided test; two of them are the equivalence test


@dataclass(frozen=True)
class Estimate:
    """A quantity with the variance of its error.

    df: degrees of freedom of that variance: infinite where it is known, 0 where nothing is.
    parts: what it is a sum of, as (variance, degrees of freedom, source). Parts of one source come
    from the same trainings, whose degrees of freedom count once, the fewest of them.
    """

    mean: float
    var: float = 0.0
    df: float = math.inf
    parts: tuple[Part, ...] = field(default=(), compare=False)

    @property
    def error(self) -> float:
        """Standard error; NaN where nothing is known of it."""
        return math.sqrt(self.var) if self.known else math.nan

    @property
    def known(self) -> bool:
        return self.df > 0

    @property
    def estimated_df(self) -> float:
        """Degrees of freedom of the part that trainings show; infinite where there is none."""
        return satterthwaite([p for p in self.sources if math.isfinite(p[1])])[1]

    def plus(self, var: float, df: float = math.inf) -> Estimate:
        """With one more source of error, independent of the others."""
        return self.with_parts(((var, df, ""),))

    def __add__(self, other: Estimate) -> Estimate:
        return replace(self, mean=self.mean + other.mean).with_parts(other.sources)

    def __sub__(self, other: Estimate | float) -> Estimate:
        """Of independent estimates but for parts of one source; or from a number."""
        if isinstance(other, Estimate):
            return self + -other
        return replace(self, mean=self.mean - other)

    def __neg__(self) -> Estimate:
        return self.scaled(-1)

    def scaled(self, by: float) -> Estimate:
        parts = tuple((by**2 * v, d, s) for v, d, s in self.parts)
        return Estimate(by * self.mean, by**2 * self.var, self.df, parts)

    @property
    def sources(self) -> tuple[Part, ...]:
        return self.parts or ((self.var, self.df, ""),)

    def with_parts(self, more: tuple[Part, ...]) -> Estimate:
        """With more sources of error; those of one source are added up."""
        parts: list[Part] = []
        for var, df, source in (p for p in (*self.sources, *more) if p[0] or not p[1]):
            same = next((p for p in parts if source and p[2] == source), None)
            if same is not None:
                parts.remove(same)
                var, df = var + same[0], min(df, same[1])
            parts.append((var, df, source))
        return Estimate(self.mean, *satterthwaite(parts), tuple(parts))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Which leaves `level` on each side: for 5%, the 90% interval of the equivalence test.

        Of a level that is corrected for many tests, estimated and known errors stand apart: where
        few trainings happen to agree, Satterthwaite's degrees of freedom of both together are
        many, and far out in the tails that finds differences where there are none.
        """
        if not self.known:
            return -math.inf, math.inf
        kinds = [self.sources]
        if level < LEVEL:
            kinds = [tuple(p for p in self.sources if math.isinf(p[1]) == k) for k in (True, False)]
        sums = [satterthwaite(parts) for parts in kinds]
        half = math.hypot(*(float(quantile(level, df)) * math.sqrt(var) for var, df in sums))
        return self.mean - half, self.mean + half


def satterthwaite(parts: Sequence[Part]) -> tuple[float, float]:
    """Variance of independent parts together, and its degrees of freedom as Welch and
    Satterthwaite have them: 0 where those of one part are.
    """
    total = math.fsum(v for v, _, _ in parts)
    share = math.fsum(v * v / d for v, d, _ in parts if d)
    df = total * total / share if share else math.inf
    return total, 0 if any(d == 0 for _, d, _ in parts) else df


def pooled(parts: Sequence[Part]) -> tuple[float, float]:
    """Variance of all parts together, and their degrees of freedom."""
    return math.fsum(var for var, _, _ in parts), math.fsum(df for _, df, _ in parts)


def quantile(level: float, df: Any) -> Any:
    """Of Student's t, that many errors to the right of 0 leave `level` beyond them; any shape."""
    from scipy.special import stdtrit  # commands that judge nothing do without it

    return stdtrit(np.minimum(df, 1e9), 1 - level)


def of_seeds(values: Sequence[float]) -> Estimate:
    """The mean over trainings with the error that their own spread gives.

    Of one, none is known; nor of two that agree, as counts of units may.
    """
    n = len(values)
    mean = math.fsum(values) / n
    squares = math.fsum((v - mean) ** 2 for v in values)
    if n < 2 or (n == 2 and not squares):
        return Estimate(mean, 0.0, 0)
    return Estimate(mean, squares / (n - 1) / n, n - 1)


def of_pairs(ours: Sequence[Any], other: Sequence[Any]) -> Estimate:
    """The mean of the differences, seed by seed, of values of the same seeds."""
    return of_seeds([float(a - b) for a, b in zip(ours, other, strict=True)])


def of_best(difference: Estimate, among: int = 1) -> tuple[float, float]:
    """The 90% interval of the equivalence test; its lower end is at 5% over the number among which
    chance, too, has made this one the highest.
    """
    return difference.interval(LEVEL / among)[0], difference.interval()[1]


def equivalence(difference: Estimate, margin: float, among: int = 1) -> str:
    """`same`, `higher`, `lower` or `undecided`, at 5%: two one-sided tests (TOST) for `same`.

    difference: ours - published. Its interval lies within the margin, beyond it, or neither.
    """
    low, high = of_best(difference, among)
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
