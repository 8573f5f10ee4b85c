"""Processes that write into a store beside others: forks of the tests', where torch is loaded."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np
import trainee

from repro.cli.shared.terminal import complain
from repro.errors import ReproError
from repro.store import Store


class Writer(ForkProcess):
    """Does some work and ends as the command line would, with an exit code and what it said."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.work = work
        self.said = tempfile.TemporaryFile("w+", buffering=1)  # noqa: SIM115 - read at its end
        self.start()

    def run(self) -> None:
        sys.stderr = self.said
        try:
            self.work()
        except ReproError as e:
            sys.exit(complain(str(e), e.code))

    def ended(self) -> tuple[int | None, str]:
        self.join(240)
        self.kill()
        self.said.seek(0)
        return self.exitcode, self.said.read()


def training(store: Store, *numbers: int, pause: str | None = None) -> Writer:
    """Trains Runs of `trainee`, by their numbers.

    pause: it stops itself once, before it writes a file with that part in its path, until it is
    told to go on.
    """

    def train() -> None:
        if pause:
            pause_before(pause)
        trainee.train_all(store, runs=[trainee.RUNS[n] for n in numbers])

    return Writer(train)


def pause_before(part: str) -> None:
    write, paused = Path.write_bytes, False

    def pausing(path: Path, content: bytes) -> int:
        nonlocal paused
        if part in str(path) and not paused:
            paused = True
            os.kill(os.getpid(), signal.SIGSTOP)
        return write(path, content)

    setattr(Path, "write_bytes", pausing)  # noqa: B010 - a method of a library's class


def rescoring(store: Store, times: int) -> Writer:
    """Measures the one record of profile quick again and again."""

    def rescore() -> None:
        (record,) = store.records("quick")
        for n in range(1, times + 1):
            arrays = {"per_image": {"L1": np.full(1000, -float(n))}}
            record = store.add(record, {"number": n}, {"L1_test": -float(n)}, arrays)

    return Writer(rescore)
