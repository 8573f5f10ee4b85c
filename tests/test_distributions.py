"""Closed forms against torch.distributions and against numerical quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor
from torch import distributions as td

from repro.model.distributions import (
    VAR_TINY,
    Normal,
    kl_normal,
    kl_standard_normal,
    log_bernoulli,
    log_mean_exp,
    log_normal,
    log_standard_normal,
    precision_weighted,
)

FLOOR = 1e-5
CLIP = 1e-5


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


Q = Normal(tensor(0.3, -1.2, 4.0), tensor(0.7, 0.02, 2.5))
P = Normal(tensor(-0.4, 0.1, 3.0), tensor(1.9, 0.3, 0.4))
Z = tensor(1.1, -0.5, -2.0)


def usual(d: Normal, floor: float = 0.0) -> td.Normal:
    return td.Normal(d.mu, (d.var + floor).sqrt())


def integral(f: object, d: Normal, unit: int) -> float:
    """Over twelve standard deviations about the mean of one unit."""
    mu, std = float(d.mu[unit]), math.sqrt(float(d.var[unit]) + FLOOR)
    value, _ = quad(f, mu - 12 * std, mu + 12 * std, epsabs=1e-12, limit=200)
    return float(value)


def scipy_log(d: Normal, unit: int, floor: float, z: float) -> float:
    return float(norm.logpdf(z, float(d.mu[unit]), math.sqrt(float(d.var[unit]) + floor)))


def test_log_normal_without_floor_is_the_usual_density() -> None:
    torch.testing.assert_close(log_normal(Z, Q, 0.0), usual(Q).log_prob(Z))


def test_log_normal_adds_the_floor_to_the_variance() -> None:
    tiny = Normal(Q.mu, Q.var * 1e-6)
    z = Q.mu + 2e-3
    torch.testing.assert_close(log_normal(z, tiny, FLOOR), usual(tiny, FLOOR).log_prob(z))


def test_log_standard_normal_has_no_floor() -> None:
    torch.testing.assert_close(
        log_standard_normal(Z),
        td.Normal(tensor(0, 0, 0), tensor(1, 1, 1)).log_prob(Z),
        rtol=1e-14,
        atol=0,
    )


@pytest.mark.parametrize("unit", range(3))
def test_kl_normal_is_the_integral_of_the_floored_densities(unit: int) -> None:
    def integrand(z: float) -> float:
        log_q, log_p = (scipy_log(d, unit, FLOOR, z) for d in (Q, P))
        return math.exp(log_q) * (log_q - log_p)

    assert float(kl_normal(Q, P, FLOOR)[unit]) == pytest.approx(integral(integrand, Q, unit))


@pytest.mark.parametrize("unit", range(3))
def test_kl_standard_normal_is_the_integral_with_the_floor_in_q_alone(unit: int) -> None:
    def integrand(z: float) -> float:
        log_q = scipy_log(Q, unit, FLOOR, z)
        return math.exp(log_q) * (log_q - float(norm.logpdf(z)))

    ours = float(kl_standard_normal(Q, FLOOR)[unit])
    assert ours == pytest.approx(integral(integrand, Q, unit), rel=1e-9)


def test_log_bernoulli_is_the_usual_log_probability_summed_over_pixels() -> None:
    logit = torch.linspace(-9, 9, 19, dtype=torch.float64).repeat(2, 1)
    x = (torch.arange(38) % 3 == 0).double().view(2, 19)
    expected = td.Bernoulli(logits=logit).log_prob(x).sum(-1)
    torch.testing.assert_close(log_bernoulli(x, logit, CLIP), expected)


@pytest.mark.parametrize("logit", [11.6, 50.0, 1e4, math.inf])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli_mean_stays_in_clip_and_one_minus_clip(logit: float, sign: int, x: float) -> None:
    mean = 1 - CLIP if sign > 0 else CLIP
    expected = math.log(mean if x else 1 - mean)
    ours = float(log_bernoulli(tensor(x), tensor(sign * logit), CLIP))
    assert ours == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli_gradient_is_finite_at_extreme_logits(x: float) -> None:
    logit = torch.tensor([-1e30, -80.0, 80.0, 1e30], requires_grad=True)
    log_bernoulli(torch.full((4,), x), logit, CLIP).backward()
    assert logit.grad is not None
    assert logit.grad.isfinite().all()


def test_bernoulli_clip_holds_in_single_precision() -> None:
    ours = float(log_bernoulli(torch.ones(1), torch.tensor([-1e4]), CLIP))
    assert ours == pytest.approx(math.log(CLIP), rel=1e-6)


def test_log_mean_exp_is_the_log_of_the_mean() -> None:
    w = torch.rand(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(log_mean_exp(w.log(), 1), w.mean(1).log())


@pytest.mark.parametrize("shift", [-1e5, 1e5])
def test_log_mean_exp_survives_extreme_weights(shift: float) -> None:
    log_w = tensor(0.0, math.log(3)) + shift
    assert float(log_mean_exp(log_w, 0)) == pytest.approx(shift + math.log(2))


@pytest.mark.parametrize("unit", range(3))
def test_precision_weighted_is_the_normalised_product_of_the_densities(unit: int) -> None:
    q = precision_weighted(Q, P)

    def product(z: float) -> float:
        return math.exp(scipy_log(Q, unit, 0, z) + scipy_log(P, unit, 0, z))

    total = integral(product, q, unit)
    for z in np.linspace(-3, 5, 7):
        log_product = scipy_log(Q, unit, 0, z) + scipy_log(P, unit, 0, z) - math.log(total)
        assert scipy_log(q, unit, 0, z) == pytest.approx(log_product, rel=1e-7)


def test_precision_weighted_is_the_paper_s_form_and_its_gradient() -> None:
    """Eqs. (17) and (18) as printed, with reciprocals."""

    def printed(hat: Normal, p: Normal) -> Normal:
        var = 1 / (1 / hat.var + 1 / p.var)
        return Normal(var * (hat.mu / hat.var + p.mu / p.var), var)

    found = []
    for merge in (printed, precision_weighted):
        leaves = [t.clone().requires_grad_() for t in (*Q, *P)]
        q = merge(Normal(*leaves[:2]), Normal(*leaves[2:]))
        loss = q.sample(Z).square().sum() + q.var.log().sum()
        found.append((*q, *torch.autograd.grad(loss, leaves)))
    for ours, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-13)


def test_a_merge_of_any_two_variance_heads_has_a_finite_gradient() -> None:
    """In float32; float64 knows the true values, as far as its own softplus is not 0."""
    x = torch.tensor([-1e4, -300, -120, -90, -60, -50, -44, -30, -10, -1, 0, 1, 20, 100])
    hat_x, p_x = (g.flatten() for g in torch.meshgrid(x, x, indexing="ij"))
    found = []
    for dtype in (torch.float64, torch.float32):
        leaves = [t.to(dtype).requires_grad_() for t in (hat_x, p_x)]
        var = [torch.nn.functional.softplus(t) + VAR_TINY for t in leaves]
        mu = [torch.full_like(var[0], m) for m in (0.3, -1.2)]
        q = precision_weighted(Normal(mu[0], var[0]), Normal(mu[1], var[1]))
        z = q.sample(torch.ones_like(q.mu))
        gradients = torch.autograd.grad(z.sum() + log_normal(z, q, FLOOR).sum(), leaves)
        found.append([t.detach().double() for t in (*q, z, *gradients)])
    for ours, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_sample_moves_by_the_square_root_of_the_raw_variance() -> None:
    tiny = Normal(tensor(0, 0, 0), Q.var * 1e-9)
    moved = tiny.sample(torch.ones(3)) - tiny.sample(torch.zeros(3))
    torch.testing.assert_close(moved, tiny.var.sqrt(), rtol=1e-12, atol=0)
