"""IWAE with two stochastic layers: sizes, initial values, schedule, and its row of Table 1."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import fixture_store
import numpy as np
import pytest
import small
import torch
from numpy.testing import assert_allclose

from repro.machine.saved.starting import begin
from repro.model.stack import Stack
from repro.plan import profiles
from repro.plan.experiments import iwae
from repro.plan.layers import layers
from repro.plan.profiles import profile
from repro.plan.run import Data, Run
from repro.show import results
from repro.show.scripts import load as script


def run_of(variant: str = "iwae_k50", name: str = "paper") -> Run:
    return profiles.run_of(iwae.cell(variant), profile(name))


def tiny(**data: Any) -> Run:
    """As small a model as the others, that begins as IWAE does."""
    model = {"nonlinearity": "tanh", "variance": "exp", "init": "glorot", "output_bias": "data"}
    run = small.run("vae", 2, var_floor=0.0, batch_norm=False, **model)
    return replace(run, data=Data(**data))


def test_layers_are_those_of_the_paper() -> None:
    assert [(d.name, d.fan_in, d.fan_out) for d in layers(run_of().model, 784)] == [
        *[("q1.a", 784, 200), ("q1.b", 200, 200), ("q1.head", 200, 200)],
        *[("q2.a", 100, 100), ("q2.b", 100, 100), ("q2.head", 100, 100)],
        *[("x.a", 100, 200), ("x.b", 200, 200), ("x.out", 200, 784)],
        *[("p1.a", 50, 100), ("p1.b", 100, 100), ("p1.head", 100, 200)],
    ]


@pytest.mark.parametrize("name", ["q1.a", "q1.b", "q1.head", "p1.head", "x.out"])
def test_weights_are_glorot_uniform(name: str) -> None:
    """Uniform within sqrt(6 / (in + out)), each head by itself."""
    W = Stack((run_of(),)).initial(784, torch.zeros(784))[f"{name}.W"][0]
    fan_out = W.shape[1] // (2 if name.endswith("head") else 1)
    edge = math.sqrt(6 / (W.shape[0] + fan_out))
    assert 0.98 * edge < float(W.abs().max()) <= edge
    assert float(W.std()) == pytest.approx(edge / math.sqrt(3), rel=0.03)


def test_biases_begin_at_zero_and_the_output_s_at_the_logit_of_the_clipped_mean() -> None:
    start = Stack((tiny(grey_scale=255),)).initial(19, torch.linspace(0, 255, 19))
    assert [n for n, p in start.items() if n.endswith(".beta") and p.any()] == ["x.out.beta"]
    mean = np.clip(np.linspace(0, 1, 19), 0.001, 0.999)
    logit = np.log(mean / (1 - mean))
    assert_allclose(start["x.out.beta"][0].numpy(), logit, rtol=1e-4, atol=1e-5)


def test_training_begins_with_the_mean_of_its_images(tmp_path: Path) -> None:
    run, train = tiny(), torch.from_numpy(small.grey())
    bias = begin(Stack((run,)), tmp_path, train, small.CPU).params["x.out.beta"][0]
    mean = (train.double().mean(0) / run.data.grey_scale).clamp(0.001, 0.999)
    torch.testing.assert_close(bias.double().sigmoid(), mean, rtol=1e-5, atol=1e-6)


RATES = {  # in units of 1e-4
    **{1: 10, 2: 7.2, 4: 7.2, 5: 5.2, 14: 3.7, 41: 2.7, 122: 1.9, 365: 1.4},
    **{1093: 1.4, 1094: 1.0, 3280: 1.0},
}


def test_stages_pixels_and_optimiser_are_the_paper_s_and_smaller_profiles_have_their_share() -> (
    None
):
    """Eight stages of three to the i epochs."""
    run, o = run_of(), run_of().optim
    assert [stage.epochs for stage in run.schedule.stages] == [1, 3, 9, 27, 81, 243, 729, 2187]
    assert run.schedule.epochs == 3280
    assert {e: run.lr(e) for e in RATES} == pytest.approx({e: r * 1e-4 for e, r in RATES.items()})
    assert run.data.grey_scale == 255
    assert (o.batch, o.beta1, o.beta2, o.eps) == (20, 0.9, 0.999, 1e-4)
    assert (o.clip_norm, o.clip_value, o.mc_samples) == (None, None, 1)
    assert [run_of(v).optim.importance_samples for v in iwae.VARIANTS] == [1, 50]
    for name, epochs in {"smoke": 3, "quick": 8, "reduced": 66}.items():
        run = run_of(name=name)
        assert run.schedule.epochs == run.evaluation.epochs[-1] == epochs
        assert (run.lr(1), run.lr(epochs)) == pytest.approx((1e-3, 1e-4))


def test_bounds_on_other_data_are_said_to_be_so(store, monkeypatch):
    for numbers in (fixture_store.L1, fixture_store.KL):
        monkeypatch.setitem(numbers, "iwae_k50", numbers["vae"])
    fixture_store.write(store, "quick", run_of(name="quick"))
    caption = script("tables", "table1").build(store, "quick").caption
    assert "of their own rows alone: mnist-iwae_k50-L2-s1." in caption
    assert "not comparable: `mnist-iwae_k50-L2-s1`" in results.page(store, profile("quick"))
