"""The Ladder network: its costs, its normalisation, what flows where, and its predictions."""

from __future__ import annotations

from collections.abc import Sequence

import ladder_small as small
import numpy as np
import pytest
import torch
from ladder_reference import Reference
from ladder_small import LABELLED, ROWS, UNLABELLED
from torch import Tensor

from repro.config import Ladder
from repro.layers import Moments
from repro.models.ladder_network import (
    Cost,
    LadderNet,
    Parameter,
    cost,
    decode,
    encode,
    initial_value,
    normalise,
    on_scale_of,
    parameters,
    predict,
    statistics,
)

VARIANTS = [
    pytest.param(small.model(), id="full"),
    pytest.param(small.model(cost_rows="both"), id="both halves"),
    pytest.param(small.model(top_input="logits"), id="logits"),
    pytest.param(small.model(estimate_norm=False), id="raw estimates"),
    pytest.param(small.model(lateral=False), id="no lateral"),
    pytest.param(small.top_only(), id="top"),
    pytest.param(small.baseline(), id="baseline"),
]
HALVES = {"labelled": slice(0, LABELLED), "unlabelled": slice(LABELLED, ROWS)}


def costs(ladder: LadderNet, x: Tensor | None = None, eps: Sequence[Tensor] | None = None) -> Cost:
    K = ladder.params["f1.W"].shape[0]
    x = small.pixels(K) if x is None else x
    return cost(ladder, x, small.classes(K), eps or small.noise(K))


def count(model: Ladder) -> int:
    return sum(torch.Size(p.shape).numel() for p in parameters(model))


# Parameters


def test_the_full_model_has_3105710_parameters() -> None:
    assert count(Ladder()) == 3_105_710


def test_the_gamma_model_has_an_encoder_and_one_combinator() -> None:
    model = Ladder(decoder="top", cost_weights=(*(0.0,) * 6, 0.5))
    assert count(model) == 1_536_500 + 2_260 + 10 + 100


def test_the_baseline_has_an_encoder_alone() -> None:
    assert count(Ladder(decoder="none", cost_weights=(0.0,) * 7)) == 1_536_500 + 2_260 + 10


def test_weights_run_from_layer_to_layer_and_back() -> None:
    shapes = {p.name: p.shape for p in parameters(small.model())}
    assert [shapes[f"f{i}.W"] for i in (1, 2, 3)] == [(19, 13), (13, 7), (7, 5)]
    assert [shapes[f"g{i}.V"] for i in (0, 1, 2)] == [(13, 19), (7, 13), (5, 7)]


def test_the_softmax_layer_alone_has_a_gamma() -> None:
    names = {p.name for p in parameters(small.model())}
    assert {n for n in names if n.endswith(".gamma")} == {"f3.gamma"}


def test_no_product_has_a_bias_of_its_own() -> None:
    kinds = {p.name.partition(".")[2] for p in parameters(small.model())}
    assert kinds == {"W", "beta", "gamma", "V", "a"}


def beginning(name: str, model: Ladder, draw: float = 1.0) -> Tensor:
    (parameter,) = [p for p in parameters(model) if p.name == name]
    return initial_value(parameter, torch.full(parameter.shape, draw))


@pytest.mark.parametrize(("name", "fan_in"), [("f1.W", 19), ("f3.W", 7), ("g0.V", 13)])
def test_weights_begin_with_a_variance_of_one_over_fan_in(name: str, fan_in: int) -> None:
    value = beginning(name, small.model())
    torch.testing.assert_close(value, torch.full_like(value, fan_in**-0.5))


def test_uniform_weights_begin_with_the_same_variance() -> None:
    value = beginning("f1.W", small.model(weight_init="uniform"))
    torch.testing.assert_close(value, torch.full_like(value, (3 / 19) ** 0.5))


def test_shifts_begin_at_zero_and_the_scale_at_one() -> None:
    model = small.model()
    assert not any(beginning(f"f{i}.beta", model).any() for i in (1, 2, 3))
    assert (beginning("f3.gamma", model) == 1).all()


def test_kzky_s_shifts_begin_at_one_and_its_scale_is_drawn() -> None:
    model = small.model(beta_init=1.0, gamma_init="uniform")
    assert (beginning("f1.beta", model) == 1).all()
    gamma = beginning("f3.gamma", model, 0.5)
    torch.testing.assert_close(gamma, torch.full_like(gamma, 0.5 * 3**0.5))


def test_two_of_gauss_s_parameters_begin_at_one() -> None:
    a = beginning("g1.a", small.model())
    assert [i + 1 for i in range(10) if (a[i] == 1).all()] == [2, 7]
    assert a.sum() == 2 * 13


def test_a_random_beginning_leaves_biases_at_zero() -> None:
    a = beginning("g1.a", small.model(combinator="sig", combinator_init="random"))
    assert [i for i in range(9) if not a[i].any()] == [0, 5]
    assert a.max() == pytest.approx(0.025)


def test_a_reversed_beginning_exchanges_lateral_and_vertical() -> None:
    model = small.model(combinator="sig", combinator_init="swapped")
    assert beginning("g1.a", model)[:, 0].tolist() == [0, 0, 1, 0, 1, 0, 0, 1, 0]


def test_a_shared_combinator_has_one_column() -> None:
    shapes = {p.name: p.shape for p in parameters(small.model(combinator_shared=True))}
    assert shapes["g1.a"] == (10, 1)
    ladder = small.net(small.model(combinator_shared=True))
    assert costs(ladder).denoising[1].isfinite().all()


# Costs, against numpy


@pytest.mark.parametrize("model", VARIANTS)
def test_supervised_cost_is_the_reference_s(model: Ladder) -> None:
    ladder = small.net(model)
    rows = HALVES["labelled"]
    x, eps = small.pixels()[0, rows].numpy(), [e[0, rows].numpy() for e in small.noise()]
    expected = Reference.of(ladder).supervised(x, small.classes()[0].numpy(), eps)
    assert float(costs(ladder).supervised) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("model", VARIANTS)
def test_denoising_costs_are_the_reference_s(model: Ladder) -> None:
    ladder, expected = small.net(model), dict.fromkeys(model.costly, 0.0)
    for name in ("labelled", "unlabelled") if model.cost_rows == "both" else ("unlabelled",):
        rows = HALVES[name]
        x, eps = small.pixels()[0, rows].numpy(), [e[0, rows].numpy() for e in small.noise()]
        for i, c in Reference.of(ladder).denoising(x, eps).items():
            expected[i] += c
    ours = {i: float(c) for i, c in costs(ladder).denoising.items()}
    assert ours == pytest.approx(expected, rel=1e-9)


def test_halves_of_one_size_cost_what_the_reference_says() -> None:
    """Equal halves are normalised in one go, others one by one."""
    ladder, n = small.net(), LABELLED
    x, eps = small.pixels(R=2 * n), small.noise(R=2 * n)
    ours = cost(ladder, x, small.classes(), eps)
    unlabelled = x[0, n:].numpy(), [e[0, n:].numpy() for e in eps]
    expected = Reference.of(ladder).denoising(*unlabelled)
    assert {i: float(c) for i, c in ours.denoising.items()} == pytest.approx(expected, rel=1e-9)


def test_the_total_weighs_each_denoising_cost_by_its_lambda() -> None:
    ladder = small.net()
    c = costs(ladder)
    weighted = sum(w * c.denoising[i] for i, w in enumerate((3.0, 2.0, 0.5, 0.7)))
    torch.testing.assert_close(c.total(ladder.model), c.supervised + weighted)


def test_the_total_of_the_baseline_is_its_supervised_cost() -> None:
    c = costs(small.net(small.baseline()))
    assert c.denoising == {}
    torch.testing.assert_close(c.total(small.baseline()), c.supervised)


def test_only_layers_with_a_lambda_are_estimated_in_training() -> None:
    bottom = small.net(small.model(cost_weights=(5.0, 0.0, 0.0, 0.0)))
    torch.testing.assert_close(costs(bottom).denoising[0], costs(small.net()).denoising[0])
    assert costs(bottom).denoising.keys() == {0}


def test_layers_without_a_lambda_can_be_measured() -> None:
    ladder = small.net(small.model(cost_weights=(5.0, 0.0, 0.0, 0.0)))
    measured = cost(ladder, small.pixels(), small.classes(), small.noise(), layers=range(4))
    for i, c in costs(small.net()).denoising.items():
        torch.testing.assert_close(measured.denoising[i], c)


def test_denoising_covers_the_unlabelled_half_alone() -> None:
    ladder, x = small.net(), small.pixels()
    other = x.clone()
    other[:, :LABELLED] = small.pixels(seed=1)[:, :LABELLED]
    ours, changed = costs(ladder, x), costs(ladder, other)
    assert changed.supervised != ours.supervised
    assert changed.denoising == ours.denoising


def test_the_labelled_half_s_statistics_are_its_own() -> None:
    ladder, x = small.net(), small.pixels()
    other = x.clone()
    other[:, LABELLED:] = small.pixels(seed=1)[:, LABELLED:]
    assert costs(ladder, other).supervised == costs(ladder, x).supervised


def test_the_supervised_cost_is_of_the_corrupted_path() -> None:
    ladder = small.net()
    quiet = [torch.zeros_like(e) for e in small.noise()]
    assert costs(ladder).supervised != costs(ladder, eps=quiet).supervised


def test_extreme_logits_cost_much_and_not_nan() -> None:
    ladder = small.net()
    ladder.params["f3.gamma"].fill_(1e4)
    supervised = costs(ladder).supervised
    assert supervised.isfinite().all()
    assert supervised > 100


def test_gradients_are_those_of_finite_differences() -> None:
    """Through clean targets and their statistics as well: a stopped gradient would differ."""
    model = small.model(sizes=(3, 2, 2), noise=(0.3,) * 3, cost_weights=(3.0, 2.0, 0.5))
    ladder = small.net(model)
    g = torch.Generator().manual_seed(1)
    x = torch.rand(1, 7, 3, generator=g, dtype=torch.float64)
    eps = [torch.randn(1, 7, n, generator=g, dtype=torch.float64) for n in model.sizes]
    y = torch.tensor([[0, 1, 1]])

    def total(*values: Tensor) -> Tensor:
        params = dict(zip(ladder.params, values, strict=True))
        return cost(LadderNet(model, params), x, y, eps).total(model)

    leaves = [p.clone().requires_grad_() for p in ladder.params.values()]
    assert torch.autograd.gradcheck(total, leaves, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("model", [small.model(), small.top_only(), small.baseline()])
def test_every_parameter_has_a_gradient(model: Ladder) -> None:
    ladder = small.net(model)
    leaves = {n: p.clone().requires_grad_() for n, p in ladder.params.items()}
    total = costs(LadderNet(model, leaves)).total(model)
    grads = torch.autograd.grad(total.sum(), list(leaves.values()))
    assert [n for n, g in zip(leaves, grads, strict=True) if not g.any()] == []


# Noise, normalisation, statistics


def quiet_but(layer: int) -> list[Tensor]:
    return [e if i == layer else torch.zeros_like(e) for i, e in enumerate(small.noise())]


@pytest.mark.parametrize("layer", range(4))
def test_noise_is_added_to_the_normalised_value_of_each_layer(layer: int) -> None:
    ladder = small.net()
    eps = quiet_but(layer)
    clean, noisy = (encode(ladder, small.pixels(), (ROWS,), e) for e in (None, eps))
    added = noisy.z[layer] - clean.z[layer]
    torch.testing.assert_close(added, ladder.model.noise[layer] * eps[layer])


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_the_lateral_signal_is_taken_before_beta_and_gamma(layer: int) -> None:
    ladder, other = small.net(), small.net()
    for kind in ("beta", "gamma"):
        if f"f{layer}.{kind}" in other.params:
            other.params[f"f{layer}.{kind}"].mul_(3)
    ours, changed = (encode(n, small.pixels(), (ROWS,), small.noise()) for n in (ladder, other))
    assert torch.equal(ours.z[layer], changed.z[layer])
    assert not torch.equal(ours.h, changed.h)


def test_noise_of_the_input_is_apart_from_that_of_the_layers() -> None:
    ladder = small.net(small.model(noise=(0.3, 0.0, 0.0, 0.0)))
    loud = small.net(small.model(noise=(0.3, 0.5, 0.5, 0.5)))
    ours, other = (encode(n, small.pixels(), (ROWS,), small.noise()) for n in (ladder, loud))
    assert torch.equal(ours.z[0], other.z[0])
    assert not torch.equal(ours.z[1], other.z[1])


def test_the_top_shift_is_added_before_it_is_scaled() -> None:
    ladder = small.net()
    path = encode(ladder, small.pixels(), (ROWS,))
    beta, gamma = (ladder.params[f"f3.{n}"].unsqueeze(1) for n in ("beta", "gamma"))
    torch.testing.assert_close(path.h, gamma * (path.z[3] + beta))


@pytest.mark.parametrize("groups", [(28,), (14, 14), (7, 7, 7, 7), (11, 17)])
def test_each_group_of_rows_has_mean_0_and_variance_1(groups: tuple[int, ...]) -> None:
    h = 3 + 5 * small.pixels(K=2)
    z, _ = normalise(h, groups, 1e-10)
    for part in z.split(groups, 1):
        torch.testing.assert_close(part.mean(1), torch.zeros(2, 19, dtype=torch.float64))
        torch.testing.assert_close(part.var(1, correction=0), torch.ones(2, 19).double())


@pytest.mark.parametrize("groups", [(28,), (14, 14), (11, 17)])
def test_moments_are_those_of_each_group(groups: tuple[int, ...]) -> None:
    h = small.pixels(K=2)
    _, (mean, var) = normalise(h, groups, 1e-10)
    for i, part in enumerate(h.split(groups, 1)):
        torch.testing.assert_close(mean[:, i], part.mean(1))
        torch.testing.assert_close(var[:, i], part.var(1, correction=0))


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_an_estimate_equal_to_the_clean_product_costs_nothing(layer: int) -> None:
    """So the estimate is divided by the standard deviation, not by the variance."""
    ladder = small.net()
    x = small.pixels(R=UNLABELLED)
    path = encode(ladder, x, (UNLABELLED,))
    h = x
    for i in range(1, layer + 1):
        product = torch.bmm(h, ladder.params[f"f{i}.W"])
        h = torch.relu(path.z[i] + ladder.params[f"f{i}.beta"].unsqueeze(1))
    torch.testing.assert_close(on_scale_of(ladder.model, path, layer, product), path.z[layer])


def test_nothing_is_normalised_at_layer_0() -> None:
    ladder = small.net()
    path = encode(ladder, small.pixels(), (ROWS,))
    estimate = small.pixels(seed=2)
    assert torch.equal(path.z[0], small.pixels())
    assert torch.equal(on_scale_of(ladder.model, path, 0, estimate), estimate)


def test_a_dead_unit_keeps_the_cost_finite() -> None:
    ladder = small.net()
    ladder.params["f2.W"][:, :, 0] = 0
    total = costs(ladder).total(ladder.model)
    ladder.params["f2.W"][:, :, 0] = 1
    assert total < 10 * costs(ladder).total(ladder.model)


# Decoder


def test_the_decoder_reads_the_softmax_of_the_corrupted_path() -> None:
    """A constant added to all logits of a row is invisible to the softmax alone."""
    shift = torch.arange(UNLABELLED).view(1, -1, 1)
    same = {}
    for kind in ("softmax", "logits"):
        ladder = small.net(small.model(top_input=kind))
        path = encode(ladder, small.pixels(R=UNLABELLED), (UNLABELLED,), small.noise(R=UNLABELLED))
        ours, moved = (decode(ladder, path.z, h)[0] for h in (path.h, path.h + shift))
        same[kind] = torch.allclose(ours, moved)
    assert same == {"softmax": True, "logits": False}


def test_estimates_begin_at_zero() -> None:
    ladder = small.net(spread=0.0)
    path = encode(ladder, small.pixels(), (ROWS,), small.noise())
    for estimate in decode(ladder, path.z, path.h).values():
        assert not estimate.any()


def test_without_lateral_connections_estimates_do_not_see_z() -> None:
    ladder = small.net(small.model(lateral=False))
    path = encode(ladder, small.pixels(), (ROWS,), small.noise())
    ours, other = (decode(ladder, z, path.h)[0] for z in (path.z, small.noise(seed=1)))
    assert torch.equal(ours, other)


def test_the_vertical_signal_is_normalised_by_its_own_rows() -> None:
    ladder = small.net()
    path = encode(ladder, small.pixels(), (ROWS,), small.noise())
    whole, half = (
        decode(ladder, path.z, path.h),
        decode(ladder, [z[:, :17] for z in path.z], path.h[:, :17]),
    )
    assert not torch.allclose(whole[3][:, :17], half[3])


def test_the_top_decoder_estimates_the_top_alone() -> None:
    ladder = small.net(small.top_only())
    path = encode(ladder, small.pixels(), (ROWS,), small.noise())
    assert decode(ladder, path.z, path.h).keys() == {3}


# Lanes


@pytest.mark.parametrize("model", VARIANTS)
def test_three_lanes_cost_what_each_costs_alone(model: Ladder) -> None:
    ladder = small.net(model, K=3)
    x, y, eps = small.pixels(3), small.classes(3), small.noise(3)
    together = cost(ladder, x, y, eps)
    for k in range(3):
        own = slice(k, k + 1)
        alone = cost(small.lane(ladder, k), x[own], y[own], [e[own] for e in eps])
        torch.testing.assert_close(together.supervised[own], alone.supervised)
        for i in model.costly:
            torch.testing.assert_close(together.denoising[i][own], alone.denoising[i])


# Prediction


def test_statistics_are_the_mean_and_unbiased_variance_of_the_labelled_images() -> None:
    ladder, x = small.net(), small.pixels(R=LABELLED)
    mean, var = statistics(ladder, [x], LABELLED)[0]
    product = torch.bmm(x, ladder.params["f1.W"])
    torch.testing.assert_close(mean[:, 0], product.mean(1))
    torch.testing.assert_close(var[:, 0], product.var(1, correction=1))


def test_kzky_s_statistics_keep_the_population_variance() -> None:
    ladder, x = small.net(small.model(test_var="biased")), small.pixels(R=LABELLED)
    product = torch.bmm(x, ladder.params["f1.W"])
    torch.testing.assert_close(
        statistics(ladder, [x], LABELLED)[0].var[:, 0], product.var(1, correction=0)
    )


@pytest.mark.parametrize("sizes", [(3,), (1, 2), (1, 1, 1)])
def test_statistics_of_several_minibatches_are_averaged(sizes: tuple[int, ...]) -> None:
    ladder, x = small.net(), small.pixels(R=3 * LABELLED)
    ours = statistics(ladder, torch.split(x, [n * LABELLED for n in sizes], 1), LABELLED)
    parts = [statistics(ladder, [part], LABELLED) for part in x.split(LABELLED, 1)]
    for i, (mean, var) in enumerate(ours):
        torch.testing.assert_close(mean, torch.stack([p[i].mean for p in parts]).mean(0))
        torch.testing.assert_close(var, torch.stack([p[i].var for p in parts]).mean(0))


def given(ladder: LadderNet) -> list[Moments]:
    return statistics(ladder, [small.pixels(R=LABELLED)], LABELLED)


def test_a_prediction_does_not_depend_on_the_images_beside_it() -> None:
    ladder, x = small.net(), small.pixels(seed=1)
    together = predict(ladder, x, given(ladder))
    for r in range(3):
        alone = predict(ladder, x[:, r : r + 1], given(ladder))
        torch.testing.assert_close(together[:, r : r + 1], alone)


def test_a_prediction_is_the_clean_path_s() -> None:
    """With a minibatch's own population statistics it is the training path without noise."""
    ladder, x = small.net(small.model(test_var="biased")), small.pixels(R=LABELLED)
    torch.testing.assert_close(predict(ladder, x, given(ladder)), encode(ladder, x, (LABELLED,)).h)


def test_parameters_are_declared_in_the_order_of_layers() -> None:
    names = [p.name for p in parameters(small.model()) if isinstance(p, Parameter)]
    layers = [name.partition(".")[0] for name in names]
    assert list(dict.fromkeys(layers)) == ["f1", "f2", "f3", "g0", "g1", "g2", "g3"]


def test_an_estimate_of_the_clean_pixels_costs_nothing_at_layer_0() -> None:
    ladder = small.net(small.model(noise=(0.0,) * 4))
    a = ladder.params["g0.a"]
    a.zero_()
    a[:, 9] = 1  # v = 1, mu = 0: z_hat = z
    assert float(costs(ladder).denoising[0]) == pytest.approx(0, abs=1e-20)


def test_numpy_and_torch_draw_no_noise_of_their_own() -> None:
    before, drawn = torch.get_rng_state(), np.random.get_state()[1].tolist()
    costs(small.net())
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == drawn
