"""Processes of arms that are made ready side by side, and then measured one at a time.

Importing and compiling take most of the time of an arm on a device, and keep one or two cores busy.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, NamedTuple

READY = "ready"  # what `repro.bench.measure` prints before it waits for a line
CORES = 2  # of each process while it is made ready
COMPILE_THREADS = "TORCHINDUCTOR_COMPILE_THREADS"


class Done(NamedTuple):
    """How a process ended, as of `subprocess.run`."""

    returncode: int
    stdout: str
    stderr: str


class Process:
    """Makes itself ready from now on, and waits there until it is asked for its result."""

    def __init__(self, command: list[str]) -> None:
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, COMPILE_THREADS: os.environ.get(COMPILE_THREADS, str(CORES))},
        )

    def wait_until_ready(self) -> None:
        """Returns when it is, or has ended."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == READY:
                return

    def finish(self) -> Done:
        """Let it go on to its end."""
        out, _ = self._process.communicate("go\n")
        self._errors.seek(0)
        return Done(self._process.returncode, out, self._errors.read())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                file.close() if file else None


def at_once() -> int:
    """How many processes are made ready side by side."""
    return max(1, (os.cpu_count() or 1) // CORES)


@contextlib.contextmanager
def ready(tasks: list[str]) -> Iterator[list[Process]]:
    """A process for each task of `repro.bench.measure`, all ready; none outlives the block."""
    with contextlib.ExitStack() as closing:
        found = []
        for task in tasks:
            found.append(Process([sys.executable, "-m", "repro.bench.measure", task]))
            closing.callback(found[-1].close)
        for process in found:
            process.wait_until_ready()
        yield found
