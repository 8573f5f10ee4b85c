"""Why a Run failed: a note beside the records, until there is one of it."""

import datetime
import json
import os
from pathlib import Path

from repro.errors import RecordError
from repro.store.files import write_file
from repro.store.sealed import json_of, read_bytes

FOLDER = ".failed"


def path_of(folder: Path, run_id: str) -> Path:
    """The note of a Run in the folder of its profile."""
    return folder / FOLDER / f"{run_id}.json"


def note(folder: Path, run_id: str, reason: str) -> None:
    """Raises MachineError."""
    said = {"run": run_id, "reason": reason, "at": now(), "pid": os.getpid()}
    write_file(path_of(folder, run_id), json.dumps(said).encode())


def reasons(folder: Path) -> dict[str, str]:
    """By run id, in its order."""
    return {path.stem: _reason(path) for path in sorted((folder / FOLDER).glob("*.json"))}


def _reason(path: Path) -> str:
    """What a note says; a damaged one hides no other Run."""
    try:
        return str(json_of(path, read_bytes(path)).get("reason", "no reason noted"))
    except RecordError as e:
        return str(e)


def now() -> str:
    """As records and notes write it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
