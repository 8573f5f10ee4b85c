"""The ports of parmesan and Lasagne as Runs: what their code says, and which images they use."""

from __future__ import annotations

from typing import Any

import ladder_small as small
import numpy as np
import pytest
import torch
from fixture_data import refused
from ladder_small import LABELLED, ROWS
from torch import Tensor

from repro.data.labelled import split
from repro.errors import UsageError
from repro.judge.check import check
from repro.model.combinators import combinator
from repro.model.ladder_network import (
    cost,
    decode,
    encode,
    initial_value,
    normalise,
    on_scale_of,
    parameters,
)
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


# Statistics


def test_joined_halves_are_normalised_together() -> None:
    ladder, x = small.net(small.model(joined=True)), small.pixels()
    other = x.clone()
    other[:, LABELLED:] = small.pixels(seed=1)[:, LABELLED:]
    assert small.costs(ladder, other).supervised != small.costs(ladder, x).supervised


@pytest.mark.parametrize("joined", [False, True])
def test_targets_of_joined_halves_are_normalised_together_as_well(joined: bool) -> None:
    """Where z_hat = 0 a cost is the mean square of the unlabelled targets: 1 by their own rows."""
    ladder = small.net(small.model(joined=joined, estimate_norm=False))
    ladder.params["g2.a"].zero_()
    own = float(small.costs(ladder).denoising[2]) == pytest.approx(1, rel=1e-6)
    assert own is not joined


def test_a_baseline_with_joined_statistics_is_given_unlabelled_rows() -> None:
    feed = LadderFeed(Stack((small.run(ladder=small.baseline(joined=True)),)), small.images())
    (batch, *_) = feed.block(1, 0)
    assert batch.x.shape[1] == small.LABELS + small.BATCH


def test_estimates_can_be_scaled_by_the_noisy_path() -> None:
    model = small.model(joined=True, estimate_scale="noisy")
    ladder, x, eps = small.net(model), small.pixels(), small.noise()
    clean, noisy = (encode(ladder, x, (ROWS,), e) for e in (None, eps))
    z_hat = decode(ladder, [z[:, LABELLED:] for z in noisy.z], noisy.h[:, LABELLED:])
    expected = clean.z[2][:, LABELLED:] - on_scale_of(model, noisy, 2, z_hat[2])
    ours = cost(ladder, x, small.classes(), eps).denoising[2]
    torch.testing.assert_close(ours, expected.square().mean((1, 2)))


def test_what_is_passed_down_can_be_the_normalised_estimate() -> None:
    ladder = small.net(small.model(passed_down="normalised"))
    path = encode(ladder, small.pixels(), (ROWS,))
    noisy = encode(ladder, small.pixels(), (ROWS,), small.noise())
    z_hat = decode(ladder, noisy.z, noisy.h, path)
    above = on_scale_of(ladder.model, path, 3, z_hat[3])
    u, _ = normalise(torch.bmm(above, ladder.params["g2.V"]), (ROWS,), 1e-10)
    g = combinator("gauss").combine
    torch.testing.assert_close(z_hat[2], g(noisy.z[2], u, ladder.params["g2.a"]))


def test_shared_statistics_are_of_products_so_they_do_something() -> None:
    """Of a normalised z they would be mean 0 and variance 1: the Lasagne port's fault."""
    ladder = small.net(small.model(passed_down="normalised"))
    path = encode(ladder, small.pixels(), (ROWS,))
    product = torch.bmm(small.pixels(), ladder.params["f1.W"])
    torch.testing.assert_close(on_scale_of(ladder.model, path, 1, product), path.z[1])
    assert not torch.allclose(product, path.z[1], atol=0.1)


# Layers


def hidden(**fields: Any) -> tuple[Tensor, Tensor]:
    """What layer 2 multiplies, and z_1 with the parameters of layer 1."""
    ladder = small.net(small.model(**fields))
    path = encode(ladder, small.pixels(), (ROWS,), top=1)
    gamma = ladder.params.get("f1.gamma", torch.ones(1, 13)).unsqueeze(1)
    beta = ladder.params["f1.beta"].unsqueeze(1)
    affine = {"shift_first": gamma * (path.z[1] + beta), "scale_first": gamma * path.z[1] + beta}
    return path.h, affine[ladder.model.affine]


@pytest.mark.parametrize("affine", ["shift_first", "scale_first"])
def test_a_hidden_layer_s_gamma_acts_in_the_given_order(affine: str) -> None:
    h, expected = hidden(gammas="all", affine=affine)
    torch.testing.assert_close(h, torch.relu(expected))


def test_hidden_layers_can_be_leaky() -> None:
    h, expected = hidden(leaky_slope=0.01)
    torch.testing.assert_close(h, torch.where(expected > 0, expected, 0.01 * expected))


# Images


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
