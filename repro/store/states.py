"""How far a Run is, as a store shows it."""

import time

from filelock import FileLock, Timeout

from repro.errors import RecordError, UsageError
from repro.plan.profiles import find_run, profile
from repro.plan.run import Run
from repro.store import Store, failures
from repro.store.status import ALIVE, read_all

FINISHED = ("done", "diverged")
OTHER_CONFIGURATION = "other configuration"


def state(store: Store, profile: str, run: Run) -> str:
    """missing, interrupted, running, done, failed, diverged, or another configuration of its id.

    Raises RecordError when the record is damaged.
    """
    if _locked(store, profile, run.id):
        return "running"
    found = recorded_state(store, profile, run)
    return "interrupted" if found == "missing" and run.id in begun(store, profile) else found


def begun(store: Store, profile: str) -> dict[str, float]:
    """The Runs of stacks that said something, and which share of its epochs a checkpoint has."""
    found = read_all(store.folder(profile))
    return {run_id: (s.saved or 0.0) / s.epochs for s in found for run_id in s.runs}


def recorded_state(store: Store, profile: str, run: Run) -> str:
    """As `state`, but of what is saved alone: it takes no lock, not even to try it."""
    record = store.find(profile, run.id)
    if record is not None and record.run.hash != run.hash:
        return OTHER_CONFIGURATION
    if record is not None:
        return "diverged" if record.diverged else "done"
    failed = failures.path_of(store.folder(profile), run.id).exists()
    return "failed" if failed else "missing"


def recorded(store: Store, profile: str, run: Run) -> bool:
    """Whether the store holds this very Run. Raises RecordError where another has its place."""
    record = store.find(profile, run.id)
    if record is not None and record.run.hash != run.hash:
        raise RecordError(
            f"{record.folder}: holds another configuration of {run.id}: move it out of runs/ to"
            " train this"
        )
    return record is not None


def displaced(store: Store, profile_name: str, run: Run) -> bool:
    """Whether its record, or else the profile, has another configuration of this name."""
    record = store.find(profile_name, run.id)
    try:
        return run != (record.run if record else find_run(run.id, profile(profile_name)))
    except UsageError:  # of no profile
        return False


def _locked(store: Store, profile: str, run_id: str) -> bool:
    path = store.folder(profile) / ".locks" / f"{run_id}.lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a store that only others may write: what they say of themselves
        found = read_all(store.folder(profile))
        return any(run_id in s.runs and s.state(time.time()) in ALIVE for s in found)
