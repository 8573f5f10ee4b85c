"""Trains tiny Runs as its own process, to be killed: `trainee.py FOLDER [EVENT | --kills N]`.

With EVENT it kills itself at that many steps, writes, renames and removals, writes half done. With
--kills its forked children are killed, until there were N, and it says what they changed.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import small

from repro import data
from repro.machine import training
from repro.machine.local import train
from repro.machine.work import Options
from repro.plan.run import Run
from repro.store import Store

PROFILE = "tiny"
MOST_EVENTS, MOST_SECONDS = 100, 1.0  # before a kill: a third of the whole training, about
STEPS = small.BLOCK + 2  # of an epoch, so that each has a checkpoint amid it too
RUNS: list[Run] = [
    small.run("lvae", 2, epochs=3, steps=STEPS, scored=(1, 3)),
    small.run("lvae", 1, epochs=3, steps=STEPS, scored=(1, 3)),
    small.run("vae", 2, epochs=3, steps=STEPS, scored=(1, 3), batch_norm=False),
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
    make = training.step_function
    setattr(training, "step_function", lambda *a: ticking(make(*a)))  # noqa: B010


def train_all(store: Store, *event: int, runs: list[Run] = RUNS) -> None:
    """As its own process does, on images that are not MNIST's."""
    setattr(data, "load", small.raw)  # noqa: B010
    for number in event:
        die_at(number)
    train(runs, store, PROFILE, OPTIONS)


def killed_once(store: Store, draw: random.Random, by_event: bool) -> bool | None:
    """Train in a forked process that is killed at a random event, or after a random time.

    Whether it was killed before it had finished; None where it failed.
    """
    child = os.fork()
    if child == 0:
        try:
            train_all(store, *([draw.randrange(1, MOST_EVENTS)] if by_event else []))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if not by_event:
        time.sleep(draw.uniform(0, MOST_SECONDS))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    return False if os.WEXITSTATUS(status) == 0 else None


def kill_often(folder: Path, kills: int) -> dict[str, Any]:
    """Train from nothing to the end, killed on the way, until there were that many kills."""
    whole, draw = Store(folder / "whole"), random.Random(0)
    train_all(whole)
    log: dict[str, Any] = {"at an event": 0, "at a time": 0, "trainings": 0, "differences": []}
    while log["at an event"] + log["at a time"] < kills:
        log["trainings"] += 1
        store, killed, by_event = Store(folder / str(log["trainings"])), True, False
        while killed:
            by_event = not by_event
            draw.random()  # a child draws from a copy
            killed = killed_once(store, draw, by_event)
            log["at an event" if by_event else "at a time"] += bool(killed)
        log["differences"] += differences(store, whole) if killed is False else ["failed"]
    return {"kills": log["at an event"] + log["at a time"], **log}


def differences(ours: Store, expected: Store, runs: list[Run] = RUNS) -> list[str]:
    """Files of records whose checksums differ; `env.json` holds times."""
    found = []
    for run in runs:
        a, b = (store.record(PROFILE, run.id) for store in (ours, expected))
        a.verify()
        names = (a.sums.keys() | b.sums.keys()) - {"env.json"}
        found += [f"{run.id}/{n}" for n in sorted(names) if a.sums.get(n) != b.sums.get(n)]
    return found


if __name__ == "__main__":
    place = Path(sys.argv[1])
    if "--kills" in sys.argv:
        print(json.dumps(kill_often(place, int(sys.argv[-1]))))
    else:
        train_all(Store(place), *map(int, sys.argv[2:]))
