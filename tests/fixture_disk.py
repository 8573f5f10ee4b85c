"""Disks that are full, and stores that nobody can write to."""

import contextlib
import functools
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SIZE = 24  # MiB of a small disk
BEGUN = 64  # bytes of a file that can still be written where sizes are limited


@dataclass(frozen=True)
class Disk:
    """A place for files; inside `full()` there is no space left. remedy: what an error advises."""

    root: Path
    full: Callable[[], contextlib.AbstractContextManager[None]]
    remedy: str


@contextlib.contextmanager
def small_disk(root: Path) -> Iterator[Disk]:
    """A file system of its own; the test is skipped where only root could mount one."""
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "none", str(root)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount")

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        filler = root / "filler"
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as out:
            while True:
                out.write(bytes(4096))
        try:
            yield
        finally:
            filler.unlink()

    try:
        yield Disk(root, full, "free some space")
    finally:
        subprocess.run(["umount", str(root)], check=True)


@contextlib.contextmanager
def limited(place: Path) -> Iterator[Disk]:
    """Files of this process may not grow beyond a few bytes: for who may not mount."""
    place.mkdir()

    @contextlib.contextmanager
    def full() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (BEGUN, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    yield Disk(place, full, "ulimit -f")


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in a folder can be written: it is mounted so, or its modes say so."""
    place = str(folder)
    mounted = not subprocess.run(["mount", "--bind", place, place], capture_output=True).returncode
    folders = [] if mounted else [folder, *(p for p in folder.rglob("*") if p.is_dir())]
    try:
        if mounted:
            subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        for each in folders:
            each.chmod(0o555)
        yield
    finally:
        for each in folders:
            each.chmod(0o755)
        if mounted:
            subprocess.run(["umount", place], check=True)


@contextlib.contextmanager
def forbidden(folder: Path) -> Iterator[None]:
    """As `read_only`; the test is skipped where that means nothing."""
    with read_only(folder):
        if os.access(folder, os.W_OK):
            pytest.skip("nothing is read-only here: this is root, who may not mount")
        yield


def unreadable(
    monkeypatch: pytest.MonkeyPatch,
    place: Path,
    methods: tuple[str, ...] = ("iterdir", "stat", "read_bytes"),
) -> None:
    """These are not permitted on a place, whoever runs the tests."""

    def checked(path: Path, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if path == place:
            raise PermissionError(13, "Permission denied", str(path))
        return method(path, *arguments, **options)

    for name in methods:
        monkeypatch.setattr(Path, name, functools.partialmethod(checked, getattr(Path, name)))


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, but for locks, which are empty."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix != ".lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if p.name != "filler"}
