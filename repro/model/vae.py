"""The VAE with L stochastic layers and bottom-up inference, eqs. (7)-(12); of one, with flows.

Shapes: K lanes (K_i of them have layer i), S samples, B images, X pixels, Z_i units.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from repro.model.distributions import Normal, invertible, planar, planar_log_det
from repro.model.hierarchy import Flowed, Pass, complete, prior
from repro.model.layers import Net, repeat_rows


def infer(net: Net, x: Tensor, eps: Sequence[Tensor]) -> Pass:
    """x [K, B, X] in {0, 1}, or real; eps: one [K_i, S, B, Z_i] a layer."""
    L, S, lanes = net.model.depth, eps[0].shape[1], net.lanes
    q: list[Normal] = []
    z: list[Tensor] = []
    flow = None
    for i in range(1, L + 1):
        y = x if i == 1 else z[-1][: lanes.at(i)]
        d = net.mlp(f"q{i}", y)
        q_i = net.normal(f"q{i}", d)  # (8), (9)
        if i == 1:
            q_i = Normal(repeat_rows(q_i.mu, S), repeat_rows(q_i.var, S))
        q.append(q_i)
        z_i = q_i.sample(eps[i - 1].flatten(1, 2))
        if net.model.flows:
            flow = flowed(net, d, z_i, S)
            z_i = flow.z
        z.append(z_i)
    p: list[Normal | None] = [prior(net, i, z[i]) for i in range(1, L)]  # z[i] is z_{i+1}
    return complete(net, x, S, z, q, [*p, None], flow)


def flowed(net: Net, d: Tensor, z_0: Tensor, S: int) -> Flowed:
    """z_0 [K, R, Z] after all F flows, one after the other; R = S * B rows.

    d [K, B, width]: the last hidden layer of q(z_1|x), which also tells each image's u, w and b of
    every flow (amortised).
    """
    K, Z, F = len(z_0), z_0.shape[-1], net.model.flows
    each = net.dense("q1.flow", d, norm=False).view(K, 1, -1, F, 2 * Z + 1)
    u, w, b = torch.split(each, [Z, Z, 1], -1)  # [K, 1, B, F, ...]: of an image, for all samples
    u_hat, s = invertible(u, w)
    z, found = z_0.view(K, S, -1, Z), []
    for parts in zip(u_hat.unbind(-2), w.unbind(-2), b.unbind(-2), strict=True):
        z, h = planar(z, *parts)
        found.append(h)
    log_det = planar_log_det(torch.cat(found, -1), s).sum(-1, keepdim=True)
    return Flowed(z_0, z.flatten(1, 2), log_det.flatten(1, 2))
