"""Fetching what a data folder lacks: mirrors in turn, one process at a time, whole files only."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from repro.data import sources
from repro.data.sources import FOLDER_VARIABLE, MARGIN, DataSet, File, check
from repro.errors import DataError, MachineError

MIRRORS_VARIABLE = "REPRO_MIRRORS"
ELSEWHERE = f"point --data-dir or {FOLDER_VARIABLE} at"
TEMPORARY = ".fetch-"
LOCK_SECONDS = 900.0
TIMEOUTS = (10.0, 30.0)  # seconds to connect, and between two chunks
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
            f"{folder}: cannot write ({e.strerror or e}): give it room and write permission,"
            f" or {ELSEWHERE} another folder"
        ) from e


def _check_space(data_set: DataSet, missing: Sequence[File], folder: Path) -> None:
    need, free = sum(f.size + MARGIN for f in missing), shutil.disk_usage(folder).free
    if missing and free < need:
        raise MachineError(
            f"{folder}: {data_set.name} needs {need / 1e6:.0f} MB, {free / 1e6:.0f} MB are free:"
            f" free some space, or {ELSEWHERE} another disk"
        )


def _check_libraries(file: File, folder: Path) -> None:
    """What only fetching needs. Raises MachineError."""
    for name in ("pooch", "requests", "tqdm"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as e:
            raise MachineError(
                f"{file.published}: to fetch it, {e.name} is needed, which is not installed: pip"
                f" install {e.name}, or put the file, as published, into {folder}"
            ) from e


def _fetch(file: File, bases: Sequence[str], folder: Path) -> str:
    """Fetch one file from the first mirror that has the right content; returns that mirror."""
    _check_libraries(file, folder)
    import requests

    faults = []
    for base in bases:
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder) as tmp:
            path = Path(tmp) / file.published
            try:
                _retrieve(file, f"{base.rstrip('/')}/{file.published}", path)
                check(file, path)  # of the content, as mirrors may repack
            except (requests.RequestException, sources.DamageError) as e:
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
    import pooch

    with contextlib.closing(_Sink(file, path)) as sink:
        pooch.HTTPDownloader(progressbar=sink, chunk_size=CHUNK, timeout=TIMEOUTS)(url, sink, None)


class _Sink:
    """Both file and progress bar to pooch; ends a download that outgrows its file.

    The bar is advanced by what is written, as pooch reports whole chunks even for shorter ones.
    """

    total = 0  # set by pooch from the server's answer

    def __init__(self, file: File, path: Path) -> None:
        from tqdm import tqdm

        self._left = file.size + MARGIN
        self._out = path.open("wb")
        self._bar = tqdm(desc=file.published, unit="B", unit_scale=True, disable=None, leave=False)
        self.flush = self._out.flush

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise sources.DamageError("too large")
        self._out.write(chunk)
        self._bar.total = self.total or None
        self._bar.update(len(chunk))

    def update(self, _: int) -> None:
        """Counted in `write`."""

    def reset(self) -> None:
        """Counted in `write`."""

    def close(self) -> None:
        self._bar.close()
        self._out.close()


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
