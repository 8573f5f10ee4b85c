"""A training killed once or many times ends with the numbers of an uninterrupted one."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trainee
from fixture_disk import files
from trainee import PROFILE, RUNS
from writer import Writer

from repro.store import Store
from repro.store.places import ROOT

pytestmark = pytest.mark.slow
EVENTS = 298  # of the whole training: steps, writes, renames and removals
LAST = 29  # of these, from the last checkpoint on
KILLS = 50


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What an uninterrupted process records."""
    store = Store(tmp_path_factory.mktemp("whole"))
    train_in_a_new_interpreter(store)
    return store


def train_in_a_new_interpreter(store: Store) -> None:
    command = [sys.executable, trainee.__file__, str(store.root)]
    subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, timeout=300, check=True)


def training(store: Store, *event: int) -> Writer:
    return Writer(lambda: trainee.train_all(store, *event))


def trained(store: Store, *event: int) -> int | None:
    """The exit status of a training."""
    return training(store, *event).ended()[0]


def checkpoints(store: Store) -> dict[Path, int]:
    folder = store.folder(PROFILE) / ".checkpoints"
    return {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}


def assert_same(ours: Store, expected: Store) -> None:
    """Equal checksums of all that was measured."""
    assert trainee.differences(ours, expected) == []
    assert {r.run.id for r in ours.records(PROFILE)} == {run.id for run in RUNS}
    assert not list((ours.folder(PROFILE) / ".failed").glob("*"))


@pytest.fixture(scope="module")
def nearly(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What is there when the last record begins to be written: its process is killed then."""
    store = Store(tmp_path_factory.mktemp("nearly"))
    assert trained(store, EVENTS - 12) == -signal.SIGKILL
    return store


@pytest.mark.parametrize("before_the_end", [2, 5, 8, 11])
def test_killed_writing_the_last_record_it_ends_alike(before_the_end, tmp_path, nearly, whole):
    store = Store(shutil.copytree(nearly.root, tmp_path / "store"))
    assert trained(store, LAST - before_the_end) == -signal.SIGKILL
    finished = len(store.records(PROFILE)) == len(RUNS)  # the next training removes a checkpoint
    assert trained(store) == 0
    assert_same(store, whole)
    assert finished or checkpoints(store) == {}


def test_killed_at_any_event_and_time_it_continues_to_the_same_numbers(tmp_path, whole):
    """In one process after the other; below are many more kills."""
    store, draw = Store(tmp_path), random.Random(0)
    killed = int(trained(store, draw.randrange(1, EVENTS // 3)) == -signal.SIGKILL)
    for _ in range(3):
        before, process = checkpoints(store), training(store)
        while checkpoints(store) == before and process.is_alive():
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.2))
        process.kill()
        killed += process.ended()[0] == -signal.SIGKILL
    assert killed >= 2
    train_in_a_new_interpreter(store)
    assert_same(store, whole)
    assert checkpoints(store) == {}


def test_a_finished_training_leaves_records_and_weights_alone(whole: Store) -> None:
    before = files(whole.root)
    assert trained(whole) == 0
    assert files(whole.root) == before


def test_fifty_kills_change_no_record(tmp_path, record_property):
    command = [sys.executable, trainee.__file__, str(tmp_path), "--kills", str(KILLS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    log = json.loads(done.stdout.splitlines()[-1])
    how = f"{log['at an event']} at an event, {log['at a time']} at a time"
    ended = f"{log['trainings']} trainings, {len(log['differences'])} differences"
    record_property("shows", f"{log['kills']} kills ({how}), {ended}")
    assert min(log["at an event"], log["at a time"]) >= KILLS // 4
    assert log["trainings"] >= 3
    assert log["differences"] == []
