"""Files and folders written whole or not at all, whoever reads or writes them at the same time.

All is written beside its place, under a name that begins with a dot, and renamed.
"""

import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from repro.errors import MachineError, RecordError

UNIQUE = 8  # characters that end the name of what is not whole yet
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


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; into a device or pipe, as into any stream.

    A link stays, and what it points to is written. Raises MachineError.
    """
    with disk_errors(path):
        if path.exists() and not (path.is_file() or path.is_dir()):  # /dev/stdout, say
            path.write_bytes(content)
            return
        place = Path(os.path.realpath(path))
        tmp = _beside(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            tmp.write_bytes(content)
            tmp.replace(place)
        finally:
            tmp.unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Wait until the disk has a file: what it replaces may then go, whatever stops the machine.

    Raises MachineError.
    """
    with disk_errors(path), path.open("rb") as file:
        os.fsync(file.fileno())


def sweep_files(path: Path) -> None:
    """Remove what killed calls of `write_file` left beside a path; only for who has it locked.

    Raises MachineError.
    """
    with disk_errors(path, "clear away what is left of"):
        place = Path(os.path.realpath(path))
        for left in place.parent.glob(f".{place.name}.*"):
            left.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder that becomes `folder` when the block ends well, in place of an older one.

    Of what is read while an older one gives way, some may be missing. Raises MachineError.
    """
    tmp, old = _beside(folder), _beside(folder)
    with disk_errors(folder):
        try:
            tmp.mkdir(parents=True)
            yield tmp
            if folder.exists():
                folder.replace(old)
            tmp.replace(folder)
        finally:
            if old.exists() and not folder.exists():  # what was to take its place could not
                old.replace(folder)
            for left in (tmp, old):
                shutil.rmtree(left, ignore_errors=True)


def sweep_folder(folder: Path) -> None:
    """Remove what writers of a folder left when killed; only for who has it locked.

    Raises MachineError.
    """
    with disk_errors(folder, "clear away what is left of"):
        for left in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in folder.glob(f".*.{'?' * UNIQUE}"):
            left.unlink(missing_ok=True)


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


@contextlib.contextmanager
def disk_errors(path: Path, what: str = "write") -> Iterator[None]:
    """An OSError becomes a MachineError that names the place and the remedy."""
    try:
        yield
    except OSError as e:
        remedy = REMEDIES.get(e.errno or 0, "make the folder writable, or move it")
        raise MachineError(f"{path}: cannot {what} ({e.strerror}): {remedy}") from e


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:UNIQUE]}")
