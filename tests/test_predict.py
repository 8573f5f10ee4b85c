"""Predicted work and time: the multiplications a Run makes, and what is left of a training."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import small

from repro.machine import cost as predict
from repro.machine import toolchain
from repro.machine.watch.pace import Pace
from repro.plan.layers import layers
from repro.plan.run import LATENTS, WIDTHS


@pytest.mark.parametrize("depth", [1, 5])
@pytest.mark.parametrize("fields", small.HIERARCHIES.values(), ids=small.HIERARCHIES)
def test_multiplications_are_those_of_the_declared_layers_the_generative_ones_apart(fields, depth):
    run = small.run(latents=LATENTS[:depth], widths=WIDTHS[:depth], **fields)
    declared = {d.name: d.fan_in * d.fan_out for d in layers(run.model, 784)}
    up, down = predict.multiplications(run)
    assert up + down == sum(declared.values())
    assert down == sum(n for name, n in declared.items() if name[0] in "xp")


def test_a_training_step_costs_three_forward_passes_of_every_full_minibatch() -> None:
    run = small.run(epochs=3, steps=5)
    forward = 2 * sum(predict.multiplications(run)) * small.BATCH
    assert predict.training_flops(run) == 3 * forward * 5 * 3
    unlimited, limited = (small.run(steps=n) for n in (None, 60_000 // small.BATCH))
    assert predict.training_flops(unlimited) == predict.training_flops(limited)


@pytest.mark.parametrize(
    ("field", "few", "many"),
    [
        *((f, 100, 1000) for f in ("importance_samples", "lk_images", "train_images")),
        ("epochs", (2,), (1, 2)),
    ],
)
def test_more_scoring_takes_longer(field: str, few: Any, many: Any) -> None:
    runs = (replace(small.run().evaluation, **{field: n}) for n in (few, many))
    less, more = (predict.scoring_flops(replace(small.run(), evaluation=e)) for e in runs)
    assert less < more


@pytest.mark.parametrize(("rate", "epochs", "pays"), [(1e11, 2, False), (1e9, 2000, True)])
def test_compiling_pays_for_a_run_of_hours_and_not_of_seconds(rate, epochs, pays, monkeypatch):
    monkeypatch.setattr(predict, "flops_per_second", lambda: rate)
    assert predict.compiling_pays([small.run(epochs=epochs)]) == pays


@pytest.mark.parametrize("fault", [None, toolchain.NO_COMPILER])
def test_prediction_is_the_sum_of_its_runs(monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    monkeypatch.setattr(predict, "flops_per_second", lambda: 1e11)
    monkeypatch.setattr(toolchain, "compiler_fault", lambda: fault)
    one, two = small.run(steps=10), small.run("vae", steps=10)
    apart = predict.seconds([one]) + predict.seconds([two])
    assert predict.seconds([one, two]) == pytest.approx(apart)


def test_products_in_bfloat16_shorten_training_and_no_scoring(monkeypatch: Any) -> None:
    monkeypatch.setattr(predict, "flops_per_second", lambda: 1e11)
    run = small.run(steps=10)
    scoring = predict.scoring_flops(run) / (1e11 * predict.SCORING_SHARE)
    plain, rounded = (predict.seconds([run], precision=p) for p in ("float32", "bfloat16"))
    assert (rounded - scoring) / (plain - scoring) == pytest.approx(predict.BFLOAT16_TIME)


def test_the_measured_rate_is_that_of_the_quickest_product(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.accumulate(itertools.cycle((0.3, 0.02, 0.3, 0.01)))
    monkeypatch.setattr("repro.machine.cost.time.perf_counter", lambda: next(clock))
    rate = predict.flops_per_second.__wrapped__()
    assert rate == pytest.approx(2 * 1024 * 784 * 512 / 0.01)


def pace_of(epochs: int, scored: tuple[int, ...] = ()) -> Pace:
    return Pace(epochs, steps=10, scored=scored)


def simulate(pace: Pace, first: int, last: int, step: float = 1.0, begun: float = 0.0) -> float:
    """Epochs in two blocks, whose steps take `step` each, and a scoring 7; the time after."""
    now = begun
    for epoch in range(first, last + 1):
        for done in (5, 10):
            now += 5 * step
            pace.look(now, epoch - 1, done)
        now += 7.0 if epoch in pace.scored else 0.0
        pace.look(now, epoch, 0)
    return now


def test_steps_and_scorings_ahead_are_counted_apart() -> None:
    pace = pace_of(8, scored=(1, 2, 5, 8))
    simulate(pace, 1, 2)
    assert pace.seconds_left == pytest.approx(6 * 10 + 2 * 7)
    simulate(pace, 3, 8, begun=34.0)
    assert pace.seconds_left == 0


def test_a_stack_that_continues_is_measured_from_there_on() -> None:
    """Not as if all that lies behind it had been trained since, nor while it was compiled."""
    pace = pace_of(100, scored=(1, 50, 100))
    simulate(pace, 91, 92, begun=3600.0)
    assert pace.seconds_left == pytest.approx(8 * 10)


def test_nothing_is_predicted_before_something_was_measured() -> None:
    """The pace is that since the first look, scoring included."""
    pace = pace_of(3, scored=(1,))
    assert (pace.seconds_left, pace.steps_per_second) == (None, None)
    pace.look(100.0, 0, 5)
    assert (pace.seconds_left, pace.steps_per_second) == (None, None)
    pace.look(105.0, 0, 10)
    assert pace.seconds_left == pytest.approx(20.0)
    pace.look(112.0, 1, 0)
    simulate(pace, 2, 2, begun=112.0)
    assert pace.steps_per_second == pytest.approx(15 / (2 * 10 + 7 - 5))


def test_a_machine_that_slows_down_is_noticed() -> None:
    pace = pace_of(10_000)
    now = simulate(pace, 1, 100)
    simulate(pace, 101, 300, step=3.0, begun=now)
    assert pace.seconds_left == pytest.approx(9_700 * 10 * 3.0, rel=0.05)
