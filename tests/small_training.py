"""Trains tiny Runs in this process, with a hook before every step."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
from numpy.testing import assert_array_equal
from safetensors.torch import save

from repro.machine import training
from repro.machine.local import train
from repro.machine.saved import tensors
from repro.machine.work import Options
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store import Store
from repro.train.minibatch import Minibatch
from repro.train.state import State

PROFILE = "tiny"
OPTIONS = Options(engine="eager", threads=1)
EPOCHS, BLOCKS = 2, small.BLOCKS
STEPS = small.BLOCK + 2  # of an epoch: its second block is a short one
RUNS = [small.run("lvae", depth, steps=STEPS, scored=(1, 2)) for depth in (2, 1)]
APART = [small.run(family, 1, steps=STEPS, scored=(1, 2)) for family in ("lvae", "vae")]
OLD_RUNS = [small.run("lvae", depth, scored=(1, 2)) for depth in (3, 2)]  # of `old/`


def trained(
    folder: Path,
    runs: list[Run],
    options: Options = OPTIONS,
    profile: str = PROFILE,
    images: Callable[..., Any] = small.raw,
) -> Store:
    """A store with the records of one uninterrupted training, outside any test's own patches."""
    store = Store(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.data.load", images)
        train(runs, store, profile, options)
    return store


def assert_same(ours: Store, expected: Store, *runs: Run) -> None:
    """Equal in all that was measured of some Runs."""
    assert runs
    for run in runs:
        a, b = (s.record(PROFILE, run.id) for s in (ours, expected))
        assert a.curve().equals(b.curve())
        assert a.final == b.final
        names = [name.removesuffix(".npz") for name in b.files if name.endswith(".npz")]
        assert names
        for name in names:
            left, right = a.arrays(name), b.arrays(name)
            assert left.keys() == right.keys()
            for key in left:
                assert_array_equal(left[key], right[key], err_msg=f"{name}/{key}")


def hooked(monkeypatch: pytest.MonkeyPatch, hook: Callable[[Stack, int], None]) -> list[int]:
    """Call `hook(stack, n)` before the n-th step of this test, n = 1, 2, ...; returns the count."""
    make, count = training.step_function, [0]

    def make_hooked(stack: Stack, engine: str) -> Callable[[State, Minibatch], None]:
        step = make(stack, engine)

        def hooked_step(state: State, batch: Minibatch) -> None:
            count[0] += 1
            hook(stack, count[0])
            step(state, batch)

        return hooked_step

    monkeypatch.setattr(training, "step_function", make_hooked)
    return count


def send(number: int, at: int, times: int = 1) -> Callable[[Stack, int], None]:
    def hook(_: Stack, n: int) -> None:
        for _ in range(times if n == at else 0):
            os.kill(os.getpid(), number)

    return hook


def checkpoints(store: Store) -> list[Path]:
    return list((store.folder(PROFILE) / ".checkpoints").glob("*"))


def strays(store: Store) -> list[str]:
    """Temporary files and folders left behind."""
    keep = {".checkpoints", ".locks", ".weights", ".failed", ".status"}
    found = [p for p in store.folder(PROFILE).rglob(".*") if p.name not in keep]
    return [str(p) for p in found]


def interrupted(
    store: Store,
    runs: list[Run],
    monkeypatch: pytest.MonkeyPatch,
    at: int = 3,
    number: int = signal.SIGINT,
    options: Options = OPTIONS,
) -> Path:
    """The checkpoint of a training that was stopped at a step, or in its first epoch."""
    with monkeypatch.context() as patch:
        hooked(patch, send(number, at))
        with pytest.raises(KeyboardInterrupt):
            train(runs, store, PROFILE, options)
    (path,) = checkpoints(store)
    return path


def unsealed(path: Path) -> bytes:
    """A file of tensors as versions before the checksum wrote it."""
    strings, content = tensors.read(path)
    return save(content, strings)
