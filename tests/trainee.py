"""Trains tiny Runs as its own process, to be killed: `trainee.py FOLDER [EVENT]`.

With EVENT it kills itself at that many steps, writes, renames and removals, writes half done.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import small

from repro.config import Run
from repro.engine import local
from repro.engine.local import Options, train
from repro.store import Store

PROFILE = "tiny"
RUNS: list[Run] = [
    small.run("lvae", 3, epochs=3, scored=(1, 3)),
    small.run("lvae", 2, epochs=3, scored=(1, 3)),
    small.run("vae", 3, epochs=3, scored=(1, 3), batch_norm=False),
]
OPTIONS = Options(engine="eager", threads=1, checkpoint_seconds=0.0)


def die_at(event: int) -> None:
    """SIGKILL this process at its n-th step, write, rename or removal."""
    left = event

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def ticking(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            tick()
            return function(*args, **named)

        return call

    write = Path.write_bytes

    def write_halves(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        tick()
        return write(path, content)

    setattr(Path, "write_bytes", write_halves)  # noqa: B010 - a method of a library's class
    for name in ("replace", "unlink"):
        setattr(Path, name, ticking(getattr(Path, name)))
    make = local.step_function
    setattr(local, "step_function", lambda *a: ticking(make(*a)))  # noqa: B010


if __name__ == "__main__":
    setattr(local.data, "load", small.raw)  # noqa: B010 - its images are not MNIST's
    if len(sys.argv) > 2:
        die_at(int(sys.argv[2]))
    train(RUNS, Store(Path(sys.argv[1])), PROFILE, OPTIONS)
