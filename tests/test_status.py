"""`repro status`: the small file that a stack keeps, whether its process lives, what is shown."""

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import fixture_report
import fixture_store
import pytest
import small
import trainee
from commands import LVAE, QUICK, VAE, printed, quick_run, told
from small_training import OPTIONS, PROFILE, RUNS, STEPS, assert_same, hooked, interrupted, strays
from writer import Writer

from repro.cli import status as watching
from repro.cli.shared import planned
from repro.machine import cost
from repro.machine.local import train
from repro.plan.profiles import runs
from repro.store import Store, status
from repro.store.places import ROOT
from repro.store.status import Process, Status, StatusFile

IDS = tuple(r.id for r in RUNS)
HERE = status.this_process()
GONE = dataclasses.replace(HERE, began=HERE.began - 1)  # its number was given to another since
ELSEWHERE = dataclasses.replace(HERE, machine="0123456789abcdef")
HALFWAY = Status(
    runs=(LVAE, VAE), process=HERE, engine="compiled", epochs=5, steps=234, doing="training",
    epoch=2, step=78, saved=2.25, note="bound -91.02, L_1 -92.11", last={"L1_test": -92.11},
    images_per_second=1234.5, seconds_left=600.0, written=1000.0,
)  # fmt: skip


def noted(store, profile="quick", name="0123456789abcdef", **changes) -> None:
    """A stack of a profile that says of itself what HALFWAY does."""
    said = dataclasses.replace(HALFWAY, **{"written": time.time(), **changes})
    path = store.folder(profile, status.FOLDER) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dataclasses.asdict(said)))
    if said.saved is not None:
        kept = store.folder(profile, status.CHECKPOINTS) / f"{name}.safetensors"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.touch()


def test_a_training_says_how_far_it_is_and_clears_away_its_own_alone(store, monkeypatch, data_dir):
    """And what a killed training of its own Runs left."""
    folder, seen = store.folder(PROFILE, status.FOLDER), []
    noted(store, PROFILE, "other", runs=("mnist-vae-L1-s9",), saved=None)
    noted(store, PROFILE, "of another width", runs=IDS[:1], process=GONE, saved=None)
    (folder / "damaged.json").write_text("{")
    (folder / ".another.json.0123abcd").write_text("half")
    monkeypatch.setattr(status, "SECONDS", 0.0)

    def look(*_) -> None:
        seen.extend(s for s in status.read_all(store.folder(PROFILE)) if s.runs == IDS)

    hooked(monkeypatch, look)
    train(RUNS, store, PROFILE, dataclasses.replace(OPTIONS, data_dir=data_dir))
    assert [path.name for path in folder.iterdir()] == ["other.json"]
    assert strays(store) == []
    first, last = seen[0], seen[-1]
    assert (first.runs, first.doing, first.epoch, first.last) == (IDS, "starting", 0, {})
    assert (last.doing, last.epoch, last.step, last.epochs) == ("training", 1, 26, 2)
    row = store.record(PROFILE, IDS[0]).curve().iloc[0]
    assert last.last["L1_test"] == pytest.approx(row["L1_test"])
    assert last.note == f"bound {row['L1_train_running']:.2f}, L_1 {row['L1_test']:.2f}"
    assert (last.process, last.data_dir) == (HERE, str(data_dir))


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
    seen = []
    for passed, changes in ((0.5, {"step": 2}), (2.0, {"step": 3}), (0.1, {"doing": "scoring"})):
        clock[0] += passed
        file.update(**changes)
        now = status.read(file.path)
        seen.append((now.step, now.doing))
    assert seen == [(1, "training"), (3, "training"), (3, "scoring")]


DAMAGED = ["", "[]", "{}", '{"runs": 3}', "[" * 100_000, "\xff"]
COUNTS = [
    {"runs": []},
    {"epochs": 0},
    {"steps": 0},
    {"epochs": 10**400},
    {"epoch": -1},
    {"step": 1.5},
]
NUMBERS = [{"seconds_left": math.nan}, {"written": math.inf}, {"last": {"L1_test": math.nan}}]
WORDS = [{"note": "\x1b[31m"}, {"runs": ["a\nb"]}, {"doing": "sleeping"}, {"note": ["a"]}]
KINDS = [{"process": None}, {"last": {"L1_test": "x"}}]
IMPOSSIBLE = [*DAMAGED, *COUNTS, *NUMBERS, *WORDS, *KINDS]


@pytest.mark.parametrize("content", IMPOSSIBLE, ids=lambda content: str(content)[:30])
def test_a_damaged_or_impossible_status_is_none_and_hides_no_other(tmp_path, content):
    folder = tmp_path / status.FOLDER
    StatusFile(folder / "whole.json", HALFWAY)
    damaged = folder / "damaged.json"
    if isinstance(content, dict):
        content = json.dumps({**dataclasses.asdict(HALFWAY), **content})
    damaged.write_text(content, encoding="latin-1")
    assert status.read(damaged) is None
    assert [s.runs for s in status.read_all(tmp_path)] == [HALFWAY.runs]


def test_a_killed_training_is_seen_as_stopped_at_its_checkpoint(tmp_path):
    code, said = Writer(lambda: trainee.train_all(Store(tmp_path), 40)).ended()
    assert code == -signal.SIGKILL, said
    (left,) = status.read_all(tmp_path / trainee.PROFILE)
    assert left.doing != "stopped"
    assert left.state(time.time()) == "stopped"


@pytest.mark.parametrize(
    ("process", "age", "doing", "expected"),
    [
        (HERE, 10_000, "training", "training"),
        (GONE, 1, "training", "stopped"),
        (dataclasses.replace(HERE, pid=2**22 + 1), 1, "training", "stopped"),
        (ELSEWHERE, 1, "training", "training"),
        (ELSEWHERE, status.FRESH + 1, "training", "silent"),
        (ELSEWHERE, status.FRESH + 1, "stopped", "stopped"),  # which it says itself
        (Process("", 1, 1), 1, "training", "training"),
        (Process("", 1, 1), status.FRESH + 1, "training", "silent"),
    ],
)
def test_who_can_tell_says_whether_it_is_alive(process, age, doing, expected):
    said = dataclasses.replace(HALFWAY, process=process, doing=doing)
    assert said.state(said.written + age) == expected


def test_a_killed_process_is_not_alive_even_before_its_parent_looks():
    code = "from repro.store.status import this_process as p; print(p().pid, p().began, flush=True)"
    command, pipe = [sys.executable, "-c", f"{code}; input()"], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
        pid, began = map(int, child.stdout.readline().split())
        process = Process(status.machine(), pid, began)
        assert process.alive
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while process.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not process.alive
        assert Path(f"/proc/{pid}").exists()


# What is shown of stacks that train, or were interrupted


def test_a_training_stack_is_shown_with_its_numbers_and_json_has_the_documented_keys(local, capsys):
    noted(local)
    out = told(capsys, "status").splitlines()
    assert out[:3] == [
        "profile quick: 2 missing, 2 training",
        f"{LVAE} and 1 more: training (compiled)",
        "  epoch 3 of 5, bound -91.02, L_1 -92.11, 1,234 images/s, 10 min left",
    ]
    assert out[3].startswith("time left: 10 min of training, then about ")
    assert max(map(len, out)) <= 80
    content = printed(capsys, "status")
    assert list(content) == ["store", "profiles"]
    ((p, stack),) = ((p, p["stacks"][0]) for p in content["profiles"])
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").partition("## Watching")[2]
    rows = [line.split("|") for line in text.partition("\n## ")[0].splitlines() if "|" in line]
    documented = {key for row in rows for key in re.findall(r"`(\w+)`", row[2])}
    assert documented == {*p, *stack}
    assert stack["runs"] == [LVAE, VAE]
    assert (stack["epoch"], stack["step"], stack["seconds_left"]) == (2, 78, 600.0)
    assert p["runs"] == {"missing": 2, "training": 2}


def test_a_killed_stack_says_how_it_continues(local, capsys):
    for saved, again in ((2.25, "saved at 2.25; continue"), (None, "nothing saved; begin again")):
        noted(local, process=GONE, saved=saved)
        out = told(capsys, "status")
        assert f"{LVAE} and 1 more: stopped (compiled)\n  epoch 3 of 5, " in out
        assert f"  {again} with: repro train " in out
        assert "nothing is training" in out.splitlines()
        assert "images/s" not in out


def shown(capsys, *options):
    """What the JSON says of the one profile that it speaks of."""
    (profile,) = printed(capsys, "status", *options)["profiles"]
    return profile


def test_the_command_that_is_named_trains_those_runs(local, capsys, tmp_path):
    """Also one that the profile leaves out, or of another seed; none of what lies elsewhere."""
    noted(local, process=GONE, runs=(beyond := "mnist-lvae_bn_wu-L3-s1", seeded := f"{VAE[:-1]}3"))
    command = shown(capsys)["stacks"][0]["command"]
    assert command == f"repro train {beyond} {seeded} --profile quick"
    by_path = shown(capsys, "--store", f"{local.root}/")["stacks"][0]
    assert by_path["command"] == command
    noted(local, process=GONE, data_dir="/mnt/other sets")
    command = shown(capsys)["stacks"][0]["command"]
    assert command == f"repro train {LVAE} {VAE} --profile quick --data-dir '/mnt/other sets'"
    noted(copy := Store(tmp_path / "copy"), process=GONE)
    assert shown(capsys, "--store", str(copy.root))["stacks"][0]["command"] is None


def test_every_run_of_the_profile_is_counted_once(local, capsys):
    first, second, third, fourth = (r.id for r in runs(QUICK))
    fixture_store.write(local, "quick", quick_run(first))
    fixture_store.diverge(local, "quick", quick_run(second), epoch=2)
    fixture_report.fail(local, "quick", third, "out of memory")
    noted(local, runs=(fourth, third), process=GONE)
    content = shown(capsys)
    assert content["runs"] == {"diverged": 1, "done": 1, "failed": 1, "interrupted": 1}
    assert content["stacks"][0]["reason"] == "out of memory"


def test_what_a_checkpoint_holds_and_what_is_recorded_is_not_ahead(local, capsys):
    behind, begun = {LVAE: 0.2, VAE: 0.2}, quick_run(LVAE)
    alone = {run.id: cost.seconds([run], behind) for run in runs(QUICK)}
    parts = [cost.scoring_flops(begun, left) for left in (0.0, 0.8, 1.0)]
    assert 0 < parts[0] < parts[1] < parts[2], "L_K is all ahead"
    assert 0.8 * (whole := cost.seconds([begun])) < alone[LVAE] < whole
    noted(local, process=GONE, saved=1.0)
    assert shown(capsys)["predicted_seconds"] == pytest.approx(sum(alone.values()), abs=0.1)
    listed = {row["run"]: row for row in printed(capsys, "list", "--profile", "quick")}
    assert listed[LVAE]["state"] == "interrupted"
    assert listed[LVAE]["predicted_seconds"] == pytest.approx(alone[LVAE], abs=0.1)
    plan = planned.plan(local, QUICK, runs(QUICK))
    assert plan.states[VAE] == "interrupted"
    assert plan.seconds(plan.todo) == cost.seconds(plan.todo, behind)
    for run_id in (LVAE, VAE):
        fixture_store.write(local, "quick", quick_run(run_id))
    content, left = shown(capsys), sum(alone.values()) - alone[LVAE] - alone[VAE]
    assert (content["stacks"], content["predicted_seconds"]) == ([], pytest.approx(left, abs=0.1))


def test_of_stacks_that_train_at_once_the_last_one_ends_the_training(local, capsys):
    noted(local, runs=(LVAE,), seconds_left=100.0)
    noted(local, name="another", runs=(VAE,), seconds_left=300.0)
    assert shown(capsys)["seconds_left"] == 300


def test_a_profile_with_a_stack_is_shown_before_a_fuller_one(local, capsys, monkeypatch):
    fixture_store.build(local.root, "reduced")
    noted(local)
    assert shown(capsys)["profile"] == "quick"
    looked, read = [], watching.read_all
    monkeypatch.setattr(watching, "read_all", lambda f: looked.append(f.name) or read(f))
    assert shown(capsys, "--profile", "quick")["profile"] == "quick"
    assert set(looked) == {"quick"}, "of others, which may be damaged, nothing is read"


def test_it_takes_no_lock_and_writes_nothing(local, capsys, monkeypatch):
    noted(local)
    lock = local.folder("quick", ".locks") / f"{LVAE}.lock"
    lock.parent.mkdir()
    lock.touch()
    monkeypatch.setattr("filelock.FileLock.acquire", None)  # would raise
    before = {p: p.stat().st_mtime_ns for p in local.root.rglob("*")}
    printed(capsys, "status")
    assert {p: p.stat().st_mtime_ns for p in local.root.rglob("*")} == before


def test_watching_shows_it_anew_until_it_is_interrupted(local, capsys, monkeypatch):
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        noted(local, note=f"look {len(looks)}")
        if len(looks) == 3:
            raise KeyboardInterrupt

    noted(local, note="look 0")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(watching.time, "sleep", sleep)
    out = told(capsys, "status", "--watch")
    assert all(f"look {n}" in out for n in range(3))
    assert looks == [watching.REFRESH] * 3


@pytest.mark.parametrize("name", ["[red]x[/red]", "../../etc"])
def test_what_a_file_says_is_shown_as_it_is(name, local, capsys):
    """No markup, and no path."""
    noted(local, runs=(name,), process=GONE)
    out = told(capsys, "status")
    assert f"{name}: stopped" in out
    assert "repro train --profile quick" in out
