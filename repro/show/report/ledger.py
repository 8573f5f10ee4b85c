"""The run ledger: every Run that a profile plans or a store knows of, with what became of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from repro.judge.measures import divergence
from repro.plan.profiles import Profile, known_run
from repro.plan.run import Run
from repro.store import Record, Store
from repro.store.states import OTHER_CONFIGURATION

LEGEND = {
    "done": "trained and scored",
    "running": "a process is training it now",
    "missing": "planned; nothing says that it was begun",
    "interrupted": "begun; the same command goes on with what was saved",
    "data missing": "planned; this machine lacks its data set",
    "failed": "ended with an error, which is given",
    "diverged": "its bound was no longer finite; recorded with the epoch",
    OTHER_CONFIGURATION: "the record of this name is not the profile's Run",
}


@dataclass(frozen=True)
class Entry:
    """One Run of the ledger. `state` is a key of LEGEND; `reason` says why it is not done."""

    id: str
    state: str
    reason: str = ""
    record: Record | None = None


def entries(
    store: Store, p: Profile, planned: Iterable[Run], state_of: Callable[[Run], str]
) -> tuple[Entry, ...]:
    """Planned Runs first, then every other that the store holds a record or a failure of.

    Raises RecordError for a damaged record.
    """
    asked = {run.id: run for run in planned}
    records = {r.run.id: r for r in store.records(p.name)}
    failures = store.failures(p.name)

    def state(run_id: str) -> str:
        """Of a Run that nobody planned: held against what the profile would ask for."""
        if run := asked.get(run_id) or known_run(run_id, p):
            return state_of(run)
        return OTHER_CONFIGURATION if run_id in records else "failed"

    def why(run_id: str, state: str) -> str:
        if state == "diverged":
            return divergence(records[run_id])
        if state == "failed":
            return failures.get(run_id, "no reason noted")
        return LEGEND[state] if state == OTHER_CONFIGURATION else ""

    states = {i: state(i) for i in dict.fromkeys((*asked, *records, *failures))}
    return tuple(Entry(i, s, why(i, s), records.get(i)) for i, s in states.items())
