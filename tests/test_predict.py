"""Predicted work: the multiplications a Run really makes."""

from dataclasses import replace
from typing import Any

import pytest
import small

from repro.machine import cost as predict
from repro.machine import toolchain
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
