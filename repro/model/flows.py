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


def planar(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) = z + u_hat tanh(w'z + b), and log det df/dz = log(1 + u_hat' psi(z)).

    z, u, w: [..., Z]; b: [..., 1]. Returns [..., Z] and [..., 1]. u_hat is u moved along w so that
    w' u_hat = softplus(w'u) - 1 > -1: then f is invertible and its determinant positive.
    """
    wu = (w * u).sum(-1, keepdim=True)
    along = F.softplus(wu) - 1  # w' u_hat
    u_hat = u + (along - wu) * w / (w.square().sum(-1, keepdim=True) + VAR_TINY)
    h = ((w * z).sum(-1, keepdim=True) + b).tanh()
    return z + u_hat * h, ((1 - h.square()) * along).log1p()


def flowed(net: Net, d: Tensor, z_0: Tensor, S: int) -> Flowed:
    """z_0 [K, R, Z] after all flows, one after the other.

    d [K, B, width]: the last hidden layer of q(z_1|x), which also tells each image's u, w and b of
    every flow (amortised).
    """
    Z = z_0.shape[-1]
    z, log_det = z_0, z_0.new_zeros(())
    for parameters in torch.split(net.dense("q1.flow", d, norm=False), 2 * Z + 1, -1):
        u, w, b = torch.split(repeat_rows(parameters, S), [Z, Z, 1], -1)
        z, step = planar(z, u, w, b)
        log_det = log_det + step
    return Flowed(z_0, z, log_det)
