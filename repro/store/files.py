"""Files and folders written whole or not at all, whoever reads or writes them at the same time.

All is written beside its place, under a name that begins with a dot, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from repro.errors import MachineError, RecordError

ASIDE = ".old"  # ends the name of a folder that another is taking the place of
MOMENTS, MOMENT = 50, 0.01  # how long a folder that is being replaced is waited for; seconds
TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or raise your quota",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.EISDIR: "a folder is in its place: name a file, or another folder",
    errno.EEXIST: "a file is in the place of a folder: name another",
    errno.ENOTDIR: "a file is in the place of a folder: name another",
    errno.ENAMETOOLONG: "name a shorter path",
}

READING = {
    errno.EACCES: "make it readable for you",
    errno.EPERM: "make it readable for you",
    errno.EISDIR: "a folder is in the place of a file: restore the file",
    errno.ENOENT: "restore the file, or remove what holds it",
    errno.ELOOP: "its link points to itself: remove it",
    errno.ENAMETOOLONG: "name a shorter path",
}
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)  # says that there is no such thing

T = TypeVar("T")


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; into a device or pipe, as into any stream.

    A link stays, and what it points to is written. Raises MachineError.
    """
    with disk_errors(path):
        place = Path(os.path.realpath(path))
        if place.exists() and not (place.is_file() or place.is_dir()):  # /dev/stdout, say
            path.write_bytes(content)
            return
        tmp = _beside(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            tmp.write_bytes(content)
            tmp.replace(place)
        finally:
            tmp.unlink(missing_ok=True)


def sweep_files(path: Path) -> None:
    """Remove what killed calls of `write_file` left beside a path; only for who has it locked.

    Raises MachineError.
    """
    with disk_errors(path, "clear away what is left of"):
        place = Path(os.path.realpath(path))
        for left in place.parent.glob(f".{place.name}.*"):
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `folder` when the block ends well.

    Of several writers the last one's stays. Raises MachineError.
    """
    tmp = _beside(folder)
    with disk_errors(folder):
        try:
            tmp.mkdir(parents=True)
            yield tmp
            _put(tmp, folder)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)


def _put(tmp: Path, folder: Path) -> None:
    """Rename a folder over whatever is there; for the moment between two renames nothing is."""
    aside: list[Path] = []
    try:
        while not _renamed(tmp, folder):
            old = folder.with_name(_beside(folder).name + ASIDE)
            with contextlib.suppress(FileNotFoundError):  # another writer has moved it
                folder.replace(old)
                aside.append(old)
    finally:
        if aside and not folder.exists():  # what was to take its place could not
            _renamed(aside[-1], folder)
        for old in aside:
            shutil.rmtree(old, ignore_errors=True)


def _renamed(tmp: Path, folder: Path) -> bool:
    """Whether nothing was in the way."""
    try:
        tmp.replace(folder)
    except OSError as e:
        if e.errno in TAKEN:
            return False
        raise
    return True


def sweep_folder(folder: Path) -> None:
    """Undo a replacement that was killed halfway; only for who has the folder locked.

    Raises MachineError.
    """
    with disk_errors(folder, "put back"):
        for left in folder.parent.glob(f".{folder.name}.*"):
            if left.suffix == ASIDE and not folder.exists():
                left.replace(folder)
            else:
                shutil.rmtree(left, ignore_errors=True)


def patiently(folder: Path, read: Callable[[], T]) -> T:
    """What is read of a folder; again where another process was just replacing it.

    Raises the reader's RecordError where nobody was.
    """
    for _ in range(MOMENTS):
        before = _version(folder)
        try:
            return read()
        except RecordError:
            names = names_in(folder.parent)  # at one instant, so between no two renames
            there = folder.name in names or folder.name in aside(names)
            if not there or (before and before == _version(folder)):
                raise
        time.sleep(MOMENT)
    return read()


def names_in(folder: Path) -> list[str]:
    """Nothing where there is no such folder. Raises RecordError where it cannot be read."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as e:
        if e.errno in ABSENT:
            return []
        raise unreadable(folder, e) from e


def is_file(path: Path) -> bool:
    """As `Path.is_file`. Raises RecordError where nobody can tell, as nothing there may be read."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except ValueError:  # no file can have such a name
        return False
    except OSError as e:
        if e.errno in ABSENT:
            return False
        raise unreadable(path, e) from e


def unreadable(path: Path, e: OSError) -> RecordError:
    """The error of a place that is there; its remedy never costs what is saved there."""
    return RecordError(f"{path}: {why_unreadable(e)}")


def why_unreadable(e: OSError) -> str:
    """What the system says, and what to do."""
    remedy = READING.get(e.errno or 0, "see that the disk is in order")
    return f"cannot read ({e.strerror or e}): {remedy}"


def aside(names: list[str]) -> set[str]:
    """Of the names in a folder, those that others are taking the place of."""
    return {n[1:].rsplit(".", 2)[0] for n in names if n.startswith(".") and n.endswith(ASIDE)}


def _version(folder: Path) -> tuple[int, int] | None:
    """Differs between a folder and the one that takes its place; None where there is none."""
    try:
        found = folder.stat()
    except (OSError, ValueError):  # or a name that no folder can have
        return None
    return found.st_ino, found.st_mtime_ns


@contextlib.contextmanager
def disk_errors(path: Path, what: str = "write") -> Iterator[None]:
    """An OSError becomes a MachineError that names the place and the remedy."""
    try:
        yield
    except OSError as e:
        remedy = REMEDIES.get(e.errno or 0, "make the folder writable, or move it")
        raise MachineError(f"{path}: cannot {what} ({e.strerror}): {remedy}") from e


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
