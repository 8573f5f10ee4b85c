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
FT, IW10, MC10 = "lvae_bn_wu_ft", "lvae_bn_wu_ft_iw10", "lvae_bn_wu_ft_mc10"


def run_of(variant: str, name: str = "paper", seed: int = 1) -> Run:
    return profiles.run_of(finetuning.cell(variant), profile(name), seed)


def tuned(start: Run, epochs: int = 2, **schedule: Any) -> Run:
    """A tiny Run that goes on where `start` ends."""
    evaluation = replace(start.evaluation, epochs=(epochs,))
    part = Schedule(epochs, **schedule)
    return replace(start, variant="tuned", schedule=part, evaluation=evaluation, start=start)


# The Run.


@pytest.mark.parametrize(
    ("epoch", "falls"), [(1, 0), (200, 0), (201, 1), (400, 1), (401, 2), (1801, 9), (2000, 9)]
)
def test_the_rate_falls_every_200_epochs(epoch: int, falls: int) -> None:
    assert run_of(FT).lr(epoch) == pytest.approx(1e-3 * 0.75**falls)


def test_a_shorter_fine_tuning_falls_over_the_same_shares_of_its_epochs() -> None:
    assert [run_of(FT, "reduced").lr(e) for e in (1, 4, 5, 40)] == pytest.approx(
        [1e-3, 1e-3, 0.75e-3, 0.75**9 * 1e-3]
    )
    assert [run_of(FT, "quick").lr(e) / 1e-3 for e in range(1, 6)] == pytest.approx(
        [0.75**n for n in (0, 2, 4, 6, 8)]
    )


@pytest.mark.parametrize("name", PROFILES)
def test_it_lasts_as_long_as_the_training_before_it(name: str) -> None:
    run = run_of(FT, name)
    assert run.start == profiles.run_of(finetuning.START, profile(name))
    assert run.schedule.epochs == run.start.schedule.epochs == run.epochs_before


def test_beta_is_one_throughout() -> None:
    assert {run_of(FT).beta(e) for e in range(1, 2001)} == {1.0}


@pytest.mark.parametrize(("variant", "samples"), [(FT, (1, 1)), (IW10, (10, 10)), (MC10, (10, 1))])
def test_samples_of_each_row(variant: str, samples: tuple[int, int]) -> None:
    optim = run_of(variant).optim
    assert (optim.mc_samples, optim.importance_samples) == samples


def test_what_a_run_starts_from_counts_in_its_hash() -> None:
    run = run_of(FT)
    assert run.start
    other = replace(run.start, optim=replace(run.start.optim, lr=0.1))
    hashes = {run.hash, replace(run, start=other).hash, replace(run, start=None).hash}
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": small.run(seed=2)}, "another model, data or seed"),
        ({"start": small.run(depth=2)}, "another model, data or seed"),
        ({"schedule": Schedule(2, stages=(Stage(1, 1.0),))}, "last 1 of 2 epochs"),
        ({"schedule": Schedule(2, stages=(Stage(2, 1.0), Stage(0, 0.5)))}, "an epoch or more"),
        (
            {"schedule": Schedule(2, decay_from=0.5, stages=(Stage(2, 1.0),))},
            "no schedule.decay_from",
        ),
    ],
)
def test_a_run_that_cannot_go_on_is_refused(changes: dict[str, Any], said: str) -> None:
    with refused(UsageError, said):
        replace(small.run(), **changes)


# Training.


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
    first = small.run(depth=2, warmup=0, epochs=1)
    train([tuned(first, 2)], store, PROFILE, OPTIONS)
    whole = small.run(depth=2, warmup=0, epochs=3)
    train([whole], Store(store.root / "whole"), PROFILE, OPTIONS)
    ours = weights_path(store.folder(PROFILE), tuned(first, 2))
    theirs = weights_path(Store(store.root / "whole").folder(PROFILE), whole)
    for read in (lambda path: load_weights(path)[1], load_adam):
        a, b = read(ours), read(theirs)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[n], b[n]) for n in a)


def test_what_a_run_starts_from_is_trained_first(store: Store) -> None:
    last = replace(tuned(tuned(FIRST)), variant="tuned_again")
    outcome = train([last, small.run(depth=1, seed=2)], store, PROFILE, OPTIONS)
    order = [run_id for run_id in outcome.done if run_id.endswith("s1")]
    assert order == [FIRST.id, tuned(FIRST).id, last.id]
    assert len(outcome.done) == 4


@pytest.mark.usefixtures("first")
def test_what_a_run_starts_from_is_not_trained_again(store, monkeypatch):
    steps = hooked(monkeypatch, lambda *_: None)
    assert train([tuned(FIRST)], store, PROFILE, OPTIONS).done == [tuned(FIRST).id]
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
def test_interrupted_fine_tuning_continues_to_the_same_numbers_without_its_start(
    at: int, first: Path, store: Store, whole: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(store, [STAGED], monkeypatch, at)
    first.unlink()
    train([STAGED], store, PROFILE, OPTIONS)
    assert_same(store, whole, STAGED)


def test_a_run_whose_start_diverged_fails_with_that_reason(store: Store) -> None:
    wild = small.run(batch_norm=False, optim={"lr": 1e30})
    outcome = train([tuned(wild)], store, PROFILE, OPTIONS)
    why = f"starts from {wild.id}, which diverged"
    assert outcome == Outcome(diverged=[wild.id], failed={tuned(wild).id: why})
    assert (store.folder(PROFILE) / ".failed" / f"{tuned(wild).id}.json").is_file()


@pytest.mark.usefixtures("first")
def test_a_run_whose_start_left_no_weights_fails_with_that_reason(store: Store) -> None:
    weights_path(store.folder(PROFILE), FIRST).unlink()
    run = tuned(FIRST)
    outcome = train([run], store, PROFILE, OPTIONS)
    assert list(outcome.failed) == [run.id]
    assert f"starts from {FIRST.id}, whose weights are not here" in outcome.failed[run.id]


def test_a_checkpoint_that_is_not_continued_does_not_hide_that_the_start_is_gone(
    first: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tuned(FIRST.with_seed(2))
    train([other.start], store, PROFILE, OPTIONS)
    before = replace(other, optim=replace(other.optim, lr=0.01))
    interrupted(store, [tuned(FIRST), before], monkeypatch)
    first.unlink()
    outcome = train([tuned(FIRST), other], store, PROFILE, OPTIONS)
    assert outcome.done == [other.id]
    assert "whose weights are not here" in outcome.failed[tuned(FIRST).id]


def test_a_run_whose_start_failed_fails_too_and_the_others_train(store, monkeypatch):
    def fail(stack: Stack, n: int) -> None:
        if stack.runs[0].seed == 1:
            raise RuntimeError("no step")

    other = small.run("vae", 1, seed=2)
    hooked(monkeypatch, fail)
    outcome = train([tuned(FIRST), other], store, PROFILE, OPTIONS)
    assert outcome.done == [other.id]
    assert "which has failed" in outcome.failed[tuned(FIRST).id]


def test_weights_without_moments_are_read_but_nothing_starts_from_them(first, store):
    """Files of older versions hold weights alone."""
    params = load_weights(first)[1]
    save_weights(first, FIRST, params)
    assert load_weights(first)[1].keys() == params.keys()
    with refused(RecordError, str(first), "no Adam moments", "train it again"):
        train([tuned(FIRST)], store, PROFILE, OPTIONS)


def test_weights_of_another_configuration_start_nothing(first: Path, store: Store) -> None:
    other = small.run(depth=1, optim={"lr": 0.5})
    save_weights(first, other, load_weights(first)[1], load_adam(first))
    with refused(RecordError, str(first), "another configuration"):
        train([tuned(FIRST)], store, PROFILE, OPTIONS)


# Samples as one batched axis.


def test_samples_multiply_only_what_follows_the_first_draw() -> None:
    one, many = (small.run("lvae", optim={"mc_samples": n}) for n in (1, 10))
    up, down = predict.multiplications(one)
    assert predict.step_multiplications(one) == (up + down) * small.BATCH
    assert predict.step_multiplications(many) == (up + 10 * down) * small.BATCH
