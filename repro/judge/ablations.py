"""What a choice changes, beside what training again would change. No torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from repro.judge.estimate import LEVEL, Estimate
from repro.judge.evidence import Books, Evidence
from repro.judge.measures import metric, scoring
from repro.judge.over_images import PER_IMAGE, images_error
from repro.plan.experiments.ablations import base_of, choice_of
from repro.plan.experiments.grid import Cell
from repro.store import Record

UNKNOWN = "one training: noise unknown"
OTHERWISE = "measured otherwise"
INSIDE = "inside the noise"
SAME = 1e-3  # nats that two curves of one training differ by at most, in stacks of unlike width


@dataclass(frozen=True)
class Change:
    """Of one metric, nats per example; `by` has the error of training both again."""

    by: Estimate
    over_images: float  # standard error over images alone
    outcome: str  # inside the noise, higher, lower, or why neither can be said

    @property
    def error(self) -> float:
        return self.by.error if self.by.known else self.over_images


def changes(found: Books, cells: Sequence[Cell], name: str) -> dict[Cell, Change]:
    """Of every cell that has run, if the default that it is held against has.

    Corrected for their number and that of the bounds (Bonferroni), but for those on other data,
    which are not judged.
    """
    ran = [c for c in cells if found.of(c).trainings and found.of(base_of(c)).trainings]
    level = LEVEL / (2 * tests(judged(ran)))
    return {c: _change(found, c, base_of(c), name, level) for c in ran}


def judged(cells: Iterable[Cell]) -> list[Cell]:
    """Those whose bounds can be compared with the default's."""
    return [c for c in cells if (choice := choice_of(c)) and not choice.data]


def tests(judged: Sequence[Cell]) -> int:
    """How many two-sided ones are made of these rows."""
    return len(PER_IMAGE) * max(1, len(judged))


def _change(found: Books, cell: Cell, default: Cell, name: str, level: float) -> Change:
    by = found.difference(cell, default, name, paired=True)
    base = found.of(default)
    ours, other = found.together(cell, default)
    images = images_error(ours.done, other.done, name)
    if pairs := scored_both_ways(found.of(cell), base):
        one, two = zip(*pairs, strict=True)
        images = images_error(one, two, name)
        gap = sum(metric(a, name) - metric(b, name) for a, b in pairs) / len(pairs)
        by = Estimate(gap, images**2)
    low, high = by.interval(level)
    if name == "LK_test" and len({scoring(e.trainings[0]) for e in (found.of(cell), base)}) > 1:
        return Change(by, images, OTHERWISE)
    if not by.known:
        return Change(by, images, UNKNOWN)
    outcome = "higher" if low > 0 else "lower" if high < 0 else INSIDE
    return Change(by, images, outcome)


def scored_both_ways(ours: Evidence, base: Evidence) -> list[tuple[Record, Record]]:
    """Records of one training, of a choice that only scores otherwise: its noise is in neither."""
    choice = choice_of(ours.cell)
    if choice is None or not choice.evaluation:
        return []
    return [
        (a, b)
        for a, b in product(ours.trainings, base.trainings)
        if a.run.seed == b.run.seed and np.allclose(_running(a), _running(b), rtol=0, atol=SAME)
    ]


def _running(record: Record) -> Any:
    return record.curve()["L1_train_running"].to_numpy()
