"""Fetching what a data folder lacks: mirrors in turn, one process at a time, whole files only."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from repro.data import sources
from repro.data.sources import FOLDER_VARIABLE, MARGIN, DataSet, File, check
from repro.errors import DataError, MachineError
from repro.store.files import REMEDIES

MIRRORS_VARIABLE = "REPRO_MIRRORS"
ELSEWHERE = f"point --data-dir or {FOLDER_VARIABLE} at"
TEMPORARY = ".fetch-"
LOCK_SECONDS = 900.0
WRITABLE = "give it room and write permission"
TIMEOUTS = (10.0, 30.0)  # seconds to connect, and without a byte
CHUNK = 1 << 16


def download(data_set: DataSet, folder: Path) -> list[str]:
    """Fetch the files that `folder` lacks; returns the hosts they came from.

    $REPRO_MIRRORS (URLs, separated by blanks, of copies of a data folder) replaces the public
    mirrors. Raises DataError when no mirror has a file, MachineError when the folder cannot
    take it.
    """
    with _alone(folder):
        missing = data_set.missing(folder)  # asked again: another process may just have finished
        _check_space(data_set, missing, folder)
        bases, used = _bases(data_set), []
        for file in missing:
            good = _fetch(file, bases, folder)
            bases = [good, *(b for b in bases if b != good)]  # do not wait for a dead one again
            used.append(_host(good))
        return list(dict.fromkeys(used))


def _bases(data_set: DataSet) -> list[str]:
    own = os.environ.get(MIRRORS_VARIABLE, "").split()
    return [f"{base.rstrip('/')}/{data_set.name}" for base in own] or list(data_set.mirrors)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; an OSError of the file system becomes a MachineError."""
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock", timeout=LOCK_SECONDS):
            for abandoned in folder.glob(f"{TEMPORARY}*"):
                shutil.rmtree(abandoned)
            yield
    except filelock.Timeout as e:
        raise MachineError(f"{folder}: another process has been fetching: end it first") from e
    except OSError as e:
        raise MachineError(
            f"{e.filename2 or folder}: cannot write ({e.strerror or e}):"
            f" {REMEDIES.get(e.errno or 0, WRITABLE)}, or {ELSEWHERE} another folder"
        ) from e


def _check_space(data_set: DataSet, missing: Sequence[File], folder: Path) -> None:
    need, free = sum(f.size + MARGIN for f in missing), shutil.disk_usage(folder).free
    if missing and free < need:
        raise MachineError(
            f"{folder}: {data_set.name} needs {need / 1e6:.0f} MB, {free / 1e6:.0f} MB are free:"
            f" free some space, or {ELSEWHERE} another disk"
        )


def _fetch(file: File, bases: Sequence[str], folder: Path) -> str:
    """Fetch one file from the first mirror that has the right content; returns that mirror."""
    try:
        import requests
    except ModuleNotFoundError as e:
        raise MachineError(
            f"{file.published}: to fetch it, {e.name} is needed, which is not installed: pip"
            f" install {e.name}, or put the file, as published, into {folder}"
        ) from e
    faults = []
    for base in bases:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder) as tmp:
            path = Path(tmp) / file.published
            try:
                _retrieve(file, f"{base.rstrip('/')}/{file.published}", path)
                check(file, path)  # of the content, as mirrors may repack
            except (requests.RequestException, ValueError, sources.DamageError) as e:
                faults.append(f"{_host(base)}: {_reason(e)}")
                continue
            # Some servers send a .gz as an *encoding*, which the client has then undone.
            path.replace(folder / (file.published if sources.is_packed(path) else file.name))
            return base
    raise DataError(
        f"{file.published}: no mirror has it ({'; '.join(faults)}): check the network, put it into"
        f" {folder}, or {ELSEWHERE} a folder that has it"
    )


def _retrieve(file: File, url: str, path: Path) -> None:
    """Stream one file, with a bar on a terminal; a download that outgrows its file is ended."""
    import requests
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress

    console = Console(stderr=True)
    columns, off = (*Progress.get_default_columns(), DownloadColumn()), not console.is_terminal
    bar = Progress(*columns, console=console, transient=True, disable=off)
    with requests.get(url, stream=True, timeout=TIMEOUTS) as answer, path.open("wb") as out, bar:
        answer.raise_for_status()
        length = answer.headers.get("content-length", "")
        task = bar.add_task(file.published, total=int(length) if length.isdigit() else None)
        for chunk in answer.iter_content(CHUNK):
            bar.advance(task, out.write(chunk))
            if out.tell() > file.size + MARGIN:
                raise sources.DamageError("too large")


def _host(url: str) -> str:
    with contextlib.suppress(ValueError):  # of what is no address
        return urlsplit(url).hostname or url
    return url


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return "wrong content" if isinstance(error, sources.DamageError) else type(error).__name__
