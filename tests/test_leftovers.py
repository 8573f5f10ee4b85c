"""What a killed process leaves behind, and what another process meets."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from filelock import FileLock
from fixture_data import refused
from small_training import OPTIONS, PROFILE, RUNS, checkpoints, hooked, interrupted, strays

from repro.errors import UsageError
from repro.machine import saved
from repro.machine.local import train
from repro.machine.saved import checkpoint, stopping
from repro.machine.saved.weights import weights_path
from repro.machine.work import Options
from repro.model.stack import Stack
from repro.plan.run import Optim
from repro.train import compiler
from repro.train.feed import Feed
from repro.train.state import fresh
from repro.train.step import step_function


def test_half_written_files_of_a_killed_process_are_cleared_away(store, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    for half in (path, weights_path(store.folder(PROFILE), RUNS[0])):
        half.parent.mkdir(exist_ok=True)
        half.with_name(f".{half.name}.0123abcd").write_bytes(b"half")
    left = store.folder(PROFILE, f".{RUNS[0].id}.0123abcd")
    left.mkdir()
    (left / "curve.csv").write_text("half")
    train(RUNS, store, PROFILE, OPTIONS)
    assert strays(store) == []
    assert checkpoints(store) == []


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
    assert checkpoints(store) == []


def test_a_checkpoint_that_vanishes_while_it_is_read_is_another_process_finishing(
    store, monkeypatch
):
    interrupted(store, RUNS[1:], monkeypatch)
    real = checkpoint.load_header

    def vanishing(path: Path) -> Any:
        path.unlink()
        return real(path)

    monkeypatch.setattr(checkpoint, "load_header", vanishing)
    assert train(RUNS[:1], store, PROFILE, OPTIONS).done == [RUNS[0].id]


def test_too_few_images_for_a_minibatch_are_refused(store):
    run = replace(small.run(), optim=Optim(batch=10**6))
    with refused(UsageError, run.id, "do not fill a minibatch of 1000000"):
        train([run], store, PROFILE, OPTIONS)


def recording(monkeypatch: pytest.MonkeyPatch, then: Any) -> list[str]:
    """Call `then` after each record of this test; returns the ids recorded."""
    real, done = saved.recording.record_lane, []

    def record(*args: Any) -> None:
        real(*args)
        done.append(RUNS[args[2]].id)
        then()

    monkeypatch.setattr(saved.recording, "record_lane", record)
    return done


def test_an_interrupt_while_scoring_keeps_the_lanes_that_are_recorded(store, monkeypatch):
    with monkeypatch.context() as patch:
        done = recording(patch, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            train(RUNS, store, PROFILE, OPTIONS)
    assert done == [RUNS[0].id]
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS, store, PROFILE, OPTIONS).done == [RUNS[1].id]
    assert steps == [0]


def test_a_budget_spent_while_scoring_leaves_the_rest_unfinished(store, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: clock[0])

    def pass_time() -> None:
        clock[0] = 100.0

    recording(monkeypatch, pass_time)
    budget = Options(engine="eager", threads=1, budget_seconds=50.0)
    outcome = train(RUNS, store, PROFILE, budget)
    assert (outcome.done, outcome.unfinished) == ([RUNS[0].id], [RUNS[1].id])


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
