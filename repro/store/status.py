"""What a stack that trains says of itself, for who asks from another terminal.

One small file beside its checkpoint, `.status/<name of the checkpoint>.json`. A lock says nothing
of who holds it, and to try it is to hold it; a checkpoint is large. Nothing continues from here.
"""

import contextlib
import functools
import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from repro.errors import MachineError, RecordError
from repro.plan.from_json import build
from repro.store.files import write_file
from repro.store.sealed import json_of, read_bytes

FOLDER, CHECKPOINTS = ".status", ".checkpoints"  # of a profile's folder
ALIVE = ("starting", "training", "scoring")
SECONDS = 2.0  # between two writes
MOST = 2**53  # no count is as high, and a float still holds each below
FRESH = 120.0  # seconds for which a process on another machine is believed to be alive


@dataclass(frozen=True)
class Process:
    """A process, by what no other has: `pid` and `began` mean something to `machine` alone."""

    machine: str  # of a boot and its space of process ids; "" where the system does not say
    pid: int
    began: int  # the kernel's ticks at its start

    @property
    def here(self) -> bool:
        """Whether this machine can tell if it is alive."""
        return bool(self.machine) and self.machine == machine()

    @property
    def alive(self) -> bool:
        return self.here and _began(self.pid) == self.began


@dataclass(frozen=True)
class Status:
    """How far a stack has come. Numbers are of its first lane that has not diverged."""

    runs: tuple[str, ...]
    process: Process
    engine: str
    epochs: int
    steps: int  # of an epoch
    doing: Literal["starting", "training", "scoring", "stopped"] = "starting"
    epoch: int = 0  # finished
    step: int = 0  # of the epoch after it
    saved: float | None = None  # epochs in the checkpoint; None: there is none
    diverged: tuple[str, ...] = ()
    note: str = ""  # the numbers of `last` that matter most, in words
    last: dict[str, float | None] = field(default_factory=dict)  # of every column of the curve
    images_per_second: float | None = None
    seconds_left: float | None = None  # of training; the final scoring follows
    written: float = 0.0  # seconds since 1970
    data_dir: str = ""  # where it was told to find the data

    @property
    def possible(self) -> bool:
        """Whether a stack can say so of itself."""
        numbers = (self.images_per_second, self.seconds_left, self.saved, self.written)
        finite = all(n is None or math.isfinite(n) for n in (*numbers, *self.last.values()))
        lengths, counts = (self.epochs, self.steps), (self.epoch, self.step, self.process.pid)
        counted = min(lengths) >= 1 and min(counts) >= 0 and max(*lengths, *counts) < MOST
        # What is not printable might be the terminal's own language.
        words = "".join((*self.runs, *self.diverged, self.engine, self.note, self.data_dir))
        return bool(self.runs) and counted and finite and words.isprintable()

    def state(self, now: float) -> str:
        """What it does, unless its process is gone ("stopped") or not heard of ("silent")."""
        if self.doing == "stopped" or self.process.alive:
            return self.doing
        if self.process.here:
            return "stopped"
        return self.doing if now - self.written < FRESH else "silent"


class StatusFile:
    """Keeps one status up to date on disk. Only for who holds the locks of its Runs.

    A status that cannot be written stops no training: a disk that is full or may not be written
    to is reported by the next checkpoint, with its remedy, and nothing depends on this file.
    """

    def __init__(self, path: Path, status: Status) -> None:
        self.path, self.status, self.written = path, status, 0.0
        sweep(path.parent, status.runs)
        self.update(at_once=True)

    def update(self, at_once: bool = False, **changes: Any) -> None:
        """Note the changes; write them, unless it was written just now and does the same still."""
        now, doing = time.monotonic(), self.status.doing
        self.status = replace(self.status, **changes)
        at_once = at_once or self.status.doing != doing
        if at_once or now - self.written >= SECONDS:
            self.written = now
            content = asdict(replace(self.status, written=time.time()))
            with contextlib.suppress(MachineError):
                write_file(self.path, (json.dumps(content) + "\n").encode())

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def this_process() -> Process:
    return Process(machine(), os.getpid(), _began(os.getpid()) or 0)


def read(path: Path) -> Status | None:
    """None where it is damaged or gone, or is not what a stack says of itself."""
    try:
        status: Status = build(Status, json_of(path, read_bytes(path)), str(path))
    except RecordError:
        return None
    return status if status.possible else None


def read_all(folder: Path) -> list[Status]:
    """Every status of a profile's folder, of a checkpoint that is gone none saved; a damaged one
    hides no other.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        if s := read(path):
            kept = (folder / CHECKPOINTS / f"{path.stem}.safetensors").exists()
            found.append(s if kept else replace(s, saved=None))
    return found


def sweep(folder: Path, runs: Sequence[str]) -> None:
    """Remove what stacks of any of these Runs left behind, which nobody else can be training now.

    And what was half written: a process that still writes it loses one of its many writes.
    """
    with contextlib.suppress(OSError):
        for path in folder.glob("*.json"):
            if (s := read(path)) is None or set(s.runs) & set(runs):
                path.unlink(missing_ok=True)
        for left in folder.glob(".*"):
            left.unlink(missing_ok=True)


@functools.cache
def machine() -> str:
    """What this machine calls itself until it is started again; "" where it does not say.

    Containers share a machine, and its boot, but not their process ids.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot}{space}".encode()).hexdigest()[:16]


def _began(pid: int) -> int | None:
    """When a process started, in ticks; None where there is none, or only what is left of one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
