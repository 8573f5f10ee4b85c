"""Records of Ladder networks: what training writes, refuses, and continues once interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ladder_small as small
import pytest
from numpy.testing import assert_array_equal

from repro.errors import DataError, UsageError
from repro.machine import training
from repro.machine.local import train
from repro.machine.rescoring import evaluate
from repro.machine.work import Options, Outcome
from repro.model.stack import Stack
from repro.plan.run import Ladder, Run
from repro.store import Record, Store
from repro.train.minibatch import LadderBatch
from repro.train.state import State
from repro.train.tasks import task_of

PROFILE = "tiny"
OPTIONS = Options(engine="eager", threads=1)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("repro.data.load", small.raw)
    return Store(tmp_path / "runs")


def recorded(store: Store, run: Run) -> Record:
    train([run], store, PROFILE, OPTIONS)
    return store.record(PROFILE, run.id)


@pytest.mark.parametrize("model", small.VARIANTS)
def test_training_writes_a_record(store: Store, model: Ladder) -> None:
    record = recorded(store, small.run(ladder=model))
    record.verify()
    assert record.final["state"] == "done"
    assert 0 <= record.final["error_percent"] <= 100


def test_the_curve_has_the_error_of_every_epoch(store: Store) -> None:
    curve = recorded(store, small.run(epochs=3)).curve()
    assert curve["epoch"].tolist() == [1, 2, 3]
    assert curve["error_percent"].notna().all()


def test_the_curve_has_the_rate_of_every_epoch(store: Store) -> None:
    curve = recorded(store, small.run(epochs=4, decay_from=0.5)).curve()
    assert curve["lr"].tolist() == pytest.approx([2e-3, 2e-3, 2e-3, 1e-3])


def test_the_last_epoch_s_model_is_the_one_recorded(store: Store) -> None:
    record = recorded(store, small.run(epochs=3))
    last = record.curve().iloc[-1]
    assert record.final["error_percent"] == pytest.approx(last["error_percent"], rel=1e-6)
    costs = [last[f"C_{i}"] for i in range(4)]
    assert record.final["denoising"] == pytest.approx(costs, rel=1e-5)


def test_a_record_has_labels_predictions_and_combinators(store: Store) -> None:
    record = recorded(store, small.run())
    assert {"labels.npz", "predictions.npz", "combinators.npz"} < record.files
    assert len(record.arrays("labels")["row"]) == small.LABELS


def test_a_diverged_run_is_recorded_with_its_epoch(store: Store) -> None:
    wild = small.run(optim={"lr": 1e30})
    assert train([wild], store, PROFILE, OPTIONS) == Outcome(diverged=[wild.id])
    final = store.record(PROFILE, wild.id).final
    assert (final["state"], final["diverged_at"], final["error_percent"]) == ("diverged", 1, None)


def test_a_run_trains_to_the_same_record_in_a_stack_and_alone(store: Store) -> None:
    runs = [small.run(seed) for seed in (1, 2)]
    train(runs, store, PROFILE, OPTIONS)
    alone = recorded(Store(store.root / "alone"), runs[1])
    together = store.record(PROFILE, runs[1].id)
    assert together.final["denoising"] == pytest.approx(alone.final["denoising"], rel=1e-3)
    assert_array_equal(together.arrays("labels")["row"], alone.arrays("labels")["row"])


def test_evaluating_saved_weights_gives_the_same_numbers(store: Store) -> None:
    before = recorded(store, small.run())
    evaluate([before.run.id], store, PROFILE, OPTIONS)
    after = store.record(PROFILE, before.run.id)
    assert after.final == before.final
    assert after.curve().equals(before.curve())


def interrupted(at: int) -> Callable[..., Callable[[State, LadderBatch], None]]:
    """A step function whose n-th call is interrupted by the user."""
    make, count = training.step_function, [0]

    def make_interrupted(stack: Stack, engine: str) -> Callable[[State, LadderBatch], None]:
        step = make(stack, engine)

        def counted(state: State, batch: LadderBatch) -> None:
            count[0] += 1
            if count[0] == at:
                os.kill(os.getpid(), signal.SIGINT)
            step(state, batch)

        return counted

    return make_interrupted


@pytest.mark.parametrize("at", [1, small.STEPS, small.STEPS + 1, 3 * small.STEPS])
def test_an_interrupted_training_continues_to_the_same_record(
    store: Store, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    runs = [small.run(seed, epochs=3) for seed in (1, 2)]
    whole = Store(store.root / "whole")
    train(runs, whole, PROFILE, OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(training, "step_function", interrupted(at))
        with pytest.raises(KeyboardInterrupt):
            train(runs, store, PROFILE, OPTIONS)
    train(runs, store, PROFILE, OPTIONS)
    for run in runs:
        ours, expected = (s.record(PROFILE, run.id) for s in (store, whole))
        assert ours.curve().equals(expected.curve())
        assert ours.final == expected.final
        for name in ("labels", "predictions", "combinators"):
            for key, value in expected.arrays(name).items():
                assert_array_equal(ours.arrays(name)[key], value)


def test_more_labels_than_images_are_refused_before_training(store: Store) -> None:
    with pytest.raises(UsageError, match="510 labels, but mnist has 211 training images"):
        train([small.run(labels=510)], store, PROFILE, OPTIONS)


def test_pixels_outside_0_to_1_are_refused_before_training(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bright(*_: object) -> Any:
        raw = small.raw()
        object.__setattr__(raw, "train", raw.train.astype("int64") * 2)
        return raw

    monkeypatch.setattr("repro.data.load", bright)
    with pytest.raises(
        DataError, match="tiny: images of type int64, from 0 to 510, are no grey values"
    ):
        train([small.run()], store, PROFILE, OPTIONS)


def test_progress_says_cost_and_error() -> None:
    task = task_of(small.run())
    row = task.row(small.run(), 1, -3.25)
    assert task.progress([row]) == "cost 3.250"
    scored = {**row, "error_percent": 1.5}
    assert task.progress([scored, row]) == "cost 3.250, test error 1.50%"
