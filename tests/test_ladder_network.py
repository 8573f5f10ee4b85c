"""The Ladder network's costs: against numpy, their gradients, and lane by lane."""

from __future__ import annotations

import ladder_small as small
import numpy as np
import pytest
import torch
from ladder_reference import Reference
from ladder_small import LABELLED, ROWS
from torch import Tensor

from repro.model.ladder_network import LadderNet, cost
from repro.plan.run import Ladder

VARIANTS = [
    pytest.param(small.model(), id="full"),
    pytest.param(small.model(cost_rows="both"), id="both halves"),
    pytest.param(small.model(top_input="logits"), id="logits"),
    pytest.param(small.model(estimate_norm=False), id="raw estimates"),
    pytest.param(small.model(lateral=False), id="no lateral"),
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
    ladder, expected = small.net(model), dict.fromkeys(model.costly, 0.0)
    for name in ("labelled", "unlabelled") if model.cost_rows == "both" else ("unlabelled",):
        x, eps = together(model, HALVES[name])
        rows = HALVES[name] if model.joined else slice(None)
        for i, c in Reference.of(ladder).denoising(x, eps, rows).items():
            expected[i] += c
    ours = {i: float(c) for i, c in small.costs(ladder).denoising.items()}
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
    c = small.costs(ladder)
    weighted = sum(w * c.denoising[i] for i, w in enumerate((3.0, 2.0, 0.5, 0.7)))
    torch.testing.assert_close(c.total(ladder.model), c.supervised + weighted)


def test_the_total_of_the_baseline_is_its_supervised_cost() -> None:
    c = small.costs(small.net(small.baseline()))
    assert c.denoising == {}
    torch.testing.assert_close(c.total(small.baseline()), c.supervised)


def test_only_layers_with_a_lambda_are_estimated_in_training() -> None:
    bottom = small.net(small.model(cost_weights=(5.0, 0.0, 0.0, 0.0)))
    torch.testing.assert_close(
        small.costs(bottom).denoising[0], small.costs(small.net()).denoising[0]
    )
    assert small.costs(bottom).denoising.keys() == {0}


def test_layers_without_a_lambda_can_be_measured() -> None:
    ladder = small.net(small.model(cost_weights=(5.0, 0.0, 0.0, 0.0)))
    measured = cost(ladder, small.pixels(), small.classes(), small.noise(), layers=range(4))
    for i, c in small.costs(small.net()).denoising.items():
        torch.testing.assert_close(measured.denoising[i], c)


def test_denoising_covers_the_unlabelled_half_alone() -> None:
    ladder, x = small.net(), small.pixels()
    other = x.clone()
    other[:, :LABELLED] = small.pixels(seed=1)[:, :LABELLED]
    ours, changed = small.costs(ladder, x), small.costs(ladder, other)
    assert changed.supervised != ours.supervised
    assert changed.denoising == ours.denoising


def test_the_labelled_half_s_statistics_are_its_own() -> None:
    ladder, x = small.net(), small.pixels()
    other = x.clone()
    other[:, LABELLED:] = small.pixels(seed=1)[:, LABELLED:]
    assert small.costs(ladder, other).supervised == small.costs(ladder, x).supervised


def test_the_supervised_cost_is_of_the_corrupted_path() -> None:
    ladder = small.net()
    quiet = [torch.zeros_like(e) for e in small.noise()]
    assert small.costs(ladder).supervised != small.costs(ladder, eps=quiet).supervised


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


def test_an_estimate_of_the_clean_pixels_costs_nothing_at_layer_0() -> None:
    ladder = small.net(small.model(noise=(0.0,) * 4))
    a = ladder.params["g0.a"]
    a.zero_()
    a[:, 9] = 1  # v = 1, mu = 0: z_hat = z
    assert float(small.costs(ladder).denoising[0]) == pytest.approx(0, abs=1e-20)


def test_numpy_and_torch_draw_no_noise_of_their_own() -> None:
    before, drawn = torch.get_rng_state(), np.random.get_state()[1].tolist()
    small.costs(small.net())
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == drawn


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
