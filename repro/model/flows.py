"""Planar normalising flows: a Gaussian q(z_1|x) made flexible by invertible steps.

Source: Rezende & Mohamed 2015 (arXiv:1505.05770v6), section 4.1 and appendix A.1.
Shapes: K lanes, S samples, B images, R = S * B rows, F flows, Z units of z_1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.model.distributions import VAR_TINY
from repro.model.hierarchy import Flowed
from repro.model.layers import Net, repeat_rows


def invertible(u: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """u_hat: u moved along w so that w'u_hat = softplus(w'u) - 1 > -1; and w'u_hat.

    Then a flow is invertible and its determinant positive. u, w: [..., Z]. Returns [..., Z], [...].
    """
    wu = (w * u).sum(-1, keepdim=True)
    along = F.softplus(wu) - 1
    u_hat = u + (along - wu) * w / (w.square().sum(-1, keepdim=True) + VAR_TINY)
    return u_hat, along.squeeze(-1)


def planar(z: Tensor, u_hat: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) = z + u_hat h with h = tanh(w'z + b). z, u_hat, w: [..., Z]; b, h: [..., 1]."""
    h = ((w * z).sum(-1, keepdim=True) + b).tanh()
    return z + u_hat * h, h


def log_det(h: Tensor, along: Tensor) -> Tensor:
    """log det df/dz = log(1 + u_hat' psi(z)) of each flow, psi = (1 - h^2) w; along: w'u_hat."""
    return ((1 - h.square()) * along).log1p()


def flowed(net: Net, d: Tensor, z_0: Tensor, S: int) -> Flowed:
    """z_0 [K, R, Z] after all flows, one after the other.

    d [K, B, width]: the last hidden layer of q(z_1|x), which also tells each image's u, w and b of
    every flow (amortised).
    """
    Z, parameters = z_0.shape[-1], net.dense("q1.flow", d, norm=False)
    each = repeat_rows(parameters, S).view(*z_0.shape[:-1], net.model.flows, 2 * Z + 1)
    u, w, b = torch.split(each, [Z, Z, 1], -1)  # [K, R, F, ...]
    u_hat, along = invertible(u, w)
    z, found = z_0, []
    for parts in zip(u_hat.unbind(-2), w.unbind(-2), b.unbind(-2), strict=True):
        z, h = planar(z, *parts)
        found.append(h)
    return Flowed(z_0, z, log_det(torch.cat(found, -1), along).sum(-1, keepdim=True))
