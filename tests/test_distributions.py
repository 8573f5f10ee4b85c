"""Closed forms against quadrature and as printed, and their extremes; test_models has the rest."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from repro.model.distributions import (
    VAR_TINY,
    Normal,
    kl_normal,
    kl_standard_normal,
    log_bernoulli,
    log_normal,
    precision_weighted,
)

FLOOR = CLIP = 1e-5


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


Q = Normal(tensor(0.3, -1.2, 4.0), tensor(0.7, 0.02, 2.5))
P = Normal(tensor(-0.4, 0.1, 3.0), tensor(1.9, 0.3, 0.4))
STANDARD = Normal(tensor(0, 0, 0), tensor(1, 1, 1))
Z = tensor(1.1, -0.5, -2.0)


@pytest.mark.parametrize("unit", range(3))
@pytest.mark.parametrize("p", [P, STANDARD], ids=["two", "to a standard normal"])
def test_kl_is_the_integral_of_the_floored_densities(p: Normal, unit: int) -> None:
    kl, floor = (kl_normal(Q, P, FLOOR), FLOOR) if p is P else (kl_standard_normal(Q, FLOOR), 0.0)
    mu, std = float(Q.mu[unit]), math.sqrt(float(Q.var[unit]) + FLOOR)
    prior = norm(float(p.mu[unit]), math.sqrt(float(p.var[unit]) + floor))

    def integrand(z: float) -> float:
        log_q = float(norm.logpdf(z, mu, std))
        return math.exp(log_q) * (log_q - float(prior.logpdf(z)))

    expected, _ = quad(integrand, mu - 12 * std, mu + 12 * std, epsabs=1e-12, limit=200)
    assert float(kl[unit]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("logit", [11.6, 50.0, 1e4, math.inf])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_bernoulli_mean_stays_in_clip_and_one_minus_clip(logit: float, sign: int, x: float) -> None:
    mean = 1 - CLIP if sign > 0 else CLIP
    expected = math.log(mean if x else 1 - mean)
    ours = float(log_bernoulli(tensor(x), tensor(sign * logit), CLIP))
    assert ours == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("x", [0.0, 1.0])
def test_in_single_precision_the_clip_holds_and_its_gradient_is_finite(x: float) -> None:
    logit = torch.tensor([[-1e30], [-80.0], [80.0], [1e30]], requires_grad=True)
    log_p = log_bernoulli(torch.full((4, 1), x), logit, CLIP)
    log_p.sum().backward()
    assert float(log_p.detach().min()) == pytest.approx(math.log(CLIP), rel=1e-6)
    assert logit.grad is not None
    assert logit.grad.isfinite().all()


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
