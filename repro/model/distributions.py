"""Densities and divergences. Shapes: K lanes, S samples, B images, X pixels, Z units of a layer.

All log densities are in nats and, unless said otherwise, one value per unit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
VAR_TINY = 2.0**-96  # of a variance head; our own, see `Normal`


class Normal(NamedTuple):
    """Diagonal Gaussian; both fields [..., Z].

    A variance head adds VAR_TINY: softplus(x) is 0 in float32 below x = -104 (-87 where subnormals
    are), and the gradient of the standard deviation would not be finite. No float32 variance above
    5e-22 is changed by it.
    """

    mu: Tensor
    var: Tensor

    def sample(self, eps: Tensor) -> Tensor:
        """Reparameterised draw for standard normal `eps`, [..., Z]."""
        return self.mu + self.var.sqrt() * eps

    def lanes(self, start: int, stop: int) -> Normal:
        """The same distribution for lanes start..stop only."""
        return Normal(self.mu[start:stop], self.var[start:stop])

    @property
    def mean(self) -> Tensor:
        return self.mu


class Bernoulli(NamedTuple):
    """Independent binary pixels, [..., X]."""

    logit: Tensor

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.logit)


def precision_weighted(hat: Normal, p: Normal) -> Normal:
    """Combine bottom-up evidence with the top-down prior of one layer, LVAE eqs. (17)-(18).

    hat, p: [..., B, Z]. Returns q(z_i | .), eq. (19); its variance is below both inputs'.
    The paper prints sigma on the left of (17); it is the variance. With w the share of hat's
    precision, both equations are free of reciprocals of a variance: the gradient of 1 / var is not
    finite in float32 below var = 5e-20, where a softplus head is below -44.
    """
    w = p.var / (hat.var + p.var)  # hat.var^-1 / (hat.var^-1 + p.var^-1)
    var_q = w * hat.var  # (17)
    mu_q = p.mu + w * (hat.mu - p.mu)  # (18)
    return Normal(mu_q, var_q)


def log_normal(z: Tensor, d: Normal, var_floor: float) -> Tensor:
    """log N(z; mu, var + floor) per unit, [..., Z]. The floor acts inside densities only."""
    var = d.var + var_floor
    return -0.5 * (LOG_2PI + var.log() + (z - d.mu).square() / var)


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1) per unit, [..., Z]; no floor: p(z_L) is exactly N(0, I), eq. (2)."""
    return -0.5 * (LOG_2PI + z.square())


def log_bernoulli(x: Tensor, logit: Tensor, mean_clip: float) -> Tensor:
    """log p(x | z_1), eq. (3), summed over pixels: [..., X] -> [...].

    Clamping the logit keeps the mean in [clip, 1 - clip]. x is 0 or 1, so
    log p = -softplus(-l) where x = 1 and -softplus(l) where x = 0.
    """
    bound = math.log((1 - mean_clip) / mean_clip)
    return -F.softplus((1 - 2 * x) * logit.clamp(-bound, bound)).sum(-1)


def kl_normal(q: Normal, p: Normal, var_floor: float) -> Tensor:
    """KL(q || p) per unit in closed form, [..., Z], of the floored densities."""
    var_q, var_p = q.var + var_floor, p.var + var_floor
    return 0.5 * ((var_q + (q.mu - p.mu).square()) / var_p - 1 + (var_p / var_q).log())


def kl_standard_normal(q: Normal, var_floor: float) -> Tensor:
    """KL(q || N(0, I)) per unit in closed form, [..., Z]."""
    var_q = q.var + var_floor
    return 0.5 * (var_q + q.mu.square() - 1 - var_q.log())


def log_mean_exp(log_w: Tensor, dim: int) -> Tensor:
    """log (1/K) sum_k exp(log_w_k): the inside of eq. (6), with the 1/K it lacks in print."""
    return torch.logsumexp(log_w, dim) - math.log(log_w.shape[dim])


# Planar flows, Rezende & Mohamed 2015 (arXiv:1505.05770v6), section 4.1 and appendix A.1.


def invertible(u: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """u_hat: u moved along w so that w'u_hat = softplus(w'u) - 1 > -1; and s = softplus(w'u).

    Then a flow is invertible and its determinant positive. u, w: [..., Z]. Returns [..., Z], [...].
    """
    wu = (w * u).sum(-1, keepdim=True)
    s = F.softplus(wu)
    u_hat = u + (s - 1 - wu) * w / (w.square().sum(-1, keepdim=True) + VAR_TINY)
    return u_hat, s.squeeze(-1)


def planar(z: Tensor, u_hat: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) = z + u_hat h with h = tanh(w'z + b). z, u_hat, w: [..., Z]; b, h: [..., 1]."""
    h = ((w * z).sum(-1, keepdim=True) + b).tanh()
    return z + u_hat * h, h


def planar_log_det(h: Tensor, s: Tensor) -> Tensor:
    """log det df/dz = log(1 + u_hat' psi(z)) of each flow, psi = (1 - h^2) w; s: 1 + w'u_hat.

    Written without the 1, beside which a small s is lost in float32.
    """
    return (h.square() + (1 - h.square()) * s).log()
