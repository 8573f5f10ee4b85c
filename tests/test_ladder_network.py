"""The Ladder network: costs against numpy and lane by lane, normalisation, predictions."""

import ladder_small as small
import numpy as np
import pytest
import torch
from ladder_reference import Reference
from ladder_small import LABELLED, ROWS
from torch import Tensor

from repro.model.ladder_network import LadderNet, cost, encode, normalise, predict, statistics
from repro.model.layers import Moments
from repro.plan.run import Ladder

VARIANTS = [
    pytest.param(small.model(), id="full"),
    pytest.param(small.model(cost_rows="both"), id="both halves"),
    pytest.param(small.model(top_input="logits"), id="logits"),
    pytest.param(small.model(estimate_norm=False), id="raw estimates"),
    pytest.param(small.model(lateral=False), id="no lateral"),
    pytest.param(small.model(cost_weights=(5.0, 0.0, 0.0, 0.0)), id="pixels alone"),
    pytest.param(small.top_only(), id="top"),
    pytest.param(small.baseline(), id="baseline"),
    pytest.param(small.model(joined=True), id="joined"),
    pytest.param(small.model(joined=True, cost_rows="both"), id="joined, both halves"),
    pytest.param(small.model(joined=True, estimate_scale="noisy"), id="noisy scale"),
    pytest.param(small.model(passed_down="normalised"), id="normalised passed down"),
    pytest.param(small.model(vertical_affine=True), id="affine u"),
    pytest.param(small.model(gammas="all", leaky_slope=0.2), id="all gammas"),
    pytest.param(small.model(gammas="all", affine="scale_first"), id="scaled first"),
    pytest.param(small.model(gammas="none"), id="no gamma"),
]
HALVES = {"labelled": slice(0, LABELLED), "unlabelled": slice(LABELLED, ROWS)}


# Costs, against numpy


def together(model: Ladder, half: slice) -> tuple[np.ndarray, list[np.ndarray]]:
    """Pixels and noise of the rows that a half is normalised with."""
    rows = slice(None) if model.joined else half
    return small.pixels()[0, rows].numpy(), [e[0, rows].numpy() for e in small.noise()]


@pytest.mark.parametrize("model", VARIANTS)
def test_supervised_cost_is_the_reference_s(model: Ladder) -> None:
    ladder = small.net(model)
    x, eps = together(model, HALVES["labelled"])
    expected = Reference.of(ladder).supervised(x, small.classes()[0].numpy(), eps)
    assert float(small.costs(ladder).supervised) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("model", VARIANTS)
def test_denoising_costs_are_the_reference_s(model: Ladder) -> None:
    ladder, expected = small.net(model), dict[int, float]()
    for name in ("labelled", "unlabelled") if model.cost_rows == "both" else ("unlabelled",):
        x, eps = together(model, HALVES[name])
        rows = HALVES[name] if model.joined else slice(None)
        for i, c in Reference.of(ladder).denoising(x, eps, rows).items():
            expected[i] = expected.get(i, 0.0) + c
    ours = {i: float(c) for i, c in small.costs(ladder).denoising.items()}
    assert ours == pytest.approx({i: expected[i] for i in model.costly}, rel=1e-9)


def test_halves_of_one_size_cost_what_the_reference_says() -> None:
    """Equal halves are normalised in one go, others one by one."""
    ladder, n = small.net(), LABELLED
    x, eps = small.pixels(R=2 * n), small.noise(R=2 * n)
    ours = cost(ladder, x, small.classes(), eps)
    unlabelled = x[0, n:].numpy(), [e[0, n:].numpy() for e in eps]
    expected = Reference.of(ladder).denoising(*unlabelled)
    assert {i: float(c) for i, c in ours.denoising.items()} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("model", [small.model(), small.baseline()])
def test_the_total_weighs_each_denoising_cost_by_its_lambda(model: Ladder) -> None:
    c = small.costs(small.net(model))
    weighted = sum(w * c.denoising[i] for i, w in enumerate((3.0, 2.0, 0.5, 0.7)) if c.denoising)
    torch.testing.assert_close(c.total(model), c.supervised + weighted)


def test_layers_without_a_lambda_can_be_measured() -> None:
    ladder = small.net(small.model(cost_weights=(5.0, 0.0, 0.0, 0.0)))
    measured = cost(ladder, small.pixels(), small.classes(), small.noise(), layers=range(4))
    for i, c in small.costs(small.net()).denoising.items():
        torch.testing.assert_close(measured.denoising[i], c)


def test_extreme_logits_cost_much_and_not_nan() -> None:
    ladder = small.net()
    ladder.params["f3.gamma"].fill_(1e4)
    supervised = small.costs(ladder).supervised
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
    total = small.costs(LadderNet(model, leaves)).total(model)
    grads = torch.autograd.grad(total.sum(), list(leaves.values()))
    assert [n for n, g in zip(leaves, grads, strict=True) if not g.any()] == []


# Normalisation and predictions


@pytest.mark.parametrize("groups", [(28,), (7, 7, 7, 7), (11, 17)])
def test_each_group_of_rows_has_mean_0_and_variance_1(groups: tuple[int, ...]) -> None:
    h = 3 + 5 * small.pixels(K=2)
    z, (mean, var) = normalise(h, groups, 1e-10)
    for i, part in enumerate(h.split(groups, 1)):
        torch.testing.assert_close(mean[:, i], part.mean(1))
        torch.testing.assert_close(var[:, i], part.var(1, correction=0))
    for part in z.split(groups, 1):
        torch.testing.assert_close(part.mean(1), torch.zeros(2, 19, dtype=torch.float64))
        torch.testing.assert_close(part.var(1, correction=0), torch.ones(2, 19).double())


def test_a_dead_unit_keeps_the_cost_finite() -> None:
    ladder = small.net()
    ladder.params["f2.W"][:, :, 0] = 0
    total = small.costs(ladder).total(ladder.model)
    ladder.params["f2.W"][:, :, 0] = 1
    assert total < 10 * small.costs(ladder).total(ladder.model)


@pytest.mark.parametrize(("test_var", "correction"), [("unbiased", 1), ("biased", 0)])
def test_statistics_are_the_mean_and_unbiased_variance_of_the_labelled_images(test_var, correction):
    """Kzky's keep the population variance."""
    ladder, x = small.net(small.model(test_var=test_var)), small.pixels(R=LABELLED)
    mean, var = statistics(ladder, [x], LABELLED)[0]
    product = torch.bmm(x, ladder.params["f1.W"])
    torch.testing.assert_close(mean[:, 0], product.mean(1))
    torch.testing.assert_close(var[:, 0], product.var(1, correction=correction))


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
