"""One process a Run: file locks beside the records."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock

from repro.errors import MachineError
from repro.store.files import disk_errors

PATIENCE = 0.5  # seconds: who only asks whether a Run is being trained holds it for a moment


@contextlib.contextmanager
def lock(folder: Path, run_id: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold a Run. Raises MachineError when another process still has it after `patience` s."""
    path = folder / ".locks" / f"{run_id}.lock"
    held = filelock.FileLock(path, timeout=patience)
    with disk_errors(path, "lock"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire()
        except filelock.Timeout:
            raise MachineError(
                f"{run_id} is being trained by another process ({path}): wait for it, or stop it"
            ) from None
    try:
        yield
    finally:
        held.release()


@contextlib.contextmanager
def lock_all(folder: Path, run_ids: Iterable[str], patience: float = PATIENCE) -> Iterator[None]:
    """Hold several Runs' locks, or raise MachineError naming the one that is taken."""
    with contextlib.ExitStack() as held:
        for run_id in run_ids:
            held.enter_context(lock(folder, run_id, patience))
        yield
