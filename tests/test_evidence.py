"""L_K where log p(x) is known: Gaussian models, one-unit models by quadrature."""

import math
from typing import Any

import numpy as np
import pytest
import small
import torch
from scipy.special import logsumexp
from torch import Tensor

from repro.model.distributions import Normal, log_bernoulli, log_normal, log_standard_normal
from repro.model.hierarchy import observation, prior
from repro.model.layers import Net
from repro.train.evaluate import importance_bound
from repro.train.importance import counts, pareto_shape, weigh


def wide(net: Net) -> Net:
    """The network with an inference so broad that importance weights have a finite variance."""
    for name, p in net.params.items():
        if name.endswith(".head.W"):
            p.mul_(0.2)
        if name.endswith(".head.beta"):
            units = p.shape[1] // 2
            p[:, :units] *= 0.5
            p[:, units:] = 0.5 if name.startswith("p") else 2.0
    return net


def gaussian_weights(S: int, D: int = 1, N: int = 1, seed: int = 0) -> tuple[Tensor, float]:
    """Log weights [1, S, N] of z ~ N(0, I), x|z ~ N(z, 0.5 I) in D dimensions, and log p(x).

    q is wider than the posterior and off its mean, so that the weights have a finite variance.
    """
    x, noise = 1.3, 0.5
    posterior = Normal(torch.tensor(x / (1 + noise)), torch.tensor(noise / (1 + noise)))
    q = Normal(posterior.mu + 0.3, 1.4 * posterior.var)
    g = torch.Generator().manual_seed(seed)
    z = q.sample(torch.randn(S, N, D, generator=g, dtype=torch.float64))
    likelihood = log_normal(torch.tensor(x), Normal(z, torch.tensor(noise)), 0.0)
    log_w = likelihood + log_standard_normal(z) - log_normal(z, q, 0.0)
    evidence = D * (-0.5 * (math.log(2 * math.pi * (1 + noise)) + x * x / (1 + noise)))
    return log_w.sum(-1).unsqueeze(0), evidence


@pytest.mark.parametrize("D", [1, 2])
def test_bound_of_5000_samples_is_within_its_error_of_the_evidence(D: int) -> None:
    """Of each image, and in the mean over all."""
    log_w, evidence = gaussian_weights(5000, D, N=97)
    sums = weigh(log_w)
    off = (sums.LK - evidence) / sums.var.sqrt()
    assert off.abs().max() < 4
    error = float(sums.var.sum().sqrt()) / 97
    assert float(sums.LK.mean()) == pytest.approx(evidence, abs=4 * error)


def test_weights_beyond_the_range_of_floats_are_weighed_alike() -> None:
    log_w, _ = gaussian_weights(1000, N=5)
    far, near = weigh(log_w - 900.0), weigh(log_w)
    torch.testing.assert_close(far.LK + 900.0, near.LK, rtol=0, atol=1e-9)
    torch.testing.assert_close(far.var, near.var, rtol=1e-6, atol=0)


def test_the_jackknife_leaves_each_sample_out_in_turn() -> None:
    log_w, _ = gaussian_weights(37, D=2, N=3)
    log_w[0, 11, 1] += 80.0  # one weight that is all there is
    w, S = weigh(log_w), 37
    others = (np.delete(log_w[0].numpy(), s, axis=0) for s in range(S))
    without = np.stack([logsumexp(of, axis=0) - math.log(S - 1) for of in others])
    spread = (S - 1) / S * ((without - without.mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(w.var[0], spread, rtol=1e-9)
    corrected = S * w.LK[0].numpy() - (S - 1) * without.mean(0)
    np.testing.assert_allclose(w.corrected[0], corrected, rtol=1e-9)
    assert float(w.largest[0, 1]) == float(w.effective[0, 1]) == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [0.2, 0.7, 1.2])
def test_the_shape_of_pareto_weights_is_found(shape: float) -> None:
    g = torch.Generator().manual_seed(0)
    u = torch.rand(1, 5000, 40, generator=g, dtype=torch.float64)
    found = pareto_shape(torch.log1p((u**-shape - 1) / shape))
    assert float(found.mean()) == pytest.approx(shape, abs=0.08)


def test_the_error_of_heavy_tailed_weights_is_not_that_of_the_delta_method() -> None:
    """Log-normal weights of variance exp(4): few of 200 carry the mean, as in trained models."""
    g = torch.Generator().manual_seed(1)
    w = weigh(2.0 * torch.randn(1, 200, 4000, generator=g, dtype=torch.float64))
    true = float(w.LK.var())
    delta = w.delta_error(200) ** 2 * 4000
    assert abs(float(w.var.mean()) / true - 1) < abs(delta / true - 1) / 2


def test_the_curve_rises_to_the_bound_of_all_samples() -> None:
    log_w, evidence = gaussian_weights(1000, D=2, N=50)
    w = weigh(log_w)
    assert counts(1000) == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    means = w.curve[0].mean(1)
    assert (means.diff() > 0).all()
    assert float(means[0]) < evidence - 0.05
    torch.testing.assert_close(w.curve[:, -1], w.LK)
    torch.testing.assert_close(w.curve[:, 0], w.L1)


@pytest.mark.parametrize("S", [1, 3, 40])
def test_weights_of_zero_single_samples_and_equal_weights_are_no_error(S: int) -> None:
    w = weigh(torch.full((1, S, 2), -torch.inf).index_fill(2, torch.tensor([1]), -90.0))
    assert w.LK[0, 0] == -torch.inf
    assert float(w.LK[0, 1]) == pytest.approx(-90.0)
    error = math.nan if S == 1 else 0.0
    assert float(w.var[0, 1]) == pytest.approx(error, abs=1e-5, nan_ok=True)
    assert float(w.effective[0, 1]) == pytest.approx(S)


def quadrature(net: Net, x: Tensor) -> np.ndarray:
    """log p(x) of a model with one unit a layer, by the trapezium rule on a grid of z."""
    grid = torch.linspace(-9, 9, 1201, dtype=torch.float64)
    log_pz = log_standard_normal(grid)
    cell = math.log(float(grid[1] - grid[0]))
    for i in range(net.model.depth - 1, 0, -1):
        p = prior(net, i, grid.view(1, -1, 1))
        joint = log_normal(grid.view(1, 1, -1), p, 0.0)[0] + log_pz.view(-1, 1) + cell
        log_pz = joint.logsumexp(0)
    log_px = log_bernoulli(x[0].unsqueeze(1), observation(net, grid.view(1, -1, 1)).logit, 1e-5)
    total: np.ndarray = logsumexp(log_px.numpy() + log_pz.numpy() + cell, axis=1)
    return total


SMALLEST: dict[str, dict[str, Any]] = {
    "vae1": {"family": "vae", "depth": 1, "latents": (1,)},
    "vae2": {"family": "vae", "depth": 2, "latents": (1, 1)},
    "lvae2": {"family": "lvae", "depth": 2, "latents": (1, 1)},
    "lvae2-separate": {"family": "lvae", "depth": 2, "latents": (1, 1), "shared": False},
}


@pytest.mark.parametrize("fields", SMALLEST.values(), ids=SMALLEST)
def test_importance_bound_finds_the_evidence_of_a_whole_model(fields: dict[str, Any]) -> None:
    net = wide(small.net(small.run(batch_norm=False, var_floor=0.0, **fields)))
    x = small.bits(B=11)
    sums = importance_bound(net, x, small.noise(), 5000)
    off = (sums.LK[0].numpy() - quadrature(net, x)) / sums.var[0].sqrt().numpy()
    assert np.abs(off).max() < 4.5


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_importance_bound_of_a_model_that_ignores_z_is_the_likelihood(family: str) -> None:
    net = wide(small.net(small.run(family, batch_norm=False, var_floor=0.0)))
    net.params["x.out.W"].zero_()
    x = small.bits(B=5)
    exact = log_bernoulli(x, net.params["x.out.beta"].unsqueeze(1), 1e-5)
    sums = importance_bound(net, x, small.noise(), 5_000)
    off = (sums.LK - exact) / sums.var.sqrt()
    assert off.abs().max() < 5
