"""Disks that are full, and stores that nobody can write to."""

import contextlib
import resource
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """Mount at an empty folder; the test is skipped where only root could."""
    place.mkdir(exist_ok=True)
    try:
        done = subprocess.run(["mount", *options, str(place)], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command here")
    if done.returncode:
        pytest.skip(f"only root may mount: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Disk]:
    """A file system of its own."""
    with mounted(place, "-t", "tmpfs", "-o", f"size={SIZE}m", "none") as root:

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

        yield Disk(root, full, "free some space")


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
    bound = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True)
    if bound.returncode:
        with _unwritable(folder):
            yield
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def _unwritable(folder: Path) -> Iterator[None]:
    places = [folder, *(p for p in folder.rglob("*") if p.is_dir())]
    for place in places:
        place.chmod(0o555)
    try:
        yield
    finally:
        for place in places:
            place.chmod(0o755)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, but for locks, which are empty."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix != ".lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in found if p.name != "filler"}
