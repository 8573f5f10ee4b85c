"""What every hierarchy z_1..z_L shares: the result of a pass, and generation from the top.

Shapes: K lanes (K_i of them have layer i), S samples, B images, X pixels, Z_i units.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from repro.model import distributions
from repro.model.distributions import Bernoulli, Normal, kl_normal, kl_standard_normal, log_normal
from repro.model.layers import Net, cat_lanes


class Flowed(NamedTuple):
    """A draw z_0 of a Gaussian, what flows made of it, and log det dz/dz_0, [K, R, 1] in nats."""

    z_0: Tensor
    z: Tensor
    log_det: Tensor


class Pass(NamedTuple):
    """One stochastic pass. Lists are ordered from the data upward.

    Flows have one determinant for all units of z_1: each unit's log_q has an equal share of it.
    """

    log_px: Tensor  # [K, S, B], nats
    log_q: list[Tensor]  # each [K_i, S, B, Z_i], nats per unit
    log_p: list[Tensor]
    z: list[Tensor]  # each [K_i, S * B, Z_i]
    q: list[Normal]
    p: list[Normal | None]  # p(z_i | z_{i+1}) of the lanes that have layer i + 1
    px: Bernoulli | Normal  # fields [K, S * B, X]
    log_det: Tensor | None = None  # [K, S, B] of flows from q to z_1, nats


def observation(net: Net, z_1: Tensor) -> Bernoulli | Normal:
    """p(x | z_1), eq. (3): [K, R, Z_1] -> fields [K, R, X].

    Binary pixels, or real ones with linear mean and softplus variance.
    """
    out = net.dense("x.out", net.mlp("x", z_1), norm=False)
    if net.model.observation == "bernoulli":
        return Bernoulli(out)
    mu, var = out.chunk(2, -1)
    return Normal(mu, F.softplus(var))


def log_observation(net: Net, x: Tensor, px: Bernoulli | Normal, S: int) -> Tensor:
    """log p(x | z_1) of images x [K, B, X], summed over pixels: [K, S, B].

    Of real-valued pixels the density, in the units that they have in x.
    """
    x = x.unsqueeze(1)
    if isinstance(px, Bernoulli):
        return distributions.log_bernoulli(x, _by_sample(px.logit, S), net.model.mean_clip)
    by_sample = Normal(_by_sample(px.mu, S), _by_sample(px.var, S))
    return log_normal(x, by_sample, net.model.var_floor).sum(-1)


def prior(net: Net, i: int, z_above: Tensor) -> Normal:
    """p(z_i | z_{i+1}), eq. (1): [K_{i+1}, R, Z_{i+1}] -> fields [K_{i+1}, R, Z_i]."""
    return net.normal(f"p{i}", net.mlp(f"p{i}", z_above))


def complete(
    net: Net,
    x: Tensor,
    S: int,
    z: list[Tensor],
    q: list[Normal],
    p: list[Normal | None],
    flow: Flowed | None = None,
) -> Pass:
    """Log densities of a pass whose latents are drawn. x: [K, B, X] in {0, 1}, or real.

    flow: what z_1 was made of, where it is no draw of q itself.
    """
    m, px = net.model, observation(net, z[0])
    log_px = log_observation(net, x, px, S)
    drawn = z if flow is None else [flow.z_0, *z[1:]]
    log_q = [log_normal(z_i, q_i, m.var_floor) for z_i, q_i in zip(drawn, q, strict=True)]
    log_p = [_log_prior(z_i, p_i, m.var_floor) for z_i, p_i in zip(z, p, strict=True)]
    log_det = None
    if flow is not None:
        log_q[0] = log_q[0] - flow.log_det / z[0].shape[-1]
        log_det = _by_sample(flow.log_det, S).squeeze(-1)
    log_q, log_p = ([_by_sample(t, S) for t in terms] for terms in (log_q, log_p))
    return Pass(log_px, log_q, log_p, z, q, p, px, log_det)


def _by_sample(rows: Tensor, S: int) -> Tensor:
    """[K, S * B, ...] -> [K, S, B, ...]."""
    return rows.view(rows.shape[0], S, -1, *rows.shape[2:])


def _log_prior(z: Tensor, p: Normal | None, var_floor: float) -> Tensor:
    """log p(z_i | .) where lanes above K_{i+1} end at layer i, whose prior is N(0, I)."""
    if p is None:
        return distributions.log_standard_normal(z)
    k = p.mu.shape[0]
    return cat_lanes(log_normal(z[:k], p, var_floor), distributions.log_standard_normal(z[k:]))


def closed_form_kl(q: Normal, p: Normal | None, var_floor: float) -> Tensor:
    """KL(q(z_i | .) || p(z_i | .)) per unit, [K_i, R, Z_i].

    Right where both are conditioned on the same z_{i+1}: the LVAE, or a top layer.
    """
    if p is None:
        return kl_standard_normal(q, var_floor)
    k, K = p.mu.shape[0], q.mu.shape[0]
    return cat_lanes(
        kl_normal(q.lanes(0, k), p, var_floor), kl_standard_normal(q.lanes(k, K), var_floor)
    )


def generate(net: Net, eps: Sequence[Tensor]) -> Tensor:
    """Mean of p(x | z_1) after ancestral sampling from p(z_L) down, eqs. (1)-(3).

    eps: one [K_i, B, Z_i] a layer. Returns [K, B, X].
    """
    z = eps[-1]
    for i in range(net.model.depth - 1, 0, -1):
        p = prior(net, i, z)
        k = p.mu.shape[0]
        z = cat_lanes(p.sample(eps[i - 1][:k]), eps[i - 1][k:])
    return observation(net, z).mean
