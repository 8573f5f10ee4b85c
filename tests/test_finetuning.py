"""Fine-tuning: a Run that starts where another ended, with its weights and Adam's moments."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from fixture_data import refused
from small_training import BLOCKS, OPTIONS, PROFILE, assert_same, hooked, interrupted, trained

from repro.errors import RecordError, UsageError
from repro.machine import cost as predict
from repro.machine.local import train
from repro.machine.saved.weights import load_adam, load_weights, save_weights, weights_path
from repro.machine.work import Outcome
from repro.model.stack import Stack
from repro.plan import profiles
from repro.plan.experiments import finetuning
from repro.plan.profiles import PROFILES, profile
from repro.plan.run import Run, Schedule, Stage
from repro.store import Store
from repro.train.minibatch import BLOCK

FIRST = small.run(depth=1)
FT = "lvae_bn_wu_ft"


def run_of(variant: str = FT, name: str = "paper") -> Run:
    return profiles.run_of(finetuning.cell(variant), profile(name))


def tuned(start: Run, epochs: int = 2, **schedule: Any) -> Run:
    """A tiny Run that goes on where `start` ends."""
    evaluation = replace(start.evaluation, epochs=(epochs,))
    part = Schedule(epochs, **schedule)
    return replace(start, variant="tuned", schedule=part, evaluation=evaluation, start=start)


# The Run


@pytest.mark.parametrize(
    ("name", "falls"),
    [
        ("paper", {1: 0, 200: 0, 201: 1, 400: 1, 401: 2, 1801: 9, 2000: 9}),
        ("reduced", {1: 0, 4: 0, 5: 1, 40: 9}),
        ("quick", {1: 0, 2: 2, 3: 4, 4: 6, 5: 8}),
    ],
)
def test_the_rate_falls_nine_times_over_equal_shares_of_the_epochs(name, falls):
    run = run_of(name=name)
    rates = {epoch: 1e-3 * 0.75**n for epoch, n in falls.items()}
    assert {epoch: run.lr(epoch) for epoch in rates} == pytest.approx(rates)


def test_it_lasts_as_long_as_the_training_before_it_with_beta_one_throughout() -> None:
    for p in PROFILES.values():
        run = run_of(name=p.name)
        assert run.start == profiles.run_of(finetuning.START, p)
        assert run.schedule.epochs == run.start.schedule.epochs == run.epochs_before
        assert {run.beta(e) for e in range(1, run.schedule.epochs + 1)} == {1.0}


def test_samples_of_each_row_multiply_only_what_follows_the_first_draw() -> None:
    found = {v: run_of(v).optim for v in (FT, f"{FT}_iw10", f"{FT}_mc10")}
    samples = [(o.mc_samples, o.importance_samples) for o in found.values()]
    assert samples == [(1, 1), (10, 10), (10, 1)]
    one, many = (small.run("lvae", optim={"mc_samples": n}) for n in (1, 10))
    up, down = predict.multiplications(one)
    assert predict.step_multiplications(one) == (up + down) * small.BATCH
    assert predict.step_multiplications(many) == (up + 10 * down) * small.BATCH


TWO, ONE = Stage(2, 1.0), Stage(1, 1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": small.run(seed=2)}, "another model, data or seed"),
        ({"start": small.run(depth=2)}, "another model, data or seed"),
        ({"schedule": Schedule(2, stages=(ONE,))}, "last 1 of 2 epochs"),
        ({"schedule": Schedule(2, stages=(TWO, Stage(0, 0.5)))}, "an epoch or more"),
        ({"schedule": Schedule(2, decay_from=0.5, stages=(TWO,))}, "no schedule.decay_from"),
    ],
)
def test_a_run_that_cannot_go_on_is_refused(changes: dict[str, Any], said: str) -> None:
    with refused(UsageError, said):
        replace(small.run(), **changes)


# Training


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return trained(tmp_path_factory.mktemp("begun"), [FIRST])


@pytest.fixture
def first(begun: Store, store: Store) -> Path:
    """The weights of FIRST, which is trained in `store`."""
    shutil.copytree(begun.root, store.root)
    return weights_path(store.folder(PROFILE), FIRST)


def test_going_on_is_the_same_as_not_having_stopped(store: Store) -> None:
    """Weights, moments, count of updates and draws all go on, so no bit differs."""
    first, whole = (small.run(depth=2, warmup=0, epochs=n) for n in (1, 3))
    held = []
    for run, place in ((tuned(first), store), (whole, Store(store.root / "whole"))):
        train([run], place, PROFILE, OPTIONS)
        path = weights_path(place.folder(PROFILE), run)
        held.append({**load_weights(path)[1], **load_adam(path)})
    assert held[0].keys() == held[1].keys()
    assert all(torch.equal(p, held[1][name]) for name, p in held[0].items())


def test_what_a_run_starts_from_is_trained_first_and_once(store, monkeypatch):
    last = replace(tuned(tuned(FIRST)), variant="tuned_again")
    done = train([last, small.run(depth=1, seed=2)], store, PROFILE, OPTIONS).done
    assert [r for r in done if r.endswith("s1")] == [FIRST.id, tuned(FIRST).id, last.id]
    assert len(done) == 4
    steps, other = hooked(monkeypatch, lambda *_: None), replace(tuned(FIRST), variant="other")
    assert train([other], store, PROFILE, OPTIONS).done == [other.id]
    assert steps == [2 * BLOCKS * BLOCK]


def test_lanes_of_one_stack_start_from_their_own_weights(store: Store) -> None:
    starts = [small.run(depth=2), small.run(depth=1, seed=2)]
    lanes = [tuned(run) for run in starts]
    train(lanes, store, PROFILE, OPTIONS)
    assert store.record(PROFILE, lanes[1].id).env["stack_width"] == 2
    for start, lane in zip(starts, lanes, strict=True):
        alone = Store(store.root / lane.id)
        train([lane], alone, PROFILE, OPTIONS)
        ours, theirs = (s.record(PROFILE, lane.id).final["L1_test"] for s in (store, alone))
        assert ours == pytest.approx(theirs, abs=0.01)
        assert ours != store.record(PROFILE, start.id).final["L1_test"]


STAGED = tuned(FIRST, 2, stages=(Stage(1, 1.0), Stage(1, 0.5)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The records of STAGED and of FIRST before it, trained without an interruption."""
    return trained(tmp_path_factory.mktemp("whole"), [STAGED])


@pytest.mark.parametrize("at", [1, 27, 60])
def test_interrupted_it_ends_alike_without_its_start(at, first, store, whole, monkeypatch):
    interrupted(store, [STAGED], monkeypatch, at)
    first.unlink()
    train([STAGED], store, PROFILE, OPTIONS)
    assert_same(store, whole, STAGED)


def test_a_run_whose_start_diverged_fails_with_that_reason(store: Store) -> None:
    wild = small.run(batch_norm=False, optim={"lr": 1e30})
    failed = {tuned(wild).id: f"starts from {wild.id}, which diverged"}
    outcome = train([tuned(wild)], store, PROFILE, OPTIONS)
    assert outcome == Outcome(diverged=[wild.id], failed=failed)
    assert (store.folder(PROFILE) / ".failed" / f"{tuned(wild).id}.json").is_file()


def test_a_run_whose_start_left_no_weights_fails_with_that_reason(first, store, monkeypatch):
    """Nor does a checkpoint that is not continued hide that they are gone."""
    other = tuned(FIRST.with_seed(2))
    train([other.start], store, PROFILE, OPTIONS)
    before = replace(other, optim=replace(other.optim, lr=0.01))
    interrupted(store, [tuned(FIRST), before], monkeypatch)
    first.unlink()
    outcome = train([tuned(FIRST), other], store, PROFILE, OPTIONS)
    assert outcome.done == [other.id]
    why = f"starts from {FIRST.id}, whose weights are not here"
    assert [why in said for said in outcome.failed.values()] == [True]


def test_a_run_whose_start_failed_fails_too_and_the_others_train(store, monkeypatch):
    def fail(stack: Stack, n: int) -> None:
        if stack.runs[0].seed == 1:
            raise RuntimeError("no step")

    other = small.run("vae", 1, seed=2)
    hooked(monkeypatch, fail)
    outcome = train([tuned(FIRST), other], store, PROFILE, OPTIONS)
    assert outcome.done == [other.id]
    assert "which has failed" in outcome.failed[tuned(FIRST).id]


def test_weights_without_moments_or_of_another_configuration_start_nothing(first, store):
    """Files of older versions hold weights alone."""
    params, other = load_weights(first)[1], small.run(depth=1, optim={"lr": 0.5})
    save_weights(first, other, params, load_adam(first))
    with refused(RecordError, str(first), "another configuration"):
        train([tuned(FIRST)], store, PROFILE, OPTIONS)
    save_weights(first, FIRST, params)
    assert load_weights(first)[1].keys() == params.keys()
    with refused(RecordError, str(first), "no Adam moments", "train it again"):
        train([tuned(FIRST)], store, PROFILE, OPTIONS)
