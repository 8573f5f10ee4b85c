"""`--tensorboard`: event files hold the curve, once, and change no number."""

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import ladder_small
import pytest
import small
from commands import LVAE, one_line
from small_training import OPTIONS, PROFILE, RUNS, STEPS, assert_same, interrupted

from repro.cli import run as command
from repro.machine.local import train
from repro.machine.watch import events
from repro.plan.run import Run
from repro.store import Store
from repro.store.states import recorded
from repro.train.log import LaneLog

WATCHED = replace(OPTIONS, tensorboard=True)


def scalars(store: Store, run: Run, profile: str = PROFILE) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads of a Run: (step, value) by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = store.folder(profile, events.FOLDER) / run.id
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    tags = reader.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in tags}


def curve(store: Store, run: Run, profile: str = PROFILE) -> dict[str, list[tuple[int, Any]]]:
    """The same of its record."""
    table = store.record(profile, run.id).curve()
    columns = {c: table[["epoch", c]].dropna() for c in table.columns if c != "epoch"}
    return {
        events.tag(c): [(int(e), pytest.approx(v, rel=2e-6)) for e, v in rows.to_numpy()]
        for c, rows in columns.items()
        if len(rows)
    }


def test_events_are_the_curve_and_records_are_those_without(store, whole):
    train(RUNS, store, PROFILE, WATCHED)
    for run in RUNS:
        assert scalars(store, run) == curve(store, run)
        assert_same(store, whole, run)


def test_a_resumed_run_has_every_epoch_once_also_those_before_events_were_asked_for(
    store, monkeypatch
):
    run = small.run("lvae", 1, epochs=3, steps=STEPS, scored=(1, 3))
    interrupted(store, [run], monkeypatch, STEPS + 3)
    interrupted(store, [run], monkeypatch, options=WATCHED)
    train([run], store, PROFILE, WATCHED)
    assert scalars(store, run) == curve(store, run)
    assert [step for step, _ in scalars(store, run)["L1/L1_train_running"]] == [1, 2, 3]


def test_a_ladder_network_has_its_own_columns(store, monkeypatch):
    monkeypatch.setattr("repro.data.load", ladder_small.raw)
    run = ladder_small.run()
    train([run], store, PROFILE, WATCHED)
    found = scalars(store, run)
    assert found == curve(store, run)
    assert {"cost/cost_running", "error/error_percent", "C/C_0"} <= set(found)


def test_a_row_is_readable_as_soon_as_it_is_written(tmp_path):
    file = events.EventFile(tmp_path / "run")
    (path,) = (tmp_path / "run").iterdir()
    before = path.stat().st_size
    file.write(LaneLog([{"epoch": 1, "lr": 0.5, "L1_test": None}]))
    assert path.stat().st_size > before
    assert events.numbers({"epoch": 1, "lr": 0.5, "L1_test": None}) == {"lr": 0.5}


def test_columns_that_begin_alike_are_one_group():
    assert [events.tag(c) for c in ("L1_test", "KL_3", "beta", "error_percent", "C_0")] == [
        *("L1/L1_test", "KL/KL_3", "beta/beta", "error/error_percent", "C/C_0")
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_full_disk_ends_the_events_and_not_the_training(store, monkeypatch, capsys):
    real = Path.open

    def full(path: Path, *args: Any, **named: Any) -> Any:
        return real(Path("/dev/full") if "tfevents" in path.name else path, *args, **named)

    monkeypatch.setattr(Path, "open", full)
    train(RUNS[1:], store, PROFILE, WATCHED)
    assert recorded(store, PROFILE, RUNS[1])
    assert capsys.readouterr().err.count("No space left on device") == 1


def without_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name)
    )


def test_without_tensorboard_nothing_is_trained_and_the_remedy_is_named(local, monkeypatch, capsys):
    without_tensorboard(monkeypatch)
    assert command(["train", "--profile", "smoke", "--tensorboard"]) == 3
    assert "pip install 'lvae-repro[tensorboard]'" in one_line(capsys)
    assert not local.root.exists()


@pytest.mark.slow
def test_the_command_line_writes_what_tensorboard_reads_and_says_nothing_else(
    local, data_dir, capfd
):
    where = ["--profile", "smoke", "--engine", "eager", "--data-dir", str(data_dir)]
    assert command(["train", LVAE, *where, "--tensorboard"]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith(("training ", "  "))] == []
    run = local.record("smoke", LVAE).run
    assert scalars(local, run, "smoke") == curve(local, run, "smoke")
