"""The ladder VAE: deterministic upward pass, stochastic downward pass, eqs. (13)-(19).

Shapes: K lanes (K_i of them have layer i), S samples, B images, X pixels, Z_i units.
"""

from collections.abc import Sequence

from torch import Tensor

from repro.model.distributions import Normal, precision_weighted
from repro.model.hierarchy import Pass, complete, prior
from repro.model.layers import Net, cat_lanes, repeat_rows


def infer(net: Net, x: Tensor, eps: Sequence[Tensor]) -> Pass:
    """x [K, B, X] in {0, 1}, or real; eps: one [K_i, S, B, Z_i] a layer."""
    L, S, shared = net.model.depth, eps[0].shape[1], net.model.shared
    hat = [Normal(repeat_rows(h.mu, S), repeat_rows(h.var, S)) for h in _upward(net, x)]
    q: list[Normal] = [*hat]
    p: list[Normal | None] = [None] * L
    z: list[Tensor] = [x] * L
    for i in range(L, 0, -1):
        if i < L:
            above = prior(net, i, z[i]) if shared else net.normal(f"r{i}", net.mlp(f"r{i}", z[i]))
            q[i - 1] = _merge(hat[i - 1], above)
            p[i - 1] = above if shared else prior(net, i, z[i])
        z[i - 1] = q[i - 1].sample(eps[i - 1].flatten(1, 2))
    return complete(net, x, S, z, q, p)


def _upward(net: Net, x: Tensor) -> list[Normal]:
    """(mu_hat, var_hat)_i for i = 1..L, eqs. (13)-(15); fields [K_i, B, Z_i]."""
    hat: list[Normal] = []
    d = x  # d_0
    for i in range(1, net.model.depth + 1):
        d = net.mlp(f"d{i}", d[: net.lanes.at(i)])  # (13)
        hat.append(net.normal(f"d{i}", d))  # (14), (15)
        d = d if net.model.upward == "d" else hat[-1].mu
    return hat


def _merge(hat: Normal, above: Normal) -> Normal:
    """q(z_i | .), eq. (19), for lanes that have z_{i+1}; at a lane's top q is its `hat`."""
    k, K = above.mu.shape[0], hat.mu.shape[0]
    merged, top = precision_weighted(hat.lanes(0, k), above), hat.lanes(k, K)
    return Normal(cat_lanes(merged.mu, top.mu), cat_lanes(merged.var, top.var))
