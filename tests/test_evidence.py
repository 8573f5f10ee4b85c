"""L_K where log p(x) is known: Gaussian models, one-unit models by quadrature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import small
import torch
from scipy.special import logsumexp
from torch import Tensor

from repro.model.distributions import (
    Normal,
    log_bernoulli,
    log_mean_exp,
    log_normal,
    log_standard_normal,
)
from repro.model.hierarchy import observation, prior
from repro.model.layers import Net
from repro.train.evaluate import WeightSums, importance_bound


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


def sums_of(log_w: Tensor, chunk: int | None = None) -> WeightSums:
    empty = log_w.new_full((log_w.shape[0], log_w.shape[2]), -torch.inf)
    sums = WeightSums(empty, empty)
    for part in log_w.split(chunk or log_w.shape[1], 1):
        sums.add(part)
    return sums


@pytest.mark.parametrize("D", [1, 2])
def test_bound_of_5000_samples_is_within_its_error_of_the_evidence(D: int) -> None:
    log_w, evidence = gaussian_weights(5000, D, N=31)
    sums = sums_of(log_w)
    off = (sums.bound() - evidence) / sums.mc_variance().sqrt()
    assert off.abs().max() < 4


def test_bound_of_5000_samples_is_unbiased_enough_over_images() -> None:
    log_w, evidence = gaussian_weights(5000, D=2, N=97)
    sums = sums_of(log_w)
    error = float(sums.mc_variance().sum().sqrt()) / 97
    assert float(sums.bound().mean()) == pytest.approx(evidence, abs=4 * error)


def test_bound_does_not_decrease_with_the_number_of_samples() -> None:
    log_w, evidence = gaussian_weights(4096, D=2)
    by_k = [
        float(log_mean_exp(log_w.view(1, -1, K), 2).mean()) for K in (1, 2, 4, 16, 64, 512, 4096)
    ]
    assert by_k == sorted(by_k)
    assert by_k[0] < evidence - 0.05


@pytest.mark.parametrize("chunk", [1, 7, 64, 999])
def test_streaming_in_chunks_is_one_shot(chunk: int) -> None:
    log_w, _ = gaussian_weights(1000, D=2, N=5)
    whole, parts = sums_of(log_w), sums_of(log_w, chunk)
    torch.testing.assert_close(parts.bound(), whole.bound(), rtol=1e-12, atol=0)
    torch.testing.assert_close(parts.mc_variance(), whole.mc_variance(), rtol=1e-9, atol=0)


def test_streaming_survives_weights_beyond_the_range_of_floats() -> None:
    log_w, _ = gaussian_weights(1000, N=5)
    far = sums_of(log_w.float() - 900.0, 64)
    near = sums_of(log_w.float(), 64)
    torch.testing.assert_close(far.bound() + 900.0, near.bound(), rtol=0, atol=1e-3)
    torch.testing.assert_close(far.mc_variance(), near.mc_variance(), rtol=1e-2, atol=0)


def test_monte_carlo_variance_is_that_of_replications() -> None:
    N = 3001
    log_w, _ = gaussian_weights(400, D=2, N=N)
    sums = sums_of(log_w)
    stated, empirical = float(sums.mc_variance().mean()), float(sums.bound().var())
    assert stated == pytest.approx(empirical, rel=6 * math.sqrt(2 / N))


def test_monte_carlo_variance_of_equal_weights_is_zero() -> None:
    assert sums_of(torch.full((1, 50, 3), -90.0)).mc_variance().abs().max() < 1e-5


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


SMALLEST: list[Any] = [
    pytest.param({"family": "vae", "depth": 1, "latents": (1,)}, id="vae1"),
    pytest.param({"family": "vae", "depth": 2, "latents": (1, 1)}, id="vae2"),
    pytest.param({"family": "lvae", "depth": 2, "latents": (1, 1)}, id="lvae2"),
    pytest.param(
        {"family": "lvae", "depth": 2, "latents": (1, 1), "shared": False}, id="lvae2-separate"
    ),
]


@pytest.mark.parametrize("fields", SMALLEST)
def test_importance_bound_finds_the_evidence_of_a_whole_model(fields: dict[str, Any]) -> None:
    net = wide(small.net(small.run(batch_norm=False, var_floor=0.0, **fields)))
    x = small.bits(B=11)
    sums = importance_bound(net, x, small.noise(), 5000)
    off = (sums.bound()[0].numpy() - quadrature(net, x)) / sums.mc_variance()[0].sqrt().numpy()
    assert np.abs(off).max() < 4.5


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_importance_bound_of_a_model_that_ignores_z_is_the_likelihood(family: str) -> None:
    net = wide(small.net(small.run(family, batch_norm=False, var_floor=0.0)))
    net.params["x.out.W"].zero_()
    x = small.bits(B=5)
    exact = log_bernoulli(x, net.params["x.out.beta"].unsqueeze(1), 1e-5)
    sums = importance_bound(net, x, small.noise(), 20_000)
    off = (sums.bound() - exact) / sums.mc_variance().sqrt()
    assert off.abs().max() < 5
