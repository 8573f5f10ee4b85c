"""Hamiltonian Monte Carlo on the noise of a trained hierarchy, at one temperature.

q(z | x) makes z = T_x(eps) of eps ~ N(0, I), layer by layer. Each T_x is one-to-one and its
Jacobian a product of standard deviations, so that in terms of eps

    q(z | x)^(1 - b) p(x, z)^b  becomes  f(eps) = N(eps; 0, I) w(eps)^b,  w = p(x, z) / q(z | x):

of an ordinary importance sample the weight alone is annealed. Units that q knows well and units
that it leaves at the prior have one scale in eps, and where q is the posterior w is flat; in z, or
in the noise of the prior, a step short enough for the one would hardly move the other. What is
Gaussian is moved exactly, by a rotation of eps and momentum (Shahbaba et al. 2014), and only the
slope of b log w is left to steps: at b = 0 nothing is ever refused.

Shapes: S chains, B images, X pixels, D latents of all layers; a leading lane axis of 1. Nats.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from repro.model.distributions import LOG_2PI
from repro.model.families import MODELS
from repro.model.layers import Net

LEAPFROG = 2  # steps of one proposal
LONGEST = math.pi / 2 / LEAPFROG  # a quarter turn in all: of N(0, I) an independent draw


class State(NamedTuple):
    """Where the chains are, and log w there with its gradient, whatever b is."""

    eps: Tensor  # [1, S, B, D]
    log_w: Tensor  # [1, S, B], float64
    slope: Tensor  # [1, S, B, D]


def state(net: Net, x: Tensor, eps: Tensor) -> State:
    """net: folded. x: [1, B, X]. eps: [1, S, B, D], layer after layer from the data upward."""
    eps = eps.detach().requires_grad_()
    with torch.enable_grad():
        log_w = log_weight(net, x, eps)
        (slope,) = torch.autograd.grad(log_w.sum(), eps)
    return State(eps.detach(), log_w.detach(), slope)


def move(
    net: Net, x: Tensor, s: State, b: float, step: float, draw: Tensor
) -> tuple[State, Tensor]:
    """One proposal at b: the chains after it, and which of them took it, [1, S, B] of 0 and 1.

    draw [1, S, B, D + 1], standard normal: momenta, and last what decides.
    """
    p, decides = draw[..., :-1], torch.special.log_ndtr(draw[..., -1].double())
    new, p_new = _leapfrog(net, x, s, b, step, p)
    taken = decides < _log_joint(new, b, p_new) - _log_joint(s, b, p)  # nan is never taken
    at = taken.unsqueeze(-1)
    chosen = State(
        new.eps.where(at, s.eps), new.log_w.where(taken, s.log_w), new.slope.where(at, s.slope)
    )
    return chosen, taken.double()


def log_weight(net: Net, x: Tensor, eps: Tensor) -> Tensor:
    """log w(eps) = log p(x, z) - log q(z | x) at z = T_x(eps), [1, S, B] float64."""
    parts = torch.split(eps, list(net.model.latents), -1)
    out = MODELS[net.model.family](net, x, parts)
    log_w = out.log_px.double()
    for log_p, q, e in zip(out.log_p, out.q, parts, strict=True):
        # log q at z = mu + sigma eps: N(eps; 0, 1) / sigma. No floor: q is what z is drawn from.
        log_q = -0.5 * (LOG_2PI + q.var.log() + e.flatten(1, 2).square())
        log_w = log_w + (log_p - log_q.view_as(log_p)).double().sum(-1)
    return log_w if out.log_det is None else log_w + out.log_det.double()


def _leapfrog(
    net: Net, x: Tensor, s: State, b: float, step: float, p: Tensor
) -> tuple[State, Tensor]:
    """LEAPFROG steps of eps and momentum p, each a rotation between two kicks."""
    cos, sin = math.cos(step), math.sin(step)
    for _ in range(LEAPFROG):
        p = p + step / 2 * b * s.slope
        eps, p = cos * s.eps + sin * p, cos * p - sin * s.eps
        s = state(net, x, eps)
        p = p + step / 2 * b * s.slope
    return s, p


def _log_joint(s: State, b: float, p: Tensor) -> Tensor:
    """log f(eps) N(p; 0, I) but for a constant, [1, S, B]."""
    return b * s.log_w - 0.5 * (s.eps.double().square() + p.double().square()).sum(-1)
