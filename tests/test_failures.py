"""What goes wrong in training and scoring, and what a killed process leaves behind."""

import errno
import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
import small_training as tiny
import torch
from filelock import FileLock
from fixture_data import refused
from small_training import OPTIONS, PROFILE, RUNS, hooked, interrupted, strays

from repro.errors import MachineError, RecordError, UsageError
from repro.machine.local import train
from repro.machine.saved import checkpoint, recording, stopping
from repro.machine.saved.weights import weights_path
from repro.machine.work import Outcome
from repro.model.stack import Stack
from repro.plan.run import Optim
from repro.store.locks import lock
from repro.train import compiler
from repro.train.feed import Feed
from repro.train.state import fresh
from repro.train.step import step_function


def test_a_damaged_checkpoint_stops_training(store, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    path.write_bytes(path.read_bytes()[:-9])
    with refused(RecordError, str(path), "remove it and train again"):
        train(RUNS, store, PROFILE, OPTIONS)


def test_an_error_of_the_locked_block_is_not_one_of_the_lock(tmp_path):
    with pytest.raises(FileNotFoundError), lock(tmp_path, "some-run"):
        (tmp_path / "nowhere").read_bytes()


def test_another_configuration_in_the_store_is_not_overwritten(done):
    other = small.run("lvae", 1, steps=tiny.STEPS, scored=(1, 2), optim={"lr": 0.5})
    with refused(RecordError, other.id, "another configuration"):
        train([other], done, PROFILE, OPTIONS)


def test_too_few_images_for_a_minibatch_are_refused(store):
    run = replace(small.run(), optim=Optim(batch=10**6))
    with refused(UsageError, run.id, "do not fill a minibatch of 1000000"):
        train([run], store, PROFILE, OPTIONS)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", [f"{RUNS[0].id}.safetensors", "final.json"])
def test_a_full_disk_leaves_nothing_half_written(name, store, whole, monkeypatch):
    """The weights do not fit, or the last file of a record."""
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if name not in path.name:
            return write(path, content)
        write(path, content[: len(content) // 2])
        raise FULL

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with refused(MachineError, "free some space"):
            train(RUNS, store, PROFILE, OPTIONS)
    assert strays(store) == []
    assert [p.name for p in store.folder(PROFILE).glob("[!.]*")] == []
    steps = hooked(monkeypatch, lambda *_: None)
    train(RUNS, store, PROFILE, OPTIONS)
    assert steps == [0]
    tiny.assert_same(store, whole, *RUNS)


@pytest.mark.parametrize("fault", [FULL, SystemExit(1)], ids=["full", "closed pipe"])
def test_progress_that_nobody_reads_blames_no_run(fault, store, monkeypatch):
    """It stops training at a checkpoint; rich ends the process where a pipe is closed."""
    shown = iter([None, fault])

    def show(*_: object) -> None:
        if error := next(shown):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr("repro.machine.watch.progress.Progress.show", show)
        with pytest.raises(type(fault), match=re.escape(str(fault))):
            train(RUNS, store, PROFILE, OPTIONS)
    assert store.failures(PROFILE) == {}
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    assert steps == [(tiny.EPOCHS - 1) * tiny.STEPS]


@pytest.mark.parametrize("broken", tiny.APART, ids=lambda run: run.model.family)
def test_a_stack_that_fails_is_noted_and_the_others_train(broken, store, monkeypatch):
    def fail(stack: Stack, _: int) -> None:
        if stack.runs == (broken,):
            raise RuntimeError("something broke\nin two lines")

    with monkeypatch.context() as patch:
        hooked(patch, fail)
        outcome = train(tiny.APART, store, PROFILE, OPTIONS)
    reason = "RuntimeError: something broke"
    others = [run.id for run in tiny.APART if run != broken]
    assert outcome == Outcome(done=others, failed={broken.id: reason})
    note = json.loads((store.folder(PROFILE) / ".failed" / f"{broken.id}.json").read_text())
    assert (note["run"], note["reason"]) == (broken.id, reason)
    assert train(tiny.APART, store, PROFILE, OPTIONS).done == [broken.id]
    assert list((store.folder(PROFILE) / ".failed").iterdir()) == []


def test_a_failure_in_scoring_one_lane_keeps_the_record_of_another(store, monkeypatch):
    record = recording.record_lane

    def fail_second(*args: Any) -> None:
        if args[2] == 1:  # the lane
            raise RuntimeError("no score")
        record(*args)

    monkeypatch.setattr(recording, "record_lane", fail_second)
    outcome = train(RUNS, store, PROFILE, OPTIONS)
    assert outcome == Outcome(done=[RUNS[0].id], failed={RUNS[1].id: "RuntimeError: no score"})


def test_a_diverged_run_is_recorded_with_its_epoch_and_the_others_train(store):
    plain = small.run(depth=1, batch_norm=False)
    wild = small.run(depth=1, batch_norm=False, seed=2, optim={"lr": 1e30})
    outcome = train([plain, wild], store, PROFILE, OPTIONS)
    assert outcome == Outcome(done=[plain.id], diverged=[wild.id])
    final = store.record(PROFILE, wild.id).final
    assert (final["state"], final["diverged_at"], final["L1_test"]) == ("diverged", 1, None)


# Interrupts and budgets amid scoring


def recorded(monkeypatch: pytest.MonkeyPatch, then: Callable[[], Any]) -> list[str]:
    """Call `then` after each record of this test; returns the ids recorded."""
    real, done = recording.record_lane, []

    def record(*args: Any) -> None:
        real(*args)
        done.append(RUNS[args[2]].id)
        then()

    monkeypatch.setattr(recording, "record_lane", record)
    return done


def test_an_interrupt_while_scoring_keeps_the_lanes_that_are_recorded(store, monkeypatch):
    with monkeypatch.context() as patch:
        done = recorded(patch, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            train(RUNS, store, PROFILE, OPTIONS)
    assert done == [RUNS[0].id]
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS, store, PROFILE, OPTIONS).done == [RUNS[1].id]
    assert steps == [0]


def test_a_budget_spent_while_scoring_leaves_the_rest_unfinished(store, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: clock[-1])
    recorded(monkeypatch, lambda: clock.append(100.0))
    outcome = train(RUNS, store, PROFILE, replace(OPTIONS, budget_seconds=50.0))
    assert (outcome.done, outcome.unfinished) == ([RUNS[0].id], [RUNS[1].id])


# What is left behind


def test_half_written_files_of_a_killed_process_are_cleared_away(store, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    for half in (path, weights_path(store.folder(PROFILE), RUNS[0])):
        half.parent.mkdir(exist_ok=True)
        half.with_name(f".{half.name}.0123abcd").write_bytes(b"half")
    left = store.folder(PROFILE, f".{RUNS[0].id}.0123abcd")
    left.mkdir()
    (left / "final.json").write_text("{}")
    assert list(store.records(PROFILE)) == []
    train(RUNS, store, PROFILE, OPTIONS)
    assert strays(store) == []
    assert tiny.checkpoints(store) == []


def test_sweeping_one_run_leaves_the_files_of_a_run_with_a_longer_name(store):
    other = store.folder(PROFILE, f".{RUNS[0].id}0.0123abcd")
    other.mkdir(parents=True)
    own = store.folder(PROFILE, RUNS[0].id)
    own.mkdir()
    for name in ("final.json", ".rescored.json.0123abcd", ".DS_Store"):
        (own / name).write_text("")
    store.sweep(PROFILE, RUNS[0].id)
    assert other.is_dir()
    assert sorted(p.name for p in own.iterdir()) == [".DS_Store", "final.json"]


def test_a_checkpoint_of_finished_runs_is_removed(store, whole, monkeypatch):
    interrupted(store, RUNS, monkeypatch)
    for record in whole.records(PROFILE):
        store.copy(record)
    train([*RUNS, small.run("vae", 1, steps=2)], store, PROFILE, OPTIONS)
    assert tiny.checkpoints(store) == []


def test_a_checkpoint_that_vanishes_is_another_process_finishing(store, monkeypatch):
    interrupted(store, RUNS[1:], monkeypatch)
    real = checkpoint.load_header

    def vanishing(path: Path) -> Any:
        path.unlink()
        return real(path)

    monkeypatch.setattr(checkpoint, "load_header", vanishing)
    assert train(RUNS[:1], store, PROFILE, OPTIONS).done == [RUNS[0].id]


def test_empty_libraries_are_removed_unless_they_are_being_compiled(tmp_path):
    places = {name: tmp_path / "a" / f"{name}.main.so" for name in ("left", "whole", "begun")}
    for path in places.values():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\x7fELF" if path is places["whole"] else b"")
    with FileLock(tmp_path / "locks" / "begun.lock"):
        compiler.remove_empty_libraries(tmp_path)
    assert [name for name, path in places.items() if path.exists()] == ["whole", "begun"]
    compiler.remove_empty_libraries(tmp_path)
    assert not places["begun"].exists()


def test_stack_after_stack_is_compiled(monkeypatch):
    """With room for one compilation a body, a third stack would raise if the second stayed."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **_: real(f, backend="eager", dynamic=False))
    config = torch._dynamo.config
    with config.patch(recompile_limit=1, fail_on_recompile_limit_hit=True):
        for width in (13, 11, 7):  # each is code of its own, which another's cannot stand for
            stack = Stack((small.run("vae", 1, batch_norm=False, widths=(width,)),))
            state = fresh(stack, small.PIXELS, torch.device("cpu"), torch.float32)
            feed = Feed(stack, torch.from_numpy(small.grey()))
            step_function(stack, "compiled")(state, next(feed.block(1, 0)))
            assert float(state.t) == 1
