"""The ports of parmesan and Lasagne as Runs: what their code says."""

import numpy as np
import pytest
import torch

from repro.model.ladder_network import parameters
from repro.model.stack import Stack
from repro.plan.experiments.ladder import cell
from repro.plan.profiles import profile, run_of
from repro.plan.run import Optim
from repro.train.ladder_feed import LadderFeed
from repro.train.score import Images

PAPER = profile("paper")
PARMESAN, LASAGNE = run_of(cell("parmesan"), PAPER), run_of(cell("lasagne", 60_000), PAPER)


def test_parmesan_s_rate_is_constant_for_50_epochs_and_falls_for_250() -> None:
    assert PARMESAN.schedule.epochs == 300
    rates = [PARMESAN.lr(e) for e in (1, 51, 52, 175, 300)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3 - 4e-6, 5.04e-4, 4e-6])


def test_parmesan_clips_each_element_of_the_gradient() -> None:
    expected = Optim(1e-3, 100, eps=1e-8, eps_form="code", clip_norm=None, clip_value=1.0)
    assert PARMESAN.optim == expected


def test_parmesan_s_costs_and_noise_are_those_of_the_full_model() -> None:
    full = run_of(cell("full"), PAPER).ladder
    assert PARMESAN.ladder.cost_weights == full.cost_weights
    assert PARMESAN.ladder.noise == full.noise


def test_parmesan_trains_on_50000_images_with_the_first_100_labelled() -> None:
    classes = (np.arange(60_000) % 7).astype(np.uint8)
    images = Images(torch.zeros(60_000, 1, dtype=torch.uint8), torch.empty(0), classes, classes)
    feed = LadderFeed(Stack((PARMESAN,)), images)
    assert feed.steps == 500
    assert feed.splits[0].labelled.tolist() == list(range(100))
    assert feed.splits[0].pool.tolist() == list(range(50_000))


def test_lasagne_has_two_layers_one_small_cost_and_no_gamma() -> None:
    model = LASAGNE.ladder
    assert (model.sizes, model.cost_weights, model.noise) == (
        (784, 500, 10),
        (0.1,) * 3,
        (0.3,) * 3,
    )
    assert not [p.name for p in parameters(model) if p.name.endswith("gamma")]


def test_lasagne_trains_15_epochs_at_a_constant_rate_of_a_tenth() -> None:
    assert LASAGNE.schedule.epochs == 15
    assert {LASAGNE.lr(e) for e in range(1, 16)} == {0.1}
