"""The Ladder network's paths: noise, normalisation, the decoder, and predictions."""

from __future__ import annotations

import ladder_small as small
import pytest
import torch
from ladder_small import LABELLED, ROWS, UNLABELLED
from torch import Tensor

from repro.model.ladder_network import (
    LadderNet,
    decode,
    encode,
    normalise,
    on_scale_of,
    predict,
    statistics,
)
from repro.model.layers import Moments

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
    total = small.costs(ladder).total(ladder.model)
    ladder.params["f2.W"][:, :, 0] = 1
    assert total < 10 * small.costs(ladder).total(ladder.model)


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


def test_the_top_s_input_is_the_normalised_softmax_of_the_corrupted_path() -> None:
    """Seen through a combinator that passes u on: mu = u, v = 0."""
    ladder = small.net()
    a = ladder.params["g3.a"]
    a.zero_()
    a[:, 3] = 1
    clean, noisy = (encode(ladder, small.pixels(), (ROWS,), e) for e in (None, small.noise()))
    u, other = (normalise(p.h.softmax(-1), (ROWS,), 1e-10)[0] for p in (noisy, clean))
    torch.testing.assert_close(decode(ladder, noisy.z, noisy.h)[3], u)
    assert not torch.allclose(u, other, atol=0.1)


def test_the_cost_s_top_input_is_of_the_corrupted_path() -> None:
    ladder = small.net(small.top_only(lateral=False))
    quiet = [torch.zeros_like(e) for e in small.noise()]
    ours, other = (small.costs(ladder, eps=e).denoising[3] for e in (small.noise(), quiet))
    assert ours != other


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
