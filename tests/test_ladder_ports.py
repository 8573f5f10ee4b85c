"""The ports of parmesan and Lasagne as Runs: what their code says, and which images they use."""

from __future__ import annotations

from typing import Any

import ladder_small as small
import numpy as np
import pytest
import torch
from fixture_data import refused

from repro.data.labelled import split
from repro.errors import UsageError
from repro.judge.check import check
from repro.model.combinators import combinator
from repro.model.ladder_network import initial_value, parameters
from repro.model.stack import Stack
from repro.plan.experiments.ladder import cell
from repro.plan.profiles import profile, run_of
from repro.plan.run import LabelledData, Ladder, Optim
from repro.store import Store
from repro.train.ladder_feed import LadderFeed
from repro.train.score import Images

PAPER = profile("paper")
PARMESAN, LASAGNE = run_of(cell("parmesan"), PAPER), run_of(cell("lasagne", 60_000), PAPER)


# What their code says


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


def test_lasagne_s_validation_error_is_quoted(tmp_path: Any) -> None:
    found = {r.target.id: r.verdict for r in check(Store(tmp_path), "paper").targets}
    assert found["ladder/lasagne/60000"] == "quoted"
    assert found["ladder/parmesan/100"] == "not run"


# Parameters


def shapes(model: Ladder) -> dict[str, tuple[int, ...]]:
    return {p.name: p.shape for p in parameters(model)}


def test_every_layer_can_have_a_gamma_and_none_can() -> None:
    layers = {"top": [3], "all": [1, 2, 3], "none": []}
    for gammas, expected in layers.items():
        names = [n for n in shapes(small.model(gammas=gammas)) if n.endswith(".gamma")]
        assert names == [f"f{i}.gamma" for i in expected]


def test_a_vertical_signal_can_have_scale_and_shift_that_begin_at_one_and_zero() -> None:
    values = {
        p.name: initial_value(p, torch.ones(p.shape))
        for p in parameters(small.model(vertical_affine=True))
    }
    for i, m in enumerate(small.SIZES):
        assert values[f"g{i}.gamma"].tolist() == [1.0] * m
        assert values[f"g{i}.beta"].tolist() == [0.0] * m


def test_glorot_s_weights_are_uniform_with_a_variance_of_two_over_both_fans() -> None:
    (W,) = [p for p in parameters(small.model(weight_init="glorot")) if p.name == "f1.W"]
    assert W.uniform
    limit = initial_value(W, torch.ones(W.shape))
    torch.testing.assert_close(limit, torch.full_like(limit, (6 / (19 + 13)) ** 0.5))


def test_parmesan_s_combinator_begins_as_its_lateral_input() -> None:
    model = small.model(combinator="sig", combinator_init="lateral")
    (p,) = [p for p in parameters(model) if p.name == "g1.a"]
    a = initial_value(p, torch.ones(p.shape))
    assert a[:, 0].tolist() == [0, 1, 0, 0, 0, 0, 1, 0, 0]
    z, u = (torch.randn(2, 1, 5, 13, generator=torch.Generator().manual_seed(1))).unbind()
    torch.testing.assert_close(combinator("sig").combine(z, u, a.unsqueeze(0)), z)


# Images


def test_a_baseline_with_joined_statistics_is_given_unlabelled_rows() -> None:
    feed = LadderFeed(Stack((small.run(ladder=small.baseline(joined=True)),)), small.images())
    (batch, *_) = feed.block(1, 0)
    assert batch.x.shape[1] == small.LABELS + small.BATCH


CLASSES = (np.arange(97) % 10).astype(np.uint8)
ORDER = np.random.default_rng(2).permutation(97)


def test_images_beyond_the_first_are_in_no_half() -> None:
    s = split(LabelledData(labels=20, first_images=50), CLASSES, ORDER)
    assert s.pool.tolist() == [i for i in ORDER if i < 50]
    assert set(s.labelled.tolist()) < set(range(50))


def test_labels_in_file_order_are_the_same_for_every_order() -> None:
    data = LabelledData(labels=20, balanced=False, label_order="file")
    for order in (ORDER, ORDER[::-1]):
        assert split(data, CLASSES, order).labelled.tolist() == list(range(20))


def test_more_first_images_than_there_are_are_refused() -> None:
    with refused(UsageError, "the first 98 images", "97 training images", "ask for fewer"):
        split(LabelledData(labels=20, first_images=98), CLASSES, ORDER)


def test_more_labels_than_first_images_are_refused() -> None:
    with refused(UsageError, "60 labels, but mnist has 50"):
        split(LabelledData(labels=60, first_images=50), CLASSES, ORDER)


def test_a_seed_of_parmesan_changes_weights_and_order_but_no_label() -> None:
    data = {"balanced": False, "label_order": "file"}
    runs = [small.run(seed, data=data) for seed in (1, 2)]
    one, other = (LadderFeed(Stack((run,)), small.images()) for run in runs)
    assert one.splits[0].labelled.tolist() == other.splits[0].labelled.tolist()
    assert not torch.equal(next(iter(one.block(1, 0))).x, next(iter(other.block(1, 0))).x)
