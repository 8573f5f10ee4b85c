"""One process a Run: file locks beside the records."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from repro.errors import MachineError
from repro.store.files import disk_errors

PATIENCE = 0.5  # seconds: who only asks whether a Run is being trained holds it for a moment


@contextlib.contextmanager
def lock(folder: Path, *run_ids: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold Runs. Raises MachineError for one that another process still has after `patience` s."""
    with contextlib.ExitStack() as held:
        for run_id in run_ids:
            path = folder / ".locks" / f"{run_id}.lock"
            with disk_errors(path, "lock"):
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    held.enter_context(filelock.FileLock(path, timeout=patience))
                except filelock.Timeout:
                    raise MachineError(
                        f"{run_id} is being trained by another process ({path}): wait for it, or"
                        " stop it"
                    ) from None
        yield
