"""What the page shows of a store, gathered from records, registries and verdicts. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from repro.judge.check import Report
from repro.judge.verdicts import SILENT, ClaimResult, TargetResult
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.profiles import Profile, run_of
from repro.show import layout, words
from repro.show.report import ledger
from repro.show.report.deviations import Choice
from repro.show.report.images import Image
from repro.show.report.measured import Measured
from repro.store import Record


@dataclass(frozen=True)
class Behind:
    """What stands behind something shown: how to make it again, and the records it came from."""

    commands: tuple[str, ...]
    records: tuple[Record, ...] = ()
    not_run: bool = False  # its Runs are known, and none has a record


@dataclass(frozen=True)
class Group:
    """The published numbers of one table or text of the paper, and what stands behind ours."""

    title: str
    targets: tuple[tuple[TargetResult, Behind], ...]

    @property
    def ran(self) -> bool:
        return any(r.verdict not in SILENT for r, _ in self.targets)


@dataclass(frozen=True)
class Sheet:
    """A table as its script builds it."""

    name: str
    table: layout.Table
    behind: Behind


@dataclass(frozen=True)
class Figure:
    """A figure as its script draws it; `title` says what it shows."""

    name: str
    title: str
    image: Image
    behind: Behind


@dataclass(frozen=True)
class Part:
    """One profile of the store."""

    profile: Profile
    report: Report
    groups: tuple[Group, ...]
    claims: tuple[tuple[ClaimResult, Behind], ...]
    sheets: tuple[Sheet, ...]
    figures: tuple[Figure, ...]
    entries: tuple[ledger.Entry, ...]
    check: str  # the command that prints the verdicts
    draw: str  # the command that draws the figures

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """Published numbers, claims and Runs by verdict or state."""
        return {
            "published numbers": Counter(r.verdict for r in self.report.targets),
            "claims": Counter(r.verdict for r in self.report.claims),
            "Runs": Counter(e.state for e in self.entries),
        }


@dataclass(frozen=True)
class Page:
    """Everything on the page: parts, fullest profile first; benchmarks, each with its figure where
    it holds a curve; and what is not of records.
    """

    store: str
    parts: tuple[Part, ...]
    benches: tuple[tuple[Measured, Figure | None], ...]
    roundings: tuple[Measured, ...]
    choices: tuple[Choice, ...]


class Source:
    """Makes the entries of a part: knows its store's name, its profile and its records."""

    def __init__(self, store: str, p: Profile, records: Sequence[Record]) -> None:
        self.store, self.p, self.records = store, p, records

    def groups(self, report: Report) -> tuple[Group, ...]:
        """By the first word of a target's id: table1, text, ..."""
        by_title: dict[str, list[tuple[TargetResult, Behind]]] = {}
        for r in report.targets:
            said = words.title(r.target.id.partition("/")[0]).replace("_", " ")
            by_title.setdefault(said[:1].upper() + said[1:], []).append((r, self._of_target(r)))
        return tuple(Group(title, tuple(targets)) for title, targets in by_title.items())

    def _of_target(self, r: TargetResult) -> Behind:
        records = tuple(record for record in self.records if record.run.id in r.runs)
        return Behind(self._trains(() if records else r.target.cells, records), records)

    def claims(self, report: Report) -> tuple[tuple[ClaimResult, Behind], ...]:
        return tuple((r, self._of_cells(r.claim.cells)) for r in report.claims)

    def drawn(self, folder: str, name: str, cells: Sequence[Cell]) -> Behind:
        """What stands behind a table or figure that shows these cells."""
        trained = self._of_cells(cells)
        draw = f"python {folder}/{name}.py --store {self.store} --profile {self.p.name}"
        not_run = bool(cells) and not trained.records
        return Behind((*trained.commands, draw), trained.records, not_run)

    def _of_cells(self, cells: Sequence[Cell]) -> Behind:
        held = tuple(c for c in cells if self.p.holds(c)) or tuple(cells)
        records = tuple(r for r in self.records if cell_of(r.run) in set(cells))
        have = {cell_of(r.run) for r in records}
        return Behind(self._trains([c for c in held if c not in have], records), records)

    def _trains(self, cells: Sequence[Cell], records: Sequence[Record]) -> tuple[str, ...]:
        """Trains these Runs, and the first of these cells; nothing where there are none."""
        ids = [*(r.run.id for r in records), *(run_of(c, self.p).id for c in cells)]
        return (words.trains(ids, self.p, records),) if ids else ()
