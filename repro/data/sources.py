"""Files of a data set: where they lie, and whether their content is the published one.

Hashes are of the *content*: a file may be repacked, or unpacked, and remains the same data.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from repro.data.images import Images
from repro.errors import DataError
from repro.store import ROOT

FOLDER_VARIABLE = "REPRO_DATA"
LOCAL = "local folder"
REMEDY = "delete it and run `repro data fetch`"
GZIP_MAGIC = b"\x1f\x8b"


class DamageError(Exception):
    """A file is not the published one; the message says how, not where."""


@dataclass(frozen=True)
class File:
    """One published file; `name`, `size` (bytes) and `sha256` are of the decompressed content."""

    name: str
    size: int
    sha256: str

    @property
    def published(self) -> str:
        return f"{self.name}.gz"

    def locate(self, folder: Path) -> Path | None:
        """The file in a folder, as published or unpacked; None where there is none."""
        candidates = (folder / self.published, folder / self.name)
        return next((p for p in candidates if p.is_file()), None)


@dataclass(frozen=True)
class Contents:
    """The verified files of one data set, in the order of its table."""

    files: tuple[bytes, ...]
    paths: tuple[Path, ...]
    source: str
    content_hash: str  # SHA-256 over one line "name sha256" a file


@dataclass(frozen=True)
class DataSet:
    """A data set as published. `mirrors` are URLs of folders, tried in turn."""

    name: str
    files: tuple[File, ...]
    mirrors: tuple[str, ...]
    decode: Callable[[DataSet, Contents], Images]

    @property
    def content_hash(self) -> str:
        lines = "".join(f"{f.name} {f.sha256}\n" for f in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()

    def missing(self, folder: Path) -> list[File]:
        return [f for f in self.files if f.locate(folder) is None]


@dataclass(frozen=True)
class FileStatus:
    """One line of `repro data status`; `detail` says what is wrong, empty when nothing is."""

    data_set: str
    file: str
    path: Path
    state: Literal["ok", "missing", "damaged"]
    detail: str


def directory(data_dir: Path | None = None) -> Path:
    """The data folder: the argument, else $REPRO_DATA, else `data/` of the checkout."""
    chosen = data_dir or os.environ.get(FOLDER_VARIABLE) or ROOT / "data"
    return Path(chosen).expanduser()


def content(file: File, path: Path) -> bytes:
    """The verified content of a file, decompressed where needed.

    Never reads more than the expected size and one byte. Raises DamageError, OSError.
    """
    read = _read(path, file.size + 1)
    if len(read) > file.size:
        raise DamageError(f"too large, more than the expected {file.size} bytes of content")
    if len(read) < file.size:
        raise DamageError(f"truncated, {len(read)} of {file.size} bytes of content")
    actual = hashlib.sha256(read).hexdigest()
    if actual != file.sha256:
        raise DamageError(f"content has sha256 {actual}, expected {file.sha256}")
    return read


def status(data_set: DataSet, folder: Path) -> list[FileStatus]:
    """The state of every file, without changing or fetching anything."""
    return [_status(data_set.name, file, folder) for file in data_set.files]


def read(data_set: DataSet, folder: Path, source: str = LOCAL) -> Contents:
    """Every file of a data set, verified. Raises DataError."""
    pairs = [(file, file.locate(folder) or folder / file.published) for file in data_set.files]
    return Contents(
        files=tuple(_checked(file, path) for file, path in pairs),
        paths=tuple(path for _, path in pairs),
        source=source,
        content_hash=data_set.content_hash,
    )


def _checked(file: File, path: Path) -> bytes:
    try:
        return content(file, path)
    except DamageError as e:
        raise DataError(f"{path}: {e}: {REMEDY}") from e
    except OSError as e:
        raise DataError(f"{path}: cannot read ({e.strerror or e}): make it readable") from e


def _status(name: str, file: File, folder: Path) -> FileStatus:
    path = file.locate(folder)
    if path is None:
        path = folder / file.published
        return FileStatus(name, file.name, path, "missing", "run `repro data fetch`")
    try:
        _checked(file, path)
    except DataError as e:
        return FileStatus(name, file.name, path, "damaged", str(e).removeprefix(f"{path}: "))
    return FileStatus(name, file.name, path, "ok", "")


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as raw:
        packed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        raw.seek(0)
        if not packed:
            return raw.read(limit)
        try:
            with gzip.open(raw) as unpacked:
                return unpacked.read(limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            raise DamageError(f"truncated or damaged gzip ({e})") from e
