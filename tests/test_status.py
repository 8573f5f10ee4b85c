"""The small file that a stack keeps for `repro status`, and whether its process is alive."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small
import trainee
from fixture_data import refused
from fixture_status import ELSEWHERE, GONE, HALFWAY, HERE
from small_training import OPTIONS, PROFILE, RUNS, STEPS, assert_same, hooked, interrupted, strays
from writer import Writer

from repro.errors import RecordError
from repro.machine.local import train
from repro.store import Store, status
from repro.store.status import Process, StatusFile

IDS = tuple(r.id for r in RUNS)


# --- the file -------------------------------------------------------------------------------------


def test_a_training_says_how_far_it_is_and_leaves_the_status_of_other_runs_alone(
    store, monkeypatch
):
    """What a killed training of its own Runs left it clears away, and its own at the end."""
    folder, seen = store.folder(PROFILE, status.FOLDER), []
    other = dataclasses.replace(HALFWAY, runs=("mnist-vae-L1-s9",))
    StatusFile(folder / "other.json", other)
    other_width = dataclasses.replace(HALFWAY, runs=IDS[:1], process=GONE)
    (folder / "another.json").write_text(json.dumps(dataclasses.asdict(other_width)))
    (folder / "damaged.json").write_text("{")
    (folder / ".another.json.0123abcd").write_text("half")
    monkeypatch.setattr(status, "SECONDS", 0.0)

    def look(_: object, step: int) -> None:
        seen.extend(s for s in status.read_all(store.folder(PROFILE)) if s.runs == IDS)

    hooked(monkeypatch, look)
    train(RUNS, store, PROFILE, OPTIONS)
    assert [status.read(path).runs for path in folder.iterdir()] == [other.runs]
    assert strays(store) == []
    first, last = seen[0], seen[-1]
    assert (first.runs, first.doing, first.epoch, first.last) == (IDS, "starting", 0, {})
    assert (last.doing, last.epoch, last.step, last.epochs) == ("training", 1, 26, 2)
    row = store.record(PROFILE, IDS[0]).curve().iloc[0]
    assert last.last["L1_test"] == pytest.approx(row["L1_test"])
    assert last.note == f"bound {row['L1_train_running']:.2f}, L_1 {row['L1_test']:.2f}"
    assert last.process == HERE


def test_a_stopped_stack_says_where_its_checkpoint_stands(store, monkeypatch):
    interrupted(store, RUNS, monkeypatch)
    (left,) = status.read_all(store.folder(PROFILE))
    assert (left.doing, left.saved) == ("stopped", small.BLOCK / STEPS)


def test_training_goes_on_where_no_status_can_be_written(store, whole):
    store.folder(PROFILE).mkdir(parents=True)
    store.folder(PROFILE, status.FOLDER).write_text("a file where the folder should be")
    train(RUNS, store, PROFILE, OPTIONS)
    assert_same(store, whole, RUNS[0])


def test_it_is_written_every_few_seconds_and_when_it_does_something_else(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(status.time, "monotonic", lambda: clock[0])
    file = StatusFile(tmp_path / "a.json", dataclasses.replace(HALFWAY, step=1))
    told = []
    for passed, changes in ((0.5, {"step": 2}), (2.0, {"step": 3}), (0.1, {"doing": "scoring"})):
        clock[0] += passed
        file.update(**changes)
        now = status.read(file.path)
        told.append((now.step, now.doing))
    assert told == [(1, "training"), (3, "training"), (3, "scoring")]


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"runs": 3}', "[" * 100_000, "\xff"),
        *({"runs": []}, {"epochs": 0}, {"steps": 0}, {"epoch": -1}, {"seconds_left": math.nan}),
        *({"written": math.inf}, {"last": {"L1_test": math.nan}}, {"last": {"L1_test": "x"}}),
        *({"note": "\x1b[31m"}, {"runs": ["a\nb"]}),
        *({"doing": "sleeping"}, {"process": None}, {"step": 1.5}, {"note": ["a"]}),
    ],
    ids=lambda content: str(content)[:30],
)
def test_a_damaged_or_impossible_status_is_a_record_error_and_hides_no_other(tmp_path, content):
    folder = tmp_path / status.FOLDER
    StatusFile(folder / "whole.json", HALFWAY)
    damaged = folder / "damaged.json"
    if isinstance(content, dict):
        content = json.dumps({**dataclasses.asdict(HALFWAY), **content})
    damaged.write_text(content, encoding="latin-1")
    with refused(RecordError, str(damaged)):
        status.read(damaged)
    assert [s.runs for s in status.read_all(tmp_path)] == [HALFWAY.runs]


def test_a_killed_training_is_seen_as_stopped_at_its_checkpoint(tmp_path):
    code, said = Writer(lambda: trainee.train_all(Store(tmp_path), 40)).ended()
    assert code == -signal.SIGKILL, said
    (left,) = status.read_all(tmp_path / trainee.PROFILE)
    assert left.doing != "stopped"
    assert left.state(time.time()) == "stopped"


# --- alive or not ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("process", "age", "doing", "expected"),
    [
        (HERE, 10_000, "training", "training"),
        (GONE, 1, "training", "stopped"),
        (dataclasses.replace(HERE, pid=2**22 + 1), 1, "training", "stopped"),
        (ELSEWHERE, 1, "training", "training"),
        (ELSEWHERE, status.FRESH + 1, "training", "silent"),
        (ELSEWHERE, 0, "stopped", "stopped"),  # which it says itself
        (Process("", 1, 1), 1, "training", "training"),
        (Process("", 1, 1), status.FRESH + 1, "training", "silent"),
    ],
)
def test_who_can_tell_says_whether_it_is_alive(process, age, doing, expected):
    told = dataclasses.replace(HALFWAY, process=process, doing=doing)
    assert told.state(told.written + age) == expected


def test_a_killed_process_is_not_alive_even_before_its_parent_looks():
    code = (
        "from repro.store.status import this_process as p;"
        " print(p().pid, p().began, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        pid, began = map(int, child.stdout.readline().split())
        process = Process(status.machine(), pid, began)
        assert process.alive
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while process.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not process.alive
        assert Path(f"/proc/{pid}").exists()
