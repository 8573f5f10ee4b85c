"""What the page shows of a profile, gathered from records, registries and verdicts. No torch."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from repro.judge.check import check
from repro.judge.evidence import books
from repro.judge.verdicts import SILENT, TargetResult
from repro.plan.experiments import EXPERIMENTS
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.profiles import Profile
from repro.show import scripts, words
from repro.show.layout import Table
from repro.show.report.ledger import Entry
from repro.store import Record, Store


class Behind(NamedTuple):
    """What stands behind something shown: how to make it again, and the records it came from."""

    commands: tuple[str, ...]
    records: tuple[Record, ...] = ()
    not_run: bool = False  # its Runs are known, and none has a record


class Figure(NamedTuple):
    """A figure as its script draws it: what it shows, a data URI, and the size to show it at."""

    name: str
    title: str
    uri: str
    width: int
    height: int
    caption: str
    behind: Behind


class Part:
    """One profile of a store."""

    def __init__(self, store: Store, p: Profile, entries: Sequence[Entry]) -> None:
        self.profile, self.asked = p, f"--store {store.name} --profile {p.name}"
        self.entries, self.records = entries, store.records(p.name)
        self.report, self.books = check(store, p.name), books(store, p.name)
        self.groups = list(self._groups())
        self.claims = [(r, self._of_cells(r.claim.cells)) for r in self.report.claims]
        self.sheets = list(self._sheets(store))
        self.figures: Sequence[Figure] = ()

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """Published numbers, claims and Runs by verdict or state."""
        return {
            "published numbers": Counter(r.verdict for r in self.report.targets),
            "claims": Counter(r.verdict for r in self.report.claims),
            "Runs": Counter(e.state for e in self.entries),
        }

    def behind(self, folder: str, name: str, cells: Sequence[Cell]) -> Behind:
        """What stands behind a table or figure that shows these cells."""
        trained = self._of_cells(cells)
        draw = f"python {folder}/{name}.py {self.asked}"
        not_run = bool(cells) and not trained.records
        return Behind((*trained.commands, draw), trained.records, not_run)

    def _groups(self) -> Iterator[tuple[str, bool, list[tuple[TargetResult, Behind]]]]:
        """Published numbers by the first word of their ids: title, whether any was run, they."""
        by_title: dict[str, list[tuple[TargetResult, Behind]]] = {}
        for r in self.report.targets:
            said = words.title(r.target.id.partition("/")[0]).replace("_", " ")
            records = tuple(record for record in self.records if record.run.id in r.runs)
            behind = Behind(self._trains(() if records else r.target.cells, records), records)
            by_title.setdefault(said[:1].upper() + said[1:], []).append((r, behind))
        for title, found in by_title.items():
            yield title, any(r.verdict not in SILENT for r, _ in found), found

    def _sheets(self, store: Store) -> Iterator[tuple[str, Table, Behind]]:
        """Every table, as its script builds it."""
        for name in scripts.names("tables"):
            table = scripts.load("tables", name).build(store, self.profile.name)
            shown = (cell for of in table.cells for cell in of)
            cells = list(dict.fromkeys((*EXPERIMENTS.get(name, ()), *shown)))
            yield name, table, self.behind("tables", name, cells)

    def _of_cells(self, cells: Sequence[Cell]) -> Behind:
        held = tuple(c for c in cells if self.profile.holds(c)) or tuple(cells)
        ids = {run_id for c in cells for run_id in self.books.of(c).ids}  # of whatever name
        records = tuple(r for r in self.records if r.run.id in ids or cell_of(r.run) in set(cells))
        lacking = [c for c in held if not self.books.of(c).ids]
        return Behind(self._trains(lacking, records), records)

    def _trains(self, cells: Sequence[Cell], records: Sequence[Record]) -> tuple[str, ...]:
        """Trains these Runs and what else these cells lack; nothing where there are none."""
        ids = words.ids_behind(cells, self.profile, records)
        return (words.trains(ids, self.profile, records),) if ids else ()
