"""Training on this machine: records, interruptions, budgets, checkpoints, scoring again."""

import dataclasses
import signal
from typing import Any

import numpy as np
import pytest
import small
import torch
from fixture_data import refused
from numpy.testing import assert_array_equal
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
from repro.machine.rescoring import evaluate
from repro.machine.saved import checkpoint, weights
from repro.machine.saved.checkpoint import load_checkpoint, load_header, path_of
from repro.machine.saved.weights import weights_path
from repro.machine.work import Options, Outcome
from repro.model.stack import Stack
from repro.store import Store, states
from repro.train.minibatch import BLOCK

AMID, LAST = STEPS + 8, EPOCHS * STEPS  # steps: in the second epoch, and at the end


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


def test_units_sum_to_the_layers_of_the_curve(whole):
    record = whole.record(PROFILE, RUNS[0].id)
    units, curve = record.arrays("kl_units"), record.curve().set_index("epoch")
    assert units["layer"].tolist() == np.repeat([1, 2], RUNS[0].hierarchy.latents).tolist()
    for i in (1, 2):
        layer = units["test"][:, units["layer"] == i].sum(1)
        np.testing.assert_allclose(layer, curve.loc[units["epochs"], f"KL_{i}"], rtol=1e-5)
    assert (units["train"] != units["test"]).all()


@pytest.mark.parametrize(("number", "at"), [(signal.SIGTERM, AMID), (signal.SIGINT, LAST)])
def test_an_interrupted_training_continues_to_the_same_numbers(
    number, at, store, whole, monkeypatch
):
    interrupted(store, RUNS, monkeypatch, at, number)
    assert train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    assert_same(store, whole, *RUNS)


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


@pytest.mark.parametrize(("times", "taken"), [(1, BLOCK), (2, 3)])
def test_the_first_interrupt_finishes_its_block_and_the_second_stops_at_once(
    times, taken, store, monkeypatch
):
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


def test_an_interrupted_stack_continues_whole_and_as_it_began_when_one_of_its_runs_is_wanted(
    store, whole, monkeypatch
):
    interrupted(store, RUNS, monkeypatch)
    outcome = train(RUNS[1:], store, PROFILE, Options(engine="compiled", threads=2))
    assert outcome.done == [run.id for run in RUNS]
    assert_same(store, whole, RUNS[0])
    env = store.record(PROFILE, RUNS[0].id).env
    assert (env["engine"], env["threads"]) == ("eager", 1)


def test_a_checkpoint_holds_state_and_log_as_they_were(store, monkeypatch):
    saved: list[Any] = []
    save = checkpoint.save_checkpoint
    monkeypatch.setattr(
        checkpoint, "save_checkpoint", lambda *args: saved.append(args) or save(*args)
    )
    interrupted(store, RUNS, monkeypatch, AMID)
    path, stack, state, log, pinned = saved[-1]
    loaded, again = load_checkpoint(path, small.CPU)
    for part in ("params", "m", "v"):
        ours, expected = getattr(loaded, part), getattr(state, part)
        assert list(ours) == list(expected)
        assert all(torch.equal(ours[n], expected[n]) for n in expected)
        assert [n for n, p in ours.items() if p.data_ptr() % 64] == []  # as fresh ones are
    assert (loaded.t, loaded.sums.tolist()) == (state.t, state.sums.tolist())
    assert (again.epoch, again.step, again.seconds) == (log.epoch, log.step, log.seconds)
    assert [lane.rows for lane in again.lanes] == [lane.rows for lane in log.lanes]
    assert_array_equal(again.lanes[1].kl_test, log.lanes[1].kl_test)
    assert load_header(path) == (list(stack.runs), pinned)


@pytest.mark.parametrize(
    "run",
    [
        small.run("vae", 2, seed=2, steps=STEPS, batch_norm=False),
        small.run("lvae", 2, seed=2, steps=STEPS, shared=False, head_batch_norm=False),
    ],
    ids=["plain", "separate"],
)
def test_evaluating_saved_weights_gives_the_same_numbers_on_the_same_binary_test_images(
    run, store, whole
):
    train([run], store, PROFILE, OPTIONS)
    before = Store(store.root.parent / "before")
    before.copy(store.record(PROFILE, run.id))
    evaluate([run.id], store, PROFILE, OPTIONS)
    assert_same(store, before, run)
    shown = [s.record(PROFILE, r.id).arrays("samples") for s, r in ((store, run), (whole, RUNS[0]))]
    assert_array_equal(shown[0]["true"], shown[1]["true"])


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
    other = small.run("lvae", 1, steps=STEPS, scored=(1, 2), optim={"lr": 0.5})
    path = weights_path(done.folder(PROFILE), RUNS[1])
    weights.save_weights(path, other, weights.load_weights(path)[1])
    with refused(RecordError, str(path), "another configuration"):
        evaluate([RUNS[1].id], done, PROFILE, OPTIONS)
    path.unlink()
    with refused(RecordError, str(path), "repro train"):
        evaluate([RUNS[1].id], done, PROFILE, OPTIONS)


def test_a_run_is_neither_continued_nor_scored_again_on_another_version_of_its_data(
    store, whole, monkeypatch
):
    path = interrupted(store, RUNS, monkeypatch)
    other = dataclasses.replace(small.raw(), version="rebuilt", content_hash="another")
    monkeypatch.setattr("repro.data.load", lambda *_: other)
    with refused(RecordError, str(path), "other tiny data than the rebuilt set"):
        train(RUNS, store, PROFILE, OPTIONS)
    assert path.exists()
    with refused(RecordError, RUNS[1].id, "--data-dir"):
        evaluate([RUNS[1].id], whole, PROFILE, OPTIONS)


def test_a_checkpoint_is_found_by_its_runs_whatever_it_is_called(store, whole, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    path.rename(path_of(path.parent, Stack((RUNS[0],))))  # as another stack's
    steps = hooked(monkeypatch, lambda *_: None)
    train(RUNS, store, PROFILE, OPTIONS)
    assert steps == [EPOCHS * STEPS - BLOCK]
    assert checkpoints(store) == []
    assert_same(store, whole, *RUNS)


@pytest.mark.parametrize("beside", [[], RUNS[1:]], ids=["alone", "beside"])
def test_a_checkpoint_of_what_is_recorded_in_another_configuration_stops_nobody(
    beside, store, monkeypatch
):
    optim = dataclasses.replace(RUNS[0].optim, lr=0.01)
    path = interrupted(store, [dataclasses.replace(RUNS[0], optim=optim), *beside], monkeypatch)
    for run in RUNS:
        assert train([run], store, PROFILE, OPTIONS).done == [run.id]
    assert checkpoints(store) == [path]


def test_a_checkpoint_of_what_the_profile_has_no_more_stops_nobody(store, monkeypatch):
    optim = dataclasses.replace(RUNS[0].optim, lr=0.01)
    path = interrupted(store, [dataclasses.replace(RUNS[0], optim=optim), RUNS[1]], monkeypatch)
    monkeypatch.setattr(states, "profile", str)
    monkeypatch.setattr(states, "find_run", lambda run_id, _: {r.id: r for r in RUNS}[run_id])
    train(RUNS[1:], store, PROFILE, OPTIONS)
    assert [record.run for record in store.records(PROFILE)] == RUNS[1:]
    assert checkpoints(store) == [path]


def test_a_run_goes_on_from_one_checkpoint_alone(store, monkeypatch, capsys):
    later = RUNS[1].with_seed(2)
    path = interrupted(store, [RUNS[1], later], monkeypatch)
    path = path.rename(store.folder(PROFILE) / path.name)
    first = interrupted(store, RUNS, monkeypatch)
    # Of two stacks of two lanes, the one that is first by its name goes on.
    path = path.rename(first.with_name(f"z{path.name}"))
    steps = hooked(monkeypatch, lambda *_: None)
    train([*RUNS, later], store, PROFILE, OPTIONS)
    assert steps == [2 * EPOCHS * STEPS - BLOCK]
    assert checkpoints(store) == [path]
    assert f"{later.id}: begins again" in capsys.readouterr().err


def test_a_run_that_goes_on_from_a_third_checkpoint_does_not_begin_again(
    store, monkeypatch, capsys
):
    later = RUNS[1].with_seed(2)
    path = interrupted(store, [later], monkeypatch)
    path = path.rename(store.folder(PROFILE) / path.name)
    both = interrupted(store, [RUNS[1], later], monkeypatch)
    both = both.rename(store.folder(PROFILE) / both.name)
    first = interrupted(store, RUNS, monkeypatch)
    path.rename(first.with_name(path.name))
    both.rename(first.with_name(f"z{both.name}"))
    train([*RUNS, later], store, PROFILE, OPTIONS)
    said = capsys.readouterr().err
    assert "another checkpoint goes on with" in said
    assert "begins again" not in said


def test_a_checkpoint_is_split_whatever_it_is_called(store, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    path.rename(path_of(path.parent, Stack((RUNS[0],))))  # as its first half
    halves = checkpoint.split(path.parent, Stack(tuple(RUNS)), 1)
    kept = [load_header(checkpoint.find(path.parent, half))[0] for half in halves]
    assert kept == [[run] for run in RUNS]
    assert len(checkpoints(store)) == 2
