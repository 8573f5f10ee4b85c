"""Data sets: found in a local folder or fetched, verified by content, loaded as bytes.

A new data set is one file beside `mnist.py` and one line in DATA_SETS. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from repro.config import Data
from repro.data import mirrors, sources
from repro.data.images import Images, binarise
from repro.data.mnist import MNIST
from repro.data.norb import NORB
from repro.data.sources import DataSet, FileStatus, directory
from repro.errors import DataError, UsageError

__all__ = [
    "DATA_SETS",
    "FileStatus",
    "Images",
    "binarise",
    "directory",
    "fetch",
    "lacking",
    "load",
    "load_set",
    "status",
    "verify",
]

DATA_SETS = {"mnist": MNIST, "norb": NORB}


def load(data: Data, data_dir: Path | None = None) -> Images:
    """The data set of a configuration; files that the data folder lacks are fetched first.

    One that is fetched on request only must be there. The folder is `data_dir`, else $REPRO_DATA,
    else `data/` of the checkout; it may be read-only when complete. Raises UsageError (unknown
    name), DataError (missing, damaged, or no mirror has it), MachineError (disk full, folder not
    writable).
    """
    return load_set(_named([data.name])[0], data_dir, data)


def load_set(data_set: DataSet, data_dir: Path | None = None, data: Data | None = None) -> Images:
    """As `load`, for a data set that need not be in the table."""
    folder = directory(data_dir) / data_set.name
    if fault := _lacking(data_set, data_dir):
        raise DataError(fault)
    hosts = _complete(data_set, folder)
    source = ", ".join(hosts) or sources.LOCAL
    return data_set.decode(data_set, data or Data(data_set.name), folder, source)


def lacking(name: str, data_dir: Path | None = None) -> str | None:
    """What to say and do where training would not find a data set; None: it has it, or fetches it.

    Raises UsageError for an unknown name.
    """
    return _lacking(_named([name])[0], data_dir)


def status(data_dir: Path | None = None, names: Iterable[str] | None = None) -> list[FileStatus]:
    """The state of every file of the named data sets (default: all). Fetches nothing."""
    folder = directory(data_dir)
    return [s for d in _named(names) for s in sources.status(d, folder / d.name)]


def fetch(names: Iterable[str] | None = None, data_dir: Path | None = None) -> list[FileStatus]:
    """Fetch what is missing of the named data sets and verify them.

    Default: all but those that are fetched on request. Never overwrites a file. Raises as `load`.
    """
    names = list(names or (d.name for d in DATA_SETS.values() if not d.on_request))
    for data_set in _named(names):
        _complete(data_set, directory(data_dir) / data_set.name)
    return verify(data_dir, names)


def verify(data_dir: Path | None = None, names: Iterable[str] | None = None) -> list[FileStatus]:
    """As `status`, but raises DataError for the first file that is damaged or missing.

    By default, a data set that is fetched on request may be missing altogether.
    """
    wanted = names or [
        n for n, d in DATA_SETS.items() if not (d.on_request and _absent(d, data_dir))
    ]
    found = status(data_dir, wanted)
    for s in found:
        if s.state != "ok":
            fault = "missing: " if s.state == "missing" else ""
            raise DataError(f"{s.path}: {fault}{s.detail}")
    return found


def _absent(data_set: DataSet, data_dir: Path | None) -> bool:
    return len(data_set.missing(directory(data_dir) / data_set.name)) == len(data_set.files)


def _lacking(data_set: DataSet, data_dir: Path | None) -> str | None:
    folder = directory(data_dir) / data_set.name
    if not (data_set.on_request and (missing := data_set.missing(folder))):
        return None
    return (
        f"{data_set.name}: data missing, no {missing[0].published} in {folder}: run"
        f" `{data_set.fetch_command}`, or put the files there"
    )


def _complete(data_set: DataSet, folder: Path) -> list[str]:
    return mirrors.download(data_set, folder) if data_set.missing(folder) else []


def _named(names: Iterable[str] | None) -> list[DataSet]:
    wanted = list(names or DATA_SETS)
    for name in wanted:
        if name not in DATA_SETS:
            raise UsageError(f"unknown data set {name!r}: choose from {', '.join(DATA_SETS)}")
    return [DATA_SETS[name] for name in wanted]
