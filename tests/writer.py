"""Writes into a store as its own process, beside others: `writer.py WHAT STORE ARGUMENT...`.

train FOLDER [--pause PART] N...: Runs of `trainee`, by their numbers. With --pause it stops itself
once, before it writes a file with that part in its path, until it is told to go on.
rescore FOLDER TIMES: measures the one record of profile quick again and again.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from repro.cli.shared.terminal import complain
from repro.errors import ReproError
from repro.store import Store


def pause_before(part: str) -> None:
    write, paused = Path.write_bytes, False

    def pausing(path: Path, content: bytes) -> int:
        nonlocal paused
        if part in str(path) and not paused:
            paused = True
            os.kill(os.getpid(), signal.SIGSTOP)
        return write(path, content)

    setattr(Path, "write_bytes", pausing)  # noqa: B010 - a method of a library's class


def train(folder: Path, numbers: list[int]) -> None:
    import small  # loads torch, which rescoring does without
    import trainee

    from repro import data
    from repro.machine import local

    setattr(data, "load", small.raw)  # noqa: B010 - its images are not MNIST's
    runs = [trainee.RUNS[n] for n in numbers]
    local.train(runs, Store(folder), trainee.PROFILE, trainee.OPTIONS)


def rescore(folder: Path, times: int) -> None:
    (record,) = Store(folder).records("quick")
    for n in range(1, times + 1):
        arrays = {"per_image": {"L1": np.full(1000, -float(n))}}
        record = Store(folder).add(record, {"number": n}, {"L1_test": -float(n)}, arrays)


def main(what: str, folder: str, *rest: str) -> int:
    if rest[0] == "--pause":
        pause_before(rest[1])
        rest = rest[2:]
    try:
        if what == "train":
            train(Path(folder), [int(n) for n in rest])
        else:
            rescore(Path(folder), int(rest[0]))
    except ReproError as e:
        return complain(str(e), e.code)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
