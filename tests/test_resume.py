"""A killed training continues to the numbers of an uninterrupted one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small
import trainee
from fixture_data import refused
from trainee import OPTIONS, PROFILE, RUNS

from repro.errors import MachineError
from repro.machine.local import train
from repro.store import Store
from repro.store.places import ROOT

pytestmark = pytest.mark.slow
EVENTS = 442  # of the whole training: steps, writes, renames and removals


@pytest.fixture(autouse=True)
def tiny_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.data.load", small.raw)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What an uninterrupted process records."""
    store = Store(tmp_path_factory.mktemp("whole"))
    assert start(store).wait(timeout=300) == 0
    return store


def start(store: Store) -> subprocess.Popen[bytes]:
    """A training in a new interpreter."""
    command = [sys.executable, trainee.__file__, str(store.root)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)


def trained(store: Store, *event: int) -> int:
    """The exit status of a training in a fork of this process, where torch is loaded already."""
    child = os.fork()
    if child == 0:
        trainee.end_with(lambda: trainee.train_all(store, *event))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def checkpoints(store: Store) -> dict[Path, int]:
    folder = store.folder(PROFILE) / ".checkpoints"
    return {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}


def assert_same(ours: Store, expected: Store) -> None:
    """Equal checksums of all that was measured; `env.json` holds times."""
    for run in RUNS:
        a, b = (store.record(PROFILE, run.id) for store in (ours, expected))
        a.verify()
        assert {**a.sums, "env.json": ""} == {**b.sums, "env.json": ""}


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_event_it_continues_to_the_same_numbers(
    seed: int, tmp_path: Path, whole: Store
) -> None:
    store, draw, killed = Store(tmp_path), random.Random(seed), 0
    for _ in range(3):
        killed += trained(store, draw.randrange(1, EVENTS // 2)) == -signal.SIGKILL
    assert killed >= 2
    assert trained(store) == 0
    assert_same(store, whole)


@pytest.mark.parametrize("before_the_end", [2, 5, 8, 11])
def test_killed_while_writing_the_last_record_it_continues_to_the_same_numbers(
    before_the_end: int, tmp_path: Path, whole: Store
) -> None:
    store = Store(tmp_path)
    assert trained(store, EVENTS - before_the_end) == -signal.SIGKILL
    assert trained(store) == 0
    assert_same(store, whole)


def test_killed_at_any_time_it_continues_to_the_same_numbers(tmp_path: Path, whole: Store) -> None:
    store, draw, killed = Store(tmp_path), random.Random(0), 0
    for _ in range(3):
        before, process = checkpoints(store), start(store)
        while checkpoints(store) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 1
    assert start(store).wait(timeout=300) == 0
    assert_same(store, whole)


@pytest.mark.parametrize("event", [EVENTS // 3, 10**9], ids=["killed", "finished"])
def test_a_finished_training_leaves_records_and_weights_alone(event: int, tmp_path: Path) -> None:
    store = Store(tmp_path)
    trained(store, event)
    assert trained(store) == 0
    assert {r.run.id for r in store.records(PROFILE)} == {run.id for run in RUNS}
    assert checkpoints(store) == {}
    assert not list((store.folder(PROFILE) / ".failed").glob("*"))


def test_a_run_in_training_elsewhere_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    process = start(store)
    try:
        while not checkpoints(store) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        with refused(MachineError, RUNS[0].id, "another process"):
            train(RUNS[:1], store, PROFILE, OPTIONS)
    finally:
        process.kill()
        process.wait()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert trained(store, EVENTS // 3) == -signal.SIGKILL
    assert train(RUNS, store, PROFILE, OPTIONS).unfinished == []
