"""Predicted work: the multiplications a Run really makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import small

from repro.machine import cost as predict
from repro.plan.layers import layers
from repro.plan.run import LATENTS, WIDTHS, Run

MODEL_FIELDS: list[Any] = [
    pytest.param({"family": "vae"}, id="vae"),
    pytest.param({"family": "lvae"}, id="lvae"),
    pytest.param({"family": "lvae", "upward": "mu"}, id="lvae-mu"),
    pytest.param({"family": "lvae", "shared": False}, id="lvae-separate"),
]


def declared(run: Run, pixels: int) -> int:
    return sum(d.fan_in * d.fan_out for d in layers(run.model, pixels))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("fields", MODEL_FIELDS)
def test_multiplications_are_those_of_the_declared_layers(
    fields: dict[str, Any], depth: int
) -> None:
    run = small.run(depth=depth, **fields)
    assert sum(predict.multiplications(run, small.PIXELS)) == declared(run, small.PIXELS)


@pytest.mark.parametrize("fields", MODEL_FIELDS)
def test_multiplications_are_right_at_the_paper_s_sizes(fields: dict[str, Any]) -> None:
    run = small.run(latents=LATENTS, widths=WIDTHS, **fields)
    assert sum(predict.multiplications(run)) == declared(run, 784)


@pytest.mark.parametrize("fields", MODEL_FIELDS)
def test_the_generative_network_is_counted_apart(fields: dict[str, Any]) -> None:
    run = small.run(**fields)
    declared = layers(run.model, small.PIXELS)
    down = sum(d.fan_in * d.fan_out for d in declared if d.name[0] in "xp")
    assert predict.multiplications(run, small.PIXELS)[1] == down


def test_a_training_step_costs_three_forward_passes() -> None:
    run = small.run(epochs=3, steps=5)
    forward = 2 * sum(predict.multiplications(run)) * small.BATCH
    assert predict.training_flops(run) == 3 * forward * 5 * 3


def test_all_full_minibatches_are_counted_where_steps_are_not_limited() -> None:
    run = replace(small.run(), optim=replace(small.run().optim, batch=256))
    limited = replace(run, schedule=replace(run.schedule, steps_per_epoch=234))
    assert predict.training_flops(run) == predict.training_flops(limited)


@pytest.mark.parametrize("field", ["importance_samples", "lk_images", "train_images"])
def test_more_scoring_takes_longer(field: str) -> None:
    few, many = (small.run(evaluation={field: n}) for n in (100, 1000))
    assert predict.scoring_flops(few) < predict.scoring_flops(many)


def test_more_evaluation_epochs_take_longer() -> None:
    few, many = small.run(scored=(2,)), small.run(scored=(1, 2))
    assert predict.scoring_flops(few) < predict.scoring_flops(many)


def test_compiling_a_run_of_seconds_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "flops_per_second", lambda: 1e11)
    assert not predict.compiling_pays([small.run(steps=10)])


def test_compiling_a_run_of_hours_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "flops_per_second", lambda: 1e9)
    assert predict.compiling_pays([small.run(epochs=2000)])


@pytest.mark.parametrize(("lanes", "even"), [(1, 16_590), (3, 12_811)])
def test_a_graph_pays_from_where_its_steps_have_repaid_compiling(lanes: int, even: int) -> None:
    few, many = ([small.run(steps=n, epochs=1)] * lanes for n in (even - 1, even + 1))
    assert (predict.graph_pays(few), predict.graph_pays(many)) == (False, True)


@pytest.mark.parametrize("compiler", [True, False])
def test_prediction_is_the_sum_of_its_runs(monkeypatch: pytest.MonkeyPatch, compiler: bool) -> None:
    monkeypatch.setattr(predict, "flops_per_second", lambda: 1e11)
    monkeypatch.setattr(predict, "has_compiler", lambda: compiler)
    one, two = small.run(steps=10), small.run("vae", steps=10)
    apart = predict.seconds([one]) + predict.seconds([two])
    assert predict.seconds([one, two]) == pytest.approx(apart)


def test_the_measured_rate_is_that_of_a_real_machine() -> None:
    assert 1e8 < predict.flops_per_second() < 1e15
