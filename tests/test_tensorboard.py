"""`--tensorboard`: event files hold the curve, once, and change no number."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import ladder_small
import pytest
import small
from commands import LVAE, refusal
from small_training import OPTIONS, PROFILE, RUNS, STEPS, assert_same, interrupted

from repro.cli import run as command
from repro.machine.local import train
from repro.machine.watch import events
from repro.store.states import recorded
from repro.train.log import LaneLog

WATCHED = replace(OPTIONS, tensorboard=True)


def assert_events_are_the_curve(store, run, profile=PROFILE):
    """What TensorBoard itself reads of a Run equals its record; returns (epoch, value) by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = store.folder(profile, events.FOLDER) / run.id
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    tags = reader.Tags()["scalars"]
    found = {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in tags}
    table = store.record(profile, run.id).curve()
    columns = {c: table[["epoch", c]].dropna() for c in table.columns if c != "epoch"}
    assert found == {
        f"{c.partition('_')[0]}/{c}": [
            (int(e), pytest.approx(v, rel=2e-6)) for e, v in rows.to_numpy()
        ]
        for c, rows in columns.items()
        if len(rows)
    }
    return found


def test_events_are_the_curve_and_records_are_those_without(store, whole):
    train(RUNS, store, PROFILE, WATCHED)
    for run in RUNS:
        assert_events_are_the_curve(store, run)
        assert_same(store, whole, run)


def test_a_resumed_run_has_every_epoch_once_also_those_before_it_was_watched(store, monkeypatch):
    run = small.run("lvae", 1, epochs=3, steps=STEPS, scored=(1, 3))
    interrupted(store, [run], monkeypatch, STEPS + 3)
    interrupted(store, [run], monkeypatch, options=WATCHED)
    train([run], store, PROFILE, WATCHED)
    found = assert_events_are_the_curve(store, run)
    assert [step for step, _ in found["L1/L1_train_running"]] == [1, 2, 3]


def test_a_ladder_network_has_its_own_columns(store, monkeypatch):
    monkeypatch.setattr("repro.data.load", ladder_small.raw)
    run = ladder_small.run()
    train([run], store, PROFILE, WATCHED)
    found = assert_events_are_the_curve(store, run)
    assert {"cost/cost_running", "error/error_percent", "C/C_0"} <= set(found)


def test_a_row_is_readable_as_soon_as_it_is_written(tmp_path):
    file = events.EventFile(tmp_path / "run")
    (path,) = (tmp_path / "run").iterdir()
    before = path.stat().st_size
    file.write(LaneLog([{"epoch": 1, "lr": 0.5, "L1_test": None}]))
    assert path.stat().st_size > before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_full_disk_ends_the_events_and_not_the_training(store, monkeypatch, capsys):
    real = Path.open

    def full(path, *args, **named):
        return real(Path("/dev/full") if "tfevents" in path.name else path, *args, **named)

    monkeypatch.setattr(Path, "open", full)
    train(RUNS[1:], store, PROFILE, WATCHED)
    assert recorded(store, PROFILE, RUNS[1])
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_without_tensorboard_nothing_is_trained_and_the_remedy_is_named(local, monkeypatch, capsys):
    find = importlib.util.find_spec
    missing = ("tensorboard",)
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n in missing else find(n))
    said = refusal(capsys, "train", "--profile", "smoke", "--tensorboard")
    assert "pip install 'lvae-repro[tensorboard]'" in said
    assert not local.root.exists()


@pytest.mark.slow
def test_the_command_line_writes_them_and_says_nothing_else(local, data_dir, capfd):
    where = ["--profile", "smoke", "--engine", "eager", "--data-dir", str(data_dir)]
    assert command(["train", LVAE, *where, "--tensorboard"]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith(("training ", "  "))] == []
    assert_events_are_the_curve(local, local.record("smoke", LVAE).run, "smoke")
