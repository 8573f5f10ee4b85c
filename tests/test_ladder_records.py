"""Records of Ladder networks: what training writes, refuses, and continues once interrupted."""

from pathlib import Path

import ladder_small as small
import pytest
from fixture_data import refused
from small_training import OPTIONS, PROFILE, assert_same, interrupted, trained

from repro.errors import UsageError
from repro.machine.local import train
from repro.machine.rescoring import evaluate
from repro.machine.work import Outcome
from repro.plan.run import Run
from repro.store import Record, Store
from repro.train.tasks import task_of


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("repro.data.load", small.raw)
    return Store(tmp_path / "runs")


def recorded(store: Store, run: Run) -> Record:
    train([run], store, PROFILE, OPTIONS)
    return store.record(PROFILE, run.id)


@pytest.mark.parametrize("model", small.VARIANTS)
def test_a_record_has_error_and_rate_of_every_epoch_and_the_last_one_s_model(store, model):
    record = recorded(store, small.run(ladder=model, decay_from=0.25))
    record.verify()
    curve, last, final = record.curve(), record.curve().iloc[-1], record.final
    assert curve["epoch"].tolist() == [1, 2]
    assert curve["error_percent"].notna().all()
    assert curve["lr"].tolist() == pytest.approx([2e-3, 2e-3 / 1.5])
    assert final["state"] == "done"
    assert final["error_percent"] == pytest.approx(last["error_percent"], rel=1e-6)
    costs = {i: cost for i, cost in enumerate(final["denoising"]) if cost is not None}
    assert costs == pytest.approx({i: last[f"C_{i}"] for i in model.estimated}, rel=1e-5)
    assert {"labels.npz", "predictions.npz", "combinators.npz"} < record.files
    assert len(record.arrays("labels")["row"]) == small.LABELS


def test_a_diverged_run_is_recorded_with_its_epoch(store: Store) -> None:
    wild = small.run(optim={"lr": 1e30})
    assert train([wild], store, PROFILE, OPTIONS) == Outcome(diverged=[wild.id])
    final = store.record(PROFILE, wild.id).final
    assert (final["state"], final["diverged_at"], final["error_percent"]) == ("diverged", 1, None)


def test_evaluating_saved_weights_gives_the_same_numbers(store: Store) -> None:
    before = recorded(store, small.run())
    evaluate([before.run.id], store, PROFILE, OPTIONS)
    after = store.record(PROFILE, before.run.id)
    assert after.final == before.final
    assert after.curve().equals(before.curve())


def test_an_interrupted_training_continues_to_the_same_record(store, monkeypatch):
    runs = [small.run(seed, epochs=3) for seed in (1, 2)]
    whole = trained(store.root / "whole", runs, images=small.raw)
    for at in (1, small.STEPS, small.STEPS):  # in each epoch, at the end of the last
        interrupted(store, runs, monkeypatch, at)
    train(runs, store, PROFILE, OPTIONS)
    assert_same(store, whole, *runs)


def test_more_labels_than_images_are_refused_before_training(store: Store) -> None:
    with refused(UsageError, "510 labels, but mnist has 211 training images"):
        train([small.run(labels=510)], store, PROFILE, OPTIONS)


def test_progress_says_cost_and_error() -> None:
    task = task_of(small.run())
    row = task.row(small.run(), 1, -3.25)
    assert task.progress([row]) == "cost 3.250"
    scored = {**row, "error_percent": 1.5}
    assert task.progress([scored, row]) == "cost 3.250, test error 1.50%"
