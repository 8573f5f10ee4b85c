"""One store against another, run by run: is a difference more than chance? No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro.judge.measures import array, metric
from repro.store import Record, Store

METRICS = {"L1_test": ("L1", "L1_se"), "LK_test": ("LK", "LK_se")}  # array, standard error
ERROR = "error_percent"  # of Ladder networks: lower is better
LIMIT = 3.0  # combined errors below the reference that make a regression

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

    Raises NothingError where a store is empty, RecordError for a damaged record.
    """
    here = {r.run.id: r for r in store.some_records(profile)}
    reference = against.some_records(profile)
    differences: list[Difference] = []
    skipped: list[str] = []
    for other in (r for r in reference if r.run.id in here):
        ours = here[other.run.id]
        if why := _unlike(ours, other):
            skipped.append(f"{other.run.id}: {why}")
            continue
        siblings = [r for r in reference if _same_but_seed(r, other)]
        metrics = _metrics(ours, other)
        differences += [_difference(ours, other, siblings, m) for m in metrics]
        unlike = [m for m in METRICS if m not in metrics and metrics != [ERROR]]
        skipped += [f"{other.run.id} {m}: other K or images" for m in unlike]
    missing = tuple(r.run.id for r in reference if r.run.id not in here)
    return Comparison(profile, tuple(differences), missing, tuple(skipped))


def _unlike(ours: Record, reference: Record) -> str:
    if ours.run.hash != reference.run.hash:
        return "another configuration"
    return "the reference diverged" if reference.diverged else ""


def _same_but_seed(a: Record, b: Record) -> bool:
    return not a.diverged and a.run.with_seed(b.run.seed) == b.run


def _metrics(ours: Record, reference: Record) -> list[str]:
    if reference.run.data.labels:
        return [ERROR]
    scoring = [(r.final.get("K"), r.final.get("LK_images")) for r in (ours, reference)]
    return [m for m in METRICS if m == "L1_test" or ours.diverged or scoring[0] == scoring[1]]


def _difference(
    ours: Record, reference: Record, siblings: Sequence[Record], name: str
) -> Difference:
    theirs = metric(reference, name)
    if ours.diverged:
        return Difference(reference.run.id, name, None, theirs, 0.0)
    # Two trainings of one seed part by rounding: both draw from the spread over seeds.
    seeds = math.sqrt(2) * seed_sd(siblings, name, reference.profile)
    error = math.hypot(_image_error(ours, reference, name), seeds)
    return Difference(reference.run.id, name, metric(ours, name), theirs, error)


def seed_sd(records: Sequence[Record], name: str, profile: str) -> float:
    """Spread of a metric over seeds; the assumed one counts as one more degree of freedom.

    Two seeds that happen to agree would otherwise call every other value a regression.
    """
    known = SEED_SD_POINTS if name == ERROR else SEED_SD_NATS
    assumed = known.get(profile, SEED_SD_ELSEWHERE)
    if len(records) < 2:
        return assumed
    freedom = len(records) - 1
    variance = statistics.variance([metric(r, name) for r in records])
    return math.sqrt((assumed**2 + freedom * variance) / (freedom + 1))


def _image_error(ours: Record, reference: Record, name: str) -> float:
    """Standard error over images, Monte-Carlo error included; paired on the same images."""
    if name == ERROR:
        return math.hypot(metric(ours, "error_se"), metric(reference, "error_se"))
    key, se = METRICS[name]
    if _same_images(ours, reference):
        a, b = array(ours, "per_image", key), array(reference, "per_image", key)
        if len(a) == len(b) > 1:
            return float(np.std(a.astype(float) - b, ddof=1)) / math.sqrt(len(a))
    return math.hypot(metric(ours, se), metric(reference, se))


def _same_images(ours: Record, reference: Record) -> bool:
    """Equal Runs score equal images, unless their source files differed."""
    files = "per_image.npz"
    saved = all(files in r.files for r in (ours, reference))
    sources = [r.env.get("data", {}).get("hash") for r in (ours, reference)]
    return saved and sources[0] == sources[1]
