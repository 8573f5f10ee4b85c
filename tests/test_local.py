"""Training on this machine: records, interruptions, budgets, checkpoints, scoring again."""

import dataclasses
import os
import signal
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import small
from fixture_data import refused
from small_training import (
    BLOCKS,
    EPOCHS,
    OPTIONS,
    PROFILE,
    RUNS,
    STEPS,
    assert_same,
    checkpoints,
    hooked,
    interrupted,
    send,
    strays,
)

from repro.errors import RecordError
from repro.machine import work as working
from repro.machine.local import train
from repro.machine.provenance import continued
from repro.machine.rescoring import evaluate
from repro.machine.saved import checkpoint, keeper, recording, weights
from repro.machine.saved.checkpoint import Pinned, load_checkpoint, load_header, path_of
from repro.machine.saved.stopping import Stopper
from repro.machine.saved.weights import weights_path
from repro.machine.work import Options, Outcome
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store import Store, states
from repro.train.minibatch import BLOCK

AMID, LAST = STEPS + 8, EPOCHS * STEPS  # steps: in the second epoch, and at the end
# RUNS in another configuration.
OTHERS = [dataclasses.replace(run, optim=dataclasses.replace(run.optim, lr=0.01)) for run in RUNS]


def test_training_records_every_run_once_and_leaves_nothing_else(store, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS, store, PROFILE, OPTIONS) == Outcome(done=[run.id for run in RUNS])
    assert signal.getsignal(signal.SIGINT) is before
    assert [r.run for r in store.records(PROFILE)] == sorted(RUNS, key=lambda run: run.id)
    assert (checkpoints(store), strays(store)) == ([], [])
    env = store.record(PROFILE, RUNS[0].id).env
    assert (env["engine"], env["threads"], env["stack_width"]) == ("eager", 1, 2)
    source = {"version": "published", "source": "made here", "hash": "none"}
    assert env["data"] == {"name": "tiny", **source}
    assert env["wall_seconds"] > 0
    steps[0] = 0
    assert train(RUNS, store, PROFILE, OPTIONS) == Outcome()
    assert steps == [0]


def test_what_a_run_leaves_is_on_the_disk_before_its_checkpoint_goes(store, monkeypatch):
    synced: list[str] = []
    sync, remove = os.fsync, Path.unlink

    def synchronise(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").resolve().name)
        sync(fd)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.parent.name == ".checkpoints" and store.has(PROFILE, RUNS[0].id):
            left = [weights_path(store.folder(PROFILE), RUNS[0])]
            left += store.folder(PROFILE, RUNS[0].id).iterdir()
            assert {p.name for p in left} <= {*synced}
            synced.append("checkpoint gone")
        remove(path, missing_ok)

    monkeypatch.setattr(os, "fsync", synchronise)
    monkeypatch.setattr(Path, "unlink", unlink)
    train(RUNS[:1], store, PROFILE, OPTIONS)
    assert synced[-1] == "checkpoint gone"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whoever_stops_a_training_that_is_scored_at_last_need_not_wait(
    number, store, whole, monkeypatch
):
    """All that there is lies in the checkpoint."""
    env = recording.environment
    with monkeypatch.context() as patch:
        patch.setattr(recording, "environment", lambda *a: os.kill(os.getpid(), number) or env(*a))
        with pytest.raises(KeyboardInterrupt):
            train(RUNS, store, PROFILE, OPTIONS)
    assert (len(checkpoints(store)), store.records(PROFILE)) == (1, [])
    assert train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    assert_same(store, whole, *RUNS)


def test_units_sum_to_the_layers_of_the_curve(whole):
    record = whole.record(PROFILE, RUNS[0].id)
    units, curve = record.arrays("kl_units"), record.curve().set_index("epoch")
    assert units["layer"].tolist() == np.repeat([1, 2], RUNS[0].hierarchy.latents).tolist()
    for i in (1, 2):
        layer = units["test"][:, units["layer"] == i].sum(1)
        np.testing.assert_allclose(layer, curve.loc[units["epochs"], f"KL_{i}"], rtol=1e-5)
    assert (units["train"] != units["test"]).all()


@pytest.mark.parametrize(("number", "at"), [(signal.SIGTERM, AMID), (signal.SIGINT, LAST)])
def test_an_interrupted_training_ends_with_the_same_numbers(number, at, store, whole, monkeypatch):
    interrupted(store, RUNS, monkeypatch, at, number)
    assert train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    assert_same(store, whole, *RUNS)


def test_sigterm_asks_however_often_and_ctrl_c_then_stops_at_once():
    stopper = Stopper(None)
    with stopper.interruptible():
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        assert stopper.interrupted.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("begun", "ended", "said"),
    [
        (("a", False), ("a", False), {"commit": "a", "dirty": False}),
        (("a", True), ("b", False), {"commit": "b", "dirty": True, "earlier_commits": ["a"]}),
        (("a", False), ("b", True), {"commit": "b", "dirty": True, "earlier_commits": ["a"]}),
        ((None, None), ("b", False), {"commit": None, "dirty": None, "earlier_commits": ["b"]}),
        ((None, None), ("b", True), {"commit": None, "dirty": True, "earlier_commits": ["b"]}),
        (("a", False), (None, None), {"commit": None, "dirty": None, "earlier_commits": ["a"]}),
    ],
)
def test_a_continued_training_says_what_code_trained_it(begun, ended, said, store, monkeypatch):
    def of(commit: str | None, dirty: bool | None) -> None:
        monkeypatch.setattr(working, "software", lambda: {"commit": commit, "dirty": dirty})

    of(*begun)
    interrupted(store, RUNS[1:], monkeypatch)
    of(*ended)
    train(RUNS[1:], store, PROFILE, OPTIONS)
    env = store.record(PROFILE, RUNS[1].id).env
    keys = "commit", "dirty", "earlier_commits"
    assert {name: env[name] for name in keys if name in env} == said


def test_other_versions_and_devices_that_trained_before_are_said_once() -> None:
    begun = {"commit": "a", "dirty": False, "versions": {"torch": "1"}, "device": "X"}
    here = {**begun, "versions": {"torch": "2"}, "device": "Y"}
    said = continued(continued(begun, here), here)
    assert said == {**here, "earlier_versions": [{"torch": "1"}], "earlier_device": ["X"]}
    assert continued(begun, begun) == begun


@pytest.mark.parametrize(("times", "taken"), [(1, BLOCK), (2, 3)])
def test_one_interrupt_finishes_its_block_and_a_second_does_not(times, taken, store, monkeypatch):
    steps = hooked(monkeypatch, send(signal.SIGINT, 3, times))
    with pytest.raises(KeyboardInterrupt):
        train(RUNS, store, PROFILE, OPTIONS)
    assert steps == [taken]


def test_a_spent_budget_stops_after_a_block_and_continues_to_the_same_numbers(store, whole):
    spent = Options(engine="eager", threads=1, budget_seconds=0.0)
    assert train(RUNS, store, PROFILE, spent).unfinished == [run.id for run in RUNS]
    assert store.records(PROFILE) == []
    calls = 1
    while train(RUNS, store, PROFILE, spent).unfinished:
        calls += 1
        assert calls < 20
    assert calls >= EPOCHS * BLOCKS
    assert_same(store, whole, *RUNS)


def test_an_interrupted_stack_continues_whole_as_it_began_for_one_run(store, whole, monkeypatch):
    interrupted(store, RUNS, monkeypatch)
    outcome = train(RUNS[1:], store, PROFILE, Options(engine="compiled", threads=2))
    assert outcome.done == [run.id for run in RUNS]
    assert_same(store, whole, RUNS[0])
    env = store.record(PROFILE, RUNS[0].id).env
    assert (env["engine"], env["threads"]) == ("eager", 1)


@pytest.mark.parametrize(
    ("where", "seconds", "saved"),
    [
        ("cpu", None, [40, 80, 120, 160, 200, 240, 280, 320, 360, 400]),
        ("cuda", None, [320]),
        ("cuda", 90.0, [100, 200, 300, 400]),
        ("cpu", 0.0, list(range(20, 401, 20))),
    ],
)
def test_checkpoints_are_saved_as_suits_the_device_or_as_told(where, seconds, saved, monkeypatch):
    clock, found = MagicMock(), []
    monkeypatch.setattr(keeper, "time", clock)
    monkeypatch.setattr(keeper.checkpoint, "save_checkpoint", lambda *_: found.append(now))
    clock.monotonic.return_value, stub = 0, MagicMock()
    pinned = Pinned("eager", 1, where)
    kept = keeper.Keeper(stub, stub, stub, pinned, Path("none"), stub, stub, seconds)
    for now in range(20, 401, 20):  # a block every 20 seconds
        clock.monotonic.return_value = now
        kept.after_block()
    assert found == saved


def test_a_checkpoint_has_tensors_as_fresh_ones_are_and_its_seconds(store, monkeypatch):
    """All else that it holds is needed to end with the same numbers."""
    path = interrupted(store, RUNS, monkeypatch, AMID)
    state, log = load_checkpoint(path, small.CPU)
    for part in (state.params, state.m, state.v):
        assert [name for name, p in part.items() if p.data_ptr() % 64] == []
    assert (log.epoch, log.step) == (1, BLOCK)
    assert log.seconds > 0


def test_evaluating_again_changes_no_file_of_a_record(done, whole, monkeypatch):
    first = done.record(PROFILE, RUNS[1].id)
    evaluate([RUNS[1].id], done, PROFILE, OPTIONS)  # the same arrays are not kept twice
    assert_same(done, whole, RUNS[1])
    images = dataclasses.replace(small.raw(), test=small.grey(41, seed=18))
    monkeypatch.setattr("repro.data.load", lambda *_: images)
    evaluate([RUNS[1].id], done, PROFILE, OPTIONS)
    last = done.record(PROFILE, RUNS[1].id)
    new = [f"rescored2_{name}.npz" for name in ("pca", "per_image", "samples")]
    assert sorted(last.sums.keys() - first.sums.keys()) == ["rescored.json", "rescored2.json", *new]
    assert {n: last.sums[n] for n in first.sums} == first.sums
    for record in (first, last):
        record.verify()
    assert "evaluated_again" in last.env
    assert {n: last.env[n] for n in first.env} == first.env
    assert last.final["L1_test"] == pytest.approx(last.arrays("per_image")["L1"].mean())
    assert last.final["L1_test"] != first.final["L1_test"]
    assert last.curve().equals(first.curve())


def test_evaluating_without_weights_of_this_very_run_names_the_file(done):
    path = weights_path(done.folder(PROFILE), RUNS[1])
    weights.save_weights(path, OTHERS[1], weights.load_weights(path)[1])
    with refused(RecordError, str(path), "another configuration"):
        evaluate([RUNS[1].id], done, PROFILE, OPTIONS)
    path.unlink()
    with refused(RecordError, str(path), "repro train"):
        evaluate([RUNS[1].id], done, PROFILE, OPTIONS)


def test_nothing_goes_on_or_is_scored_on_another_version_of_its_data(store, whole, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    other = dataclasses.replace(small.raw(), version="rebuilt", content_hash="another")
    monkeypatch.setattr("repro.data.load", lambda *_: other)
    with refused(RecordError, str(path), "other tiny data than the rebuilt set"):
        train(RUNS, store, PROFILE, OPTIONS)
    assert path.exists()
    with refused(RecordError, RUNS[1].id, "--data-dir"):
        evaluate([RUNS[1].id], whole, PROFILE, OPTIONS)


@pytest.mark.parametrize("beside", [[], RUNS[1:]], ids=["alone", "beside"])
def test_a_checkpoint_of_another_configuration_stops_nobody(beside, store, monkeypatch):
    path = interrupted(store, [OTHERS[0], *beside], monkeypatch)
    for run in RUNS:
        assert train([run], store, PROFILE, OPTIONS).done == [run.id]
    assert checkpoints(store) == [path]


def test_a_checkpoint_of_what_the_profile_has_no_more_stops_nobody(store, monkeypatch):
    path = interrupted(store, [OTHERS[0], RUNS[1]], monkeypatch)
    monkeypatch.setattr(states, "profile", str)
    monkeypatch.setattr(states, "find_run", lambda run_id, _: {r.id: r for r in RUNS}[run_id])
    train(RUNS[1:], store, PROFILE, OPTIONS)
    assert [record.run for record in store.records(PROFILE)] == RUNS[1:]
    assert checkpoints(store) == [path]


@pytest.mark.parametrize("third", [False, True], ids=["two", "three"])
def test_a_run_goes_on_from_one_checkpoint_alone(third, store, monkeypatch, capsys):
    """Of two with two lanes the first by its name; whose Run no third one holds begins again."""
    later = RUNS[1].with_seed(2)
    folder = interrupted(store, RUNS, monkeypatch).parent

    def beside(name: str, *runs: Run) -> Path:
        path = interrupted(Store(store.root / name), [*runs], monkeypatch)
        return path.rename(folder / f"{name}.safetensors")

    path = beside("z", RUNS[1], later)
    if third:
        beside("own", later)
    steps = hooked(monkeypatch, lambda *_: None)
    train([*RUNS, later], store, PROFILE, OPTIONS)
    assert steps == [2 * EPOCHS * STEPS - (2 if third else 1) * BLOCK]
    assert checkpoints(store) == [path]
    said = capsys.readouterr().err
    assert f"{path}: of a Run that another checkpoint goes on with" in said
    assert (f"{later.id}: begins again" in said) != third


def test_a_checkpoint_is_split_whatever_it_is_called(store, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    path.rename(path_of(path.parent, Stack((RUNS[0],))))  # as its first half
    halves = checkpoint.split(path.parent, Stack(tuple(RUNS)), 1)
    kept = [load_header(checkpoint.find(path.parent, half))[0] for half in halves]
    assert kept == [[run] for run in RUNS]
    assert len(checkpoints(store)) == 2
