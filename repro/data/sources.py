"""Files of a data set: where they lie, and whether their content is the published one.

Hashes are of the *content*: a file may be repacked, or unpacked, and remains the same data.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import shlex
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, TypeVar

from repro.data import seen
from repro.data.images import Images
from repro.errors import DataError
from repro.plan.run import Data
from repro.store.places import HOME

FOLDER_VARIABLE = "REPRO_DATA"
LOCAL = "local folder"
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20
MARGIN = 1 << 20  # an incompressible file grows a little in its container

T = TypeVar("T")


class DamageError(Exception):
    """A file is not the published one; the message says how, not where."""


@dataclass(frozen=True)
class File:
    """One published file; `name`, `size` (bytes) and `digest` are of the decompressed content.

    The digest is its SHA-256, or what `identify` makes of the whole content, whose `size` is then
    only the most that is read. Where none is published (None), size and `header`, its first bytes,
    are verified; `describe` puts a header into words. packed: published as .gz. layouts: folders
    of another library's, in the data set's folder or beside it, where the file may lie as well.
    """

    name: str
    size: int
    digest: str | None
    header: bytes = b""
    describe: Callable[[bytes], str] = bytes.hex
    identify: Callable[[bytes], str] | None = None
    packed: bool = True
    layouts: tuple[str, ...] = ()

    @property
    def published(self) -> str:
        return f"{self.name}.gz" if self.packed else self.name

    def locate(self, folder: Path) -> Path | None:
        """The file of a data set's folder, as published or unpacked; None where there is none."""
        beside = (top / layout for layout in self.layouts for top in (folder, folder.parent))
        candidates = (p / name for p in (folder, *beside) for name in (self.published, self.name))
        return next((p for p in candidates if p.is_file()), None)


@dataclass(frozen=True)
class DataSet:
    """A data set as published. `mirrors` are URLs of folders, tried in turn.

    decode(data set, options, folder, source) reads the files and raises DataError.
    counts: training and test images; shape: height and width of one, as they are modelled.
    `on_request`: large, so fetched where it is named, and never by training.
    instead: another version, for where this one can be had nowhere. A version that is not the
    one the paper used says so in its Images, and a record's verdict is then "other data".
    """

    name: str
    files: tuple[File, ...]
    mirrors: tuple[str, ...]
    decode: Callable[[DataSet, Data, Path, str], Images]
    counts: tuple[int, int]
    shape: tuple[int, int]
    on_request: bool = False
    instead: DataSet | None = None

    @property
    def versions(self) -> tuple[DataSet, ...]:
        """This one, then those that may take its place."""
        return (self, *(self.instead.versions if self.instead else ()))

    def fetch_into(self, folder: Path) -> str:
        """The command that fetches it into its folder of a data folder."""
        top = folder.parent
        where = "" if top == directory() else f" --data-dir {shlex.quote(str(top))}"
        return f"repro data fetch {self.name}{where}"

    def missing(self, folder: Path) -> list[File]:
        return [f for f in self.files if f.locate(folder) is None]


@dataclass(frozen=True)
class FileStatus:
    """One line of `repro data status`; `detail` says what is wrong, or what "ok" rests on."""

    data_set: str
    file: str
    path: Path
    state: Literal["ok", "missing", "damaged", "not needed"]
    detail: str


def directory(data_dir: Path | None = None) -> Path:
    """The data folder: the argument, else $REPRO_DATA, else `data/` beside the stores.

    Raises DataError for `~name` where there is no such user.
    """
    chosen = data_dir or os.environ.get(FOLDER_VARIABLE) or HOME / "data"
    try:
        return Path(chosen).expanduser()
    except RuntimeError as e:
        raise DataError(f"{chosen}: no such home folder: write the path in full") from e


class Stream:
    """The content of a file in parts, decompressed, and verified as it goes by.

    Never reads more than the expected size and one byte. Its methods raise DamageError, OSError.
    """

    def __init__(self, file: File, raw: IO[bytes] | gzip.GzipFile) -> None:
        self._file, self._raw = file, raw
        self._taken, self._hash = 0, hashlib.sha256()
        header = self.take(len(file.header))
        if header != file.header:
            found, expected = file.describe(header), file.describe(file.header)
            raise DamageError(f"header says {found}, expected {expected}")

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        read = self._read(size)
        self._taken += len(read)
        if len(read) < size:
            raise DamageError(f"truncated, {self._taken} of {self._file.size} bytes of content")
        self._hash.update(read)
        return read

    def end(self) -> str:
        """The SHA-256 of the whole content, where no byte follows and it is not another's."""
        while left := self._file.size - self._taken:
            self.take(min(CHUNK, left))
        if self._read(1):
            raise DamageError(
                f"too large, more than the expected {self._file.size} bytes of content"
            )
        actual, expected = self._hash.hexdigest(), self._file.digest
        if expected is not None and actual != expected:
            raise DamageError(f"content has sha256 {actual}, expected {expected}")
        return actual

    def _read(self, size: int) -> bytes:
        try:
            return self._raw.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            raise DamageError(f"truncated or damaged gzip ({e})") from e


def is_packed(path: Path) -> bool:
    with path.open("rb") as f:
        return f.read(len(GZIP_MAGIC)) == GZIP_MAGIC


@contextlib.contextmanager
def opened(file: File, path: Path) -> Iterator[Stream]:
    """A file's content, behind its header. Raises DamageError, OSError."""
    packed = is_packed(path)
    with path.open("rb") as raw:
        if packed and path.stat().st_size > file.size + MARGIN:
            raise DamageError(f"too large for {file.size} bytes of content")
        with gzip.open(raw) if packed else contextlib.nullcontext(raw) as unpacked:
            yield Stream(file, unpacked)


def content(file: File, path: Path) -> bytes:
    """The verified content of a small file. Raises DamageError, OSError."""
    if file.identify is None:
        with opened(file, path) as stream:
            read = file.header + stream.take(file.size - len(file.header))
            stream.end()
        return read
    with path.open("rb") as raw:
        read = raw.read(file.size + 1)
    if len(read) > file.size:
        raise DamageError(f"too large, more than {file.size} bytes")
    actual = file.identify(read)
    if actual != file.digest:
        raise DamageError(f"content hashes to {actual}, expected {file.digest}")
    return read


def check(file: File, path: Path) -> None:
    """Verify a file in little memory, whatever its size. Raises DamageError, OSError."""
    if file.identify:
        content(file, path)
    else:
        with opened(file, path) as stream:
            stream.end()


def status(data_set: DataSet, folder: Path) -> list[FileStatus]:
    """The state of every file of every version, without changing or fetching anything.

    What is missing of one version is not needed where another is there whole.
    """
    found = [_status(v, file, folder) for v in data_set.versions for file in v.files]
    if all(version.missing(folder) for version in data_set.versions):
        return found
    detail = f"another version is there; `{data_set.fetch_into(folder)}` looks for the better one"
    return [
        replace(s, state="not needed", detail=detail) if s.state == "missing" else s for s in found
    ]


def read(data_set: DataSet, folder: Path, parse: Callable[[File, bytes], T]) -> list[T]:
    """What `parse` makes of every file of a small data set, verified. Raises DataError."""
    found = []
    for file in data_set.files:
        with blaming(file, data_set, folder) as path:
            found.append(parse(file, content(file, path)))
    return found


def content_hash(data_set: DataSet, hashes: Iterable[str] = ()) -> str:
    """SHA-256 over one line "name digest" a file; hashes: where no digests are published."""
    digests = list(hashes) or [file.digest or "" for file in data_set.files]
    pairs = zip(data_set.files, digests, strict=True)
    lines = "".join(f"{file.name} {digest}\n" for file, digest in pairs)
    return hashlib.sha256(lines.encode()).hexdigest()


@contextlib.contextmanager
def blaming(file: File, data_set: DataSet, folder: Path) -> Iterator[Path]:
    """Where a file is; errors of reading it become a DataError that says what to do."""
    path = file.locate(folder) or folder / file.published
    try:
        yield path
    except DamageError as e:
        raise DataError(f"{path}: {e}: delete it and run `{data_set.fetch_into(folder)}`") from e
    except OSError as e:
        raise DataError(f"{path}: cannot read ({e.strerror or e}): make it readable") from e


def _status(data_set: DataSet, file: File, folder: Path) -> FileStatus:
    path = file.locate(folder)
    if path is None:
        path = folder / file.published
        remedy = f"run `{data_set.fetch_into(folder)}`{seen.hint_of(file, folder)}"
        return FileStatus(data_set.name, file.name, path, "missing", remedy)
    try:
        with blaming(file, data_set, folder):
            check(file, path)
    except DataError as e:
        fault = str(e).removeprefix(f"{path}: ")
        return FileStatus(data_set.name, file.name, path, "damaged", fault)
    verified = "" if file.digest else "size and header; its authors publish no hash"
    return FileStatus(data_set.name, file.name, path, "ok", verified)
