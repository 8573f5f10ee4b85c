"""One store against another, run by run: is a difference more than chance? No torch."""

import functools
import math
from dataclasses import dataclass

from repro.judge.estimate import pooled
from repro.judge.evidence import OTHER_DATA, Books, books
from repro.judge.measures import data_version, metric, scoring
from repro.judge.over_images import PER_IMAGE, images_error
from repro.store import Record, Store

ERROR = "error_percent"  # of Ladder networks: lower is better
# Combined errors below the reference that make a regression. No level: where the spread is that of
# three trainings and an assumed one, chance alone gets there once in a hundred comparisons.
LIMIT = 3.0

# Spread over seeds, in nats, assumed where the reference has few of them: shorter training
# ends on a steeper part of the curve. Rough, and on the generous side.
SEED_SD_NATS = {"paper": 0.2, "reduced": 0.5, "quick": 1.5, "smoke": 20.0}
SEED_SD_ELSEWHERE = 1.5
SEED_SD_POINTS = {"paper": 0.4, "reduced": 0.6, "quick": 3.0, "smoke": 20.0}  # of a test error


@dataclass(frozen=True)
class Difference:
    """One metric of one Run; `difference` is ours - reference. Nats per example, up is better; or
    test error in percent, down is better.

    error: of the difference, over images (paired where both have the same) and over seeds.
    A Run that diverged here only has no `ours`: that is a regression too.
    """

    run: str
    metric: str
    ours: float | None
    reference: float
    error: float

    @property
    def difference(self) -> float | None:
        return None if self.ours is None else self.ours - self.reference

    @property
    def regression(self) -> bool:
        if self.difference is None:
            return True
        worse = self.difference if self.metric == ERROR else -self.difference
        return worse > LIMIT * self.error

    def __str__(self) -> str:
        if self.ours is None or self.difference is None:
            return f"{self.run} {self.metric}: diverged, reference {self.reference:.2f}"
        return (
            f"{self.run} {self.metric}: {self.ours:.2f}, reference {self.reference:.2f},"
            f" difference {self.difference:+.2f} ± {self.error:.2f}"
        )


@dataclass(frozen=True)
class Comparison:
    """`missing`: Runs of the reference that are not here; `skipped`: not comparable, and why."""

    profile: str
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    skipped: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Difference, ...]:
        return tuple(d for d in self.differences if d.regression)


def compare(store: Store, against: Store, profile: str) -> Comparison:
    """Every Run that both stores hold, metric by metric; L_K only with equal K and images.

    Raises RecordError where a store is empty or a record damaged.
    """
    here = {r.run.id: r for r in store.some_records(profile)}
    reference = against.some_records(profile)
    floor = books(against, profile)
    differences: list[Difference] = []
    skipped: list[str] = []
    for other in (r for r in reference if r.run.id in here):
        ours = here[other.run.id]
        if why := _unlike(ours, other):
            skipped.append(f"{other.run.id}: {why}")
            continue
        metrics = _metrics(ours, other)
        differences += [_difference(ours, other, floor, m) for m in metrics]
        unlike = [m for m in PER_IMAGE if m not in metrics and metrics != [ERROR]]
        why = "no finite bound" if _scored_alike(ours, other) else "other K or images"
        skipped += [f"{other.run.id} {m}: {why}" for m in unlike]
    missing = tuple(r.run.id for r in reference if r.run.id not in here)
    return Comparison(profile, tuple(differences), missing, tuple(skipped))


def _unlike(ours: Record, reference: Record) -> str:
    if ours.run.hash != reference.run.hash:
        return "another configuration"
    if data_version(ours) != data_version(reference):
        return OTHER_DATA
    return "the reference diverged" if reference.diverged else ""


def _metrics(ours: Record, reference: Record) -> list[str]:
    if reference.run.labels:
        return [ERROR]
    if ours.diverged:
        return [m for m in PER_IMAGE if reference.final[m] is not None]
    names = [m for m in PER_IMAGE if m == "L1_test" or _scored_alike(ours, reference)]
    return [m for m in names if None not in (ours.final[m], reference.final[m])]


def _scored_alike(ours: Record, reference: Record) -> bool:
    return ours.diverged or scoring(ours) == scoring(reference)


def _difference(ours: Record, reference: Record, floor: Books, name: str) -> Difference:
    theirs = metric(reference, name)
    if ours.diverged:
        return Difference(reference.run.id, name, None, theirs, 0.0)
    # Two trainings of one seed part by rounding: both draw from the spread over seeds.
    spread = floor.spread(reference.run, functools.partial(metric, name=name))
    seeds = math.sqrt(2) * seed_sd(*pooled(spread), name, reference.profile)
    error = math.hypot(images_error([ours], [reference], name), seeds)
    return Difference(reference.run.id, name, metric(ours, name), theirs, error)


def seed_sd(var: float, df: float, name: str, profile: str) -> float:
    """Spread of a metric over trainings; the assumed one counts as one more degree of freedom.

    Two seeds that happen to agree would otherwise call every other value a regression.
    """
    known = SEED_SD_POINTS if name == ERROR else SEED_SD_NATS
    assumed = known.get(profile, SEED_SD_ELSEWHERE)
    return math.sqrt((assumed**2 + df * var) / (df + 1))
