"""What a choice changes, beside what training again would change. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from repro.judge.estimate import LEVEL, Estimate
from repro.judge.evidence import Books, images_error
from repro.plan.experiments.ablations import choice_of
from repro.plan.experiments.grid import Cell

UNKNOWN = "one training: noise unknown"
INSIDE = "inside the noise"


@dataclass(frozen=True)
class Change:
    """Of one metric, nats per example; `by` has the error of training both again."""

    by: Estimate
    over_images: float  # standard error over images alone
    outcome: str  # inside the noise, higher, lower, or that the noise is not known

    @property
    def error(self) -> float:
        return self.by.error if self.by.known else self.over_images


def changes(found: Books, default: Cell, others: Sequence[Cell], name: str) -> dict[Cell, Change]:
    """Of every cell that has run, if the default has.

    Corrected for their number (Bonferroni), but for those on other data, which are not judged.
    """
    base = found.of(default)
    ran = [c for c in others if found.of(c).trainings] if base.trainings else []
    level = LEVEL / (2 * max(1, len(judged(ran))))
    return {c: _change(found, c, default, name, level) for c in ran}


def judged(cells: Iterable[Cell]) -> list[Cell]:
    """Those whose bounds can be compared with the default's."""
    return [c for c in cells if (choice := choice_of(c)) and not choice.other_data]


def _change(found: Books, cell: Cell, default: Cell, name: str, level: float) -> Change:
    by = found.difference(cell, default, name, paired=True)
    ours, base = found.of(cell).shared(found.of(default))
    images = images_error(ours.done, base.done, name) if ours.trainings else 0.0
    low, high = by.interval(level)
    if not by.known:
        return Change(by, images, UNKNOWN)
    outcome = "higher" if low > 0 else "lower" if high < 0 else INSIDE
    return Change(by, images, outcome)
