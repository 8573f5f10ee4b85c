"""Data sets: found in a local folder or fetched, verified by content, loaded as bytes.

A new data set is one file beside `mnist.py` and one line in DATA_SETS. No torch.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from repro.data import mirrors, seen, sources
from repro.data.images import Images
from repro.data.mnist import MNIST
from repro.data.norb import NORB
from repro.data.omniglot import OMNIGLOT
from repro.data.sources import DataSet, FileStatus, directory
from repro.errors import DataError, MachineError, UsageError
from repro.plan.run import Data
from repro.store.files import why_unreadable

DATA_SETS = {d.name: d for d in (MNIST, OMNIGLOT, NORB)}
FIRST = ("mnist",)  # what is fetched unless another is asked for


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """An OSError of a data folder or file becomes a DataError that names it."""
    try:
        yield
    except OSError as e:
        raise DataError(f"{e.filename}: {why_unreadable(e)}") from e


def load(data: Data, data_dir: Path | None = None) -> Images:
    """The data set of a configuration; files that the data folder lacks are fetched first.

    One that is fetched on request only must be there. The folder is `data_dir`, else $REPRO_DATA,
    else `data/` beside the stores; it may be read-only when complete. Raises UsageError (unknown
    name), DataError (missing, damaged, or no mirror has it), MachineError (disk full, folder not
    writable).
    """
    return load_set(_named([data.name])[0], data_dir, data)


@_reading()
def load_set(data_set: DataSet, data_dir: Path | None = None, data: Data | None = None) -> Images:
    """As `load`, for a data set that need not be in the table.

    Of several versions, the first that the folder holds whole; nothing is fetched then, so that
    a Run's data do not depend on the network.
    """
    folder = directory(data_dir) / data_set.name
    if fault := _lacking(data_set, data_dir):
        raise DataError(fault)
    whole = next((v for v in data_set.versions if not v.missing(folder)), None)
    version, hosts = (whole, []) if whole else _best(data_set, folder)
    source = ", ".join(hosts) or sources.LOCAL
    return version.decode(version, data or Data(data_set.name), folder, source)


@_reading()
def lacking(name: str, data_dir: Path | None = None) -> str | None:
    """What to say and do where training would not find a data set; None: it has it, or fetches it.

    Raises UsageError for an unknown name.
    """
    return _lacking(_named([name])[0], data_dir)


@_reading()
def status(data_dir: Path | None = None, names: Iterable[str] | None = None) -> list[FileStatus]:
    """The state of every file of the named data sets (default: all). Fetches nothing."""
    folder = directory(data_dir)
    return [s for d in _named(names) for s in sources.status(d, folder / d.name)]


@_reading()
def fetch(names: Iterable[str] | None = None, data_dir: Path | None = None) -> list[FileStatus]:
    """Fetch what is missing of the named data sets (default: FIRST) and verify them.

    Of several versions, the best that can be had. Never overwrites a file. Raises as `load`.
    """
    names = list(names or FIRST)
    for data_set in _named(names):
        _best(data_set, directory(data_dir) / data_set.name)
    return verify(data_dir, names)


@_reading()
def verify(data_dir: Path | None = None, names: Iterable[str] | None = None) -> list[FileStatus]:
    """As `status`, but raises DataError for the first file that is damaged or missing.

    Default: FIRST, and every other data set that the folder holds a file of.
    """
    found = status(data_dir, names or _begun(directory(data_dir)))
    for s in found:
        if s.state in ("damaged", "missing"):
            fault = "missing: " if s.state == "missing" else ""
            raise DataError(f"{s.path}: {fault}{s.detail}")
    return found


def _begun(folder: Path) -> list[str]:
    """FIRST, and the data sets of which a file is there."""
    versions = [(name, v) for name, d in DATA_SETS.items() for v in d.versions]
    there = {name for name, v in versions if len(v.missing(folder / name)) < len(v.files)}
    return [name for name in DATA_SETS if name in FIRST or name in there]


def _lacking(data_set: DataSet, data_dir: Path | None) -> str | None:
    folder = directory(data_dir) / data_set.name
    if not (data_set.on_request and (missing := data_set.missing(folder))):
        return None
    return (
        f"{data_set.name}: data missing, no {missing[0].published} in {folder}: run"
        f" `{data_set.fetch_into(folder)}`, or put the files there{seen.hint(data_set, folder)}"
    )


def _best(data_set: DataSet, folder: Path) -> tuple[DataSet, list[str]]:
    """The first version that is there or can be fetched, and the hosts it came from."""
    faults: list[str] = []
    for version in data_set.versions:
        try:
            return version, mirrors.download(version, folder) if version.missing(folder) else []
        except (DataError, MachineError) as e:
            faults.append(f"{e}{seen.hint(version, folder)}")
            last = e
    raise type(last)("; ".join(faults)) from last


def _named(names: Iterable[str] | None) -> list[DataSet]:
    wanted = list(names or DATA_SETS)
    for name in wanted:
        if name not in DATA_SETS:
            raise UsageError(f"unknown data set {name!r}: choose from {', '.join(DATA_SETS)}")
    return [DATA_SETS[name] for name in wanted]
