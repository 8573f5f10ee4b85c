"""log p(x) by annealed importance sampling: where it is known, between bounds, and as asked for."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from torch import Tensor

from repro.model.distributions import Normal, log_mean_exp
from repro.model.hierarchy import observation, prior
from repro.model.layers import Net
from repro.model.objectives import total_kl, unit_kl
from repro.train.annealing.chains import (
    Annealed,
    Path,
    ancestral,
    annealed,
    sandwich,
    schedule,
    tuned_path,
)

CHAINS, TEMPERATURES, IMAGES = 16, 60, 7
FAMILIES = pytest.mark.parametrize("family", ["vae", "lvae"])


def net_of(family: str, **fields: Any) -> Net:
    """Smaller weights than elsewhere: q is off by nats, not by thousands of them."""
    net = small.net(small.run(family, batch_norm=False, **fields))
    for name in net.params:
        net.params[name] *= 0.35 if name.endswith(".W") else 1
    return net


def linear(family: str) -> Net:
    """A hierarchy with linear means and constant variances in p; q is as nonlinear as ever."""
    net = net_of(family, observation="gaussian", leaky_slope=1.0)
    for name in ("p1.head.W", "p2.head.W", "x.out.W"):
        half = net.params[name].shape[-1] // 2
        net.params[name][..., half:] = 0
    return net


def exact(net: Net, x: Tensor) -> Tensor:
    """log p(x) of a linear hierarchy, [N]: x is Gaussian, with moments carried from the top."""
    mean, cov = torch.zeros(small.LATENTS[-1]).double(), torch.eye(small.LATENTS[-1]).double()
    for i in range(len(small.LATENTS) - 1, -1, -1):
        basis = torch.cat([torch.zeros(1, len(mean)), torch.eye(len(mean))]).double().unsqueeze(0)
        d = prior(net, i, basis) if i else observation(net, basis)
        assert isinstance(d, Normal)
        shift, A = d.mu[0, 0], (d.mu[0, 1:] - d.mu[0, 0]).T
        mean, cov = A @ mean + shift, A @ cov @ A.T + torch.diag(d.var[0, 0] + net.model.var_floor)
    return torch.distributions.MultivariateNormal(mean, cov).log_prob(x[0])


def estimate(net: Net, x: Tensor, temperatures: int, seed: int = 11, **more: Any) -> Annealed:
    path = Path(schedule(temperatures), [0.5] * (temperatures - 1))
    return annealed(net, x, small.noise(seed), path, CHAINS, **more)


def of_mean(errors: np.ndarray) -> float:
    return float((errors.astype(float) ** 2).sum() ** 0.5 / len(errors))


@FAMILIES
def test_a_linear_hierarchy_has_its_exact_likelihood(family: str) -> None:
    """The mean of four estimates."""
    net, x = linear(family), small.real(B=IMAGES)
    found = [estimate(net, x, TEMPERATURES, seed) for seed in (1, 2, 3, 4)]
    off = np.mean([f.log_p.mean() for f in found]) - float(exact(net, x).mean())
    assert abs(off) < 2 * of_mean(np.array([f.mc_error for f in found]))


@FAMILIES
def test_the_truth_of_own_images_lies_between_forward_and_reverse_chains(family: str) -> None:
    net, noise = linear(family), small.noise()
    s = sandwich(net, noise, tuned_path(net, noise, TEMPERATURES, CHAINS), CHAINS, IMAGES)
    truth = exact(net, ancestral(net, noise, "own", IMAGES)[1]).mean()
    for bound, error in ((s.lower, s.lower_error), (s.upper, s.upper_error)):
        assert abs(bound.mean() - truth) < 2 * of_mean(error)


def test_more_temperatures_close_the_sandwich() -> None:
    net, noise = net_of("lvae"), small.noise()
    gaps = []
    for temperatures in (2, TEMPERATURES):
        path = tuned_path(net, noise, temperatures, CHAINS)
        s = sandwich(net, noise, path, CHAINS, 3 * IMAGES)
        gaps.append((s.upper - s.lower).mean())
    error = np.hypot(of_mean(s.lower_error), of_mean(s.upper_error))
    assert gaps[0] > 0.5
    assert -2 * error < gaps[1] < 0.1


@FAMILIES
def test_one_temperature_is_ordinary_importance_sampling(family: str) -> None:
    net, x = net_of(family, var_floor=0.0), small.bits(B=IMAGES)
    Z = list(small.LATENTS)
    drawn = [small.noise()("annealed/0", i, (CHAINS, sum(Z) + 1)) for i in range(IMAGES)]
    eps = torch.stack(drawn, 1)[None, ..., :-1]
    out = small.infer(net, x, list(torch.split(eps, Z, -1)))
    log_w = out.log_px - total_kl(unit_kl(net, out, "mc"))
    found = estimate(net, x, 1)
    np.testing.assert_allclose(found.log_p, log_mean_exp(log_w, 1)[0].numpy(), rtol=1e-6)


def test_an_image_is_scored_alike_alone_and_among_others() -> None:
    net, x = net_of("lvae"), small.bits(B=IMAGES)
    among = estimate(net, x, 20)
    for other in (estimate(net, x, 20, rows=2 * CHAINS), estimate(net, x[:, :2], 20)):
        n = len(other.accepted)
        np.testing.assert_allclose(other.log_p, among.log_p[:n], rtol=1e-6)
        np.testing.assert_allclose(other.accepted, among.accepted[:n])


def test_the_schedule_rises_from_q_to_p_and_is_densest_at_both_ends() -> None:
    b = torch.tensor(schedule(1000))
    rise = b.diff()
    assert (b[0], b[-1]) == (0, 1)
    assert (rise > 0).all()
    assert rise.argmax() in (499, 500)
    torch.testing.assert_close(rise, rise.flip(0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("observed", ["bernoulli", "gaussian"])
def test_own_images_are_drawn_as_they_are_scored(observed: str) -> None:
    """Their mean is that of p(x | z_1), with the clip and the floor of the densities."""
    net = net_of("vae", depth=1, observation=observed, mean_clip=0.3, var_floor=2.0)
    z, x = ancestral(net, small.noise(), "own", 20_000)
    px = observation(net, z[0])
    real = isinstance(px, Normal)
    mean = px.mean if real else px.mean.clamp(0.3, 0.7)
    var = px.var + 2 if real else mean * (1 - mean)
    standard = ((x - mean) / var.sqrt())[0]
    assert (standard.mean(0).abs() < 5 / 20_000**0.5).all()
    torch.testing.assert_close(standard.square().mean(), torch.ones(()).double(), rtol=0.02, atol=0)
