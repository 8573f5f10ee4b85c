"""Which records answer a cell, and every statistic over seeds and replicates. No torch.

Tables, figures, claims and the check only format what stands here. A record answers a cell if it
is the Run that the profile asks for, whatever it is called: Runs of equal content under two names
are replicates of one Run, and count by their mean. Of a profile that this version does not know,
every record of the same data counts, as reduced.
"""

from __future__ import annotations

import contextlib
import functools
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from repro.errors import RecordError
from repro.judge.estimate import Estimate, Part, of_seeds
from repro.judge.measures import PUBLISHED, data_version, divergence, mc_error, metric, scoring
from repro.judge.over_images import images_error
from repro.plan.experiments import cells, label_of
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.profiles import PROFILES, Profile, run_of
from repro.plan.run import Run
from repro.store import Record, Store
from repro.store.states import OTHER_CONFIGURATION

NOT_RUN = "not run"
OTHER_DATA = "other data"
NO_BOUND = "no finite bound"
COPY = "equal to a replicate to the last bit"
BOUNDS = ("L1_test", "LK_test")
Read = Callable[[Record], float]
Quantity = str | Callable[[Record], Any]  # a number of final.json by its name, or how it is read
Like = Callable[[Record], bool]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a store says of one cell.

    trainings: the finished records that count, by seed, the cell's own name first among
    replicates. left_out: records of that name or Run that do not count, and why.
    """

    cell: Cell
    trainings: tuple[Record, ...] = ()
    diverged: tuple[Record, ...] = ()
    left_out: tuple[tuple[Record, str], ...] = ()
    protocol: bool = False  # they are the published protocol's Runs, on the published data

    @functools.cached_property
    def by_seed(self) -> dict[int, list[Record]]:
        """The replicates of each seed."""
        found: dict[int, list[Record]] = {}
        for r in self.trainings:
            found.setdefault(r.run.seed, []).append(r)
        return found

    @property
    def done(self) -> tuple[Record, ...]:
        """One record a seed: what figures of single Runs show."""
        return tuple(of[0] for of in self.by_seed.values())

    @property
    def seeds(self) -> int:
        return len(self.by_seed)

    @property
    def lost(self) -> bool:
        """Whether a training diverged or ended without a finite bound: the others are chosen."""
        return bool(self.diverged) or any(why == NO_BOUND for _, why in self.left_out)

    @property
    def state(self) -> str:
        """Empty where something counts, else why nothing does."""
        if self.trainings:
            return ""
        if self.diverged:
            return divergence(self.diverged[0])
        return self.left_out[0][1] if self.left_out else NOT_RUN

    @property
    def label(self) -> str:
        """The variant's name, followed by the reason where nothing counts."""
        name = label_of(self.cell)
        return f"{name} ({self.state})" if self.state else name

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(r.run.id for r in self.trainings)

    @property
    def other_version(self) -> str:
        """The version of the data set, where it is another than the paper's; else empty."""
        records = (*self.trainings, *self.diverged)
        return next((v for r in records if (v := data_version(r)) != PUBLISHED), "")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the records, in the same words everywhere."""
        lost = [*self.left_out, *((r, divergence(r)) for r in self.diverged)]
        said = [f"{why}, not counted: {r.run.id}" for r, why in lost]
        said += [
            f"replicates of one Run, whose mean counts: {', '.join(r.run.id for r in of)}"
            for of in self.by_seed.values()
            if len(of) > 1
        ]
        return tuple(said)

    def only(self, seeds: Sequence[int]) -> Evidence:
        """Its trainings of some seeds."""
        return replace(self, trainings=tuple(r for r in self.trainings if r.run.seed in seeds))

    def shared(self, other: Evidence) -> tuple[Evidence, Evidence]:
        """Both, of the seeds that both have."""
        return self.only(list(other.by_seed)), other.only(list(self.by_seed))

    def values(self, what: Quantity) -> list[Any]:
        """Of each seed, the mean over its replicates."""
        read = functools.partial(metric, name=what) if isinstance(what, str) else what
        return [np.mean([read(r) for r in of], axis=0) for of in self.by_seed.values()]

    def mean(self, what: Quantity) -> Any:
        """Over seeds."""
        return np.mean(self.values(what), axis=0)

    def sd(self, what: Quantity) -> float | None:
        """Over seeds; None of fewer than two."""
        return statistics.stdev(map(float, self.values(what))) if self.seeds > 1 else None

    @property
    def mc_error(self) -> float:
        """Monte-Carlo error of the mean L_K over seeds, nats."""
        each = (math.hypot(*map(mc_error, of)) / len(of) for of in self.by_seed.values())
        return math.hypot(*each) / self.seeds

    def estimate(self, what: Quantity) -> Estimate:
        """Over seeds, with the error of their own spread."""
        return of_seeds([float(v) for v in self.values(what)])


class Books:
    """The records of one profile, sorted by what they answer."""

    def __init__(self, records: Iterable[Record], p: Profile | None) -> None:
        self.records = sorted(records, key=lambda r: r.run.seed)
        self.p = p
        self.of: Callable[[Cell], Evidence] = functools.cache(self._choose)
        self._seeds = sorted({r.run.seed for r in self.records})
        self._cells: dict[Cell, list[Record]] = {}
        self._same: dict[str, list[Record]] = {}
        for r in self.records:
            self._cells.setdefault(cell_of(r.run), []).append(r)
            self._same.setdefault(r.run.hash, []).append(r)

    @property
    def published_protocol(self) -> bool:
        return self.p is not None and self.p.published_protocol

    def _choose(self, cell: Cell) -> Evidence:
        """What answers a cell."""
        own = self._cells.get(cell, [])
        if cell not in cells():  # of a variant that is no more
            return Evidence(cell, left_out=tuple((r, OTHER_CONFIGURATION) for r in own))
        same_data = [r for r in own if self._why(r) != OTHER_DATA]
        asked = same_data if self.p is None else self._asked(cell, self.p)
        left = [(r, self._why(r)) for r in own if r not in asked]
        published = [r for r in asked if data_version(r) == PUBLISHED]
        if published and len(published) < len(asked):
            left += [(r, OTHER_DATA) for r in asked if r not in published]
            asked = published
        asked, unlike = _comparable(asked)
        left += unlike
        trainings = _distinct(asked)
        left += [(r, COPY) for r in asked if r not in trainings]
        return Evidence(
            cell,
            trainings=tuple(r for r in trainings if not r.diverged),
            diverged=tuple(r for r in trainings if r.diverged),
            left_out=tuple(left),
            protocol=bool(published) and self.published_protocol,
        )

    def _asked(self, cell: Cell, p: Profile) -> list[Record]:
        """The profile's Runs of a cell, under whatever name; its own name first."""
        found: list[Record] = []
        for seed in self._seeds:
            run = run_of(cell, p, seed)
            found += sorted(self._same.get(run.hash, []), key=lambda r: r.run.id != run.id)
        return found

    def _why(self, record: Record) -> str:
        """Why a record of a cell's name does not answer it."""
        run = run_of(cell_of(record.run), self.p or PROFILES["paper"], record.run.seed)
        return OTHER_CONFIGURATION if record.run.data == run.data else OTHER_DATA

    @functools.cached_property
    def repeated(self) -> list[list[Record]]:
        """Groups of trainings that count and differ in seed and rounding alone, of two or more.

        Of its own each: what began with another's weights or only scores otherwise is left out.
        """
        groups: dict[tuple[Any, ...], list[Record]] = {}
        for r in self.records:
            counts = r.run.id in self.of(cell_of(r.run)).ids
            own = r.run.start is None and r.run.evaluation.statistics == "full"
            if counts and own and data_version(r) == PUBLISHED:
                groups.setdefault((r.run.with_seed(1).hash, *scoring(r)), []).append(r)
        return [each for group in groups.values() if len(each := _distinct(group)) > 1]

    def spread(
        self, run: Run, read: Read, like: Like = lambda r: True, borrow: bool = True
    ) -> tuple[Part, ...]:
        """Variance of one training's value by seed and rounding: a part for each group of
        trainings that it is pooled from, by its degrees of freedom.

        From the trainings of that Run that stand on their own, where three or more do; else, where
        it may `borrow`, of hierarchies with batch norm like it, or without, at that depth or
        deeper, each training `like` it. Ladder networks borrow nothing, as nothing says that their
        variants vary alike. Empty where nothing is known, also where borrowed values do not differ.
        """
        own = run.with_seed(1).hash
        deep = [g for g in self.repeated if _as_deep(g[0].run, run) and all(map(like, g))]
        enough = [g for g in deep if len(g) > 2 and g[0].run.with_seed(1).hash == own]
        if not borrow or run.labels:
            alike = []
        else:
            norm = run.hierarchy.batch_norm
            alike = [g for g in deep if g[0].run.hierarchy.batch_norm == norm]
        values, names = [], []
        for group in enough or alike:
            with contextlib.suppress(RecordError):  # of records older than the number
                values.append([float(read(r)) for r in group])
                names.append(group[0].run.id)
        df = [len(v) - 1 for v in values]
        var = [statistics.variance(v) * d / sum(df) for v, d in zip(values, df, strict=True)]
        differs = any(var) or any(g[0].run.with_seed(1).hash == own for g in enough or alike)
        return tuple(zip(var, df, names, strict=True)) if differs else ()

    def training_spread(
        self, e: Evidence, read: Read, like: Like = lambda r: True, borrow: bool = True
    ) -> Estimate:
        """A cell's mean of a quantity, with the error that training again would make of it."""
        own, run = e.estimate(read), e.trainings[0].run
        if e.seeds > 2:  # others may borrow from these trainings
            source = "".join(name for _, _, name in self.spread(run, read, borrow=False))
            return replace(own, parts=((own.var, own.df, source),))
        of_one = self.spread(run, read, like, borrow)
        parts = tuple((var / e.seeds, df, source) for var, df, source in of_one)
        return Estimate(own.mean).with_parts(parts) if parts else own

    def together(self, a: Cell, b: Cell) -> tuple[Evidence, Evidence]:
        """Both, of the seeds that both have; where they share none, whole."""
        both = self.of(a).shared(self.of(b))
        return both if both[0].trainings else (self.of(a), self.of(b))

    def difference(self, a: Cell, b: Cell, name: str, paired: bool = False) -> Estimate:
        """One metric of a less that of b.

        Its error: of training both again, and over images where both are scored on the same.
        paired: of the seeds that both have, where there are any.
        """
        ours, other = self.together(a, b) if paired else (self.of(a), self.of(b))
        if not ours.trainings or not other.trainings:
            raise ValueError(f"no trainings of {a if not ours.trainings else b}")
        read = functools.partial(metric, name=name)
        d = self.training_spread(ours, read) - self.training_spread(other, read)
        return d.plus(images_error(ours.done, other.done, name) ** 2)


def _comparable(asked: list[Record]) -> tuple[list[Record], list[tuple[Record, str]]]:
    """Those whose bounds may be averaged, and why the others may not.

    A bound is null in a record where a weight is 0. Of records scored in several ways those count
    that are scored as their Run asks; of those, or where none is, the ones of most images and K.
    """
    scored = [r for r in asked if not r.diverged]
    null = [r for r in scored if any(r.final.get(name, 0) is None for name in BOUNDS)]
    scored = [r for r in scored if r not in null]
    best = max(map(_thorough, scored), default=None)
    unlike = [r for r in scored if _thorough(r) != best]
    left = [(r, NO_BOUND) for r in null]
    left += [(r, "scored with other K or images") for r in unlike]
    return [r for r in asked if r not in null + unlike], left


def _distinct(records: list[Record]) -> list[Record]:
    """The first of those with one seed and one curve, which no scoring changes: one training."""
    first: dict[tuple[int, str], Record] = {}
    for r in records:
        first.setdefault((r.run.seed, r.sums.get("curve.csv", r.run.id)), r)
    return list(first.values())


def _thorough(record: Record) -> tuple[bool, int, int]:
    """How L_K was measured, the best last; all alike of Ladder networks, which have none."""
    k, images = (n or 0 for n in scoring(record))
    evaluation = record.run.evaluation
    asked = k == evaluation.importance_samples and evaluation.lk_images in (None, images)
    return asked, images, k


def _as_deep(repeated: Run, run: Run) -> bool:
    """Whether some trainings are of that data set and kind of model, and as deep or deeper."""
    if (repeated.data.name, repeated.labels) != (run.data.name, run.labels):
        return False
    return repeated.model.depth >= run.model.depth


def books(store: Store, profile: str) -> Books:
    """Of a store's profile. Raises RecordError for a damaged record."""
    return Books(store.records(profile), PROFILES.get(profile))


def named(evidence: Sequence[Evidence]) -> str:
    """Every note of several cells as sentences, each once."""
    said = dict.fromkeys(note for e in evidence for note in e.notes)
    return "".join(f" {note[:1].upper()}{note[1:]}." for note in said)
