"""Bounds on log p(x), in nats per example. Bounds go up; a loss is their negative.

Shapes: K lanes, S = M * I samples (M Monte Carlo, I importance), B images, Z_i units.
"""

from torch import Tensor

from repro.model.distributions import log_mean_exp
from repro.model.hierarchy import Pass, closed_form_kl
from repro.model.layers import Net, add_lanes
from repro.plan.run import Optim


def unit_kl(net: Net, out: Pass, kl: str) -> list[Tensor]:
    """KL term of every unit, one [K_i, S, B, Z_i] a layer.

    "mc": log q(z_i|.) - log p(z_i|.) at the drawn z, one sample of it. "closed": the integral.
    """
    if kl == "mc":
        return [log_q - log_p for log_q, log_p in zip(out.log_q, out.log_p, strict=True)]
    floor = net.model.var_floor
    return [
        closed_form_kl(q, p, floor).view_as(log_q)
        for q, p, log_q in zip(out.q, out.p, out.log_q, strict=True)
    ]


def total_kl(terms: list[Tensor]) -> Tensor:
    """Sum over units and layers: [K, S, B]."""
    total = terms[0].sum(-1)
    for term in terms[1:]:
        total = add_lanes(total, term.sum(-1))
    return total


def bound(net: Net, out: Pass, beta: Tensor, optim: Optim) -> Tensor:
    """The training objective of each lane, [K]: mean over images and MC samples.

    One importance sample gives L_T = E[log p(x|z)] - beta KL, eq. (20); more give eq. (6) with
    beta inside the weights, as the released code. beta: [K].
    """
    kl = total_kl(unit_kl(net, out, optim.kl))
    log_w = out.log_px - beta.view(-1, 1, 1) * kl
    K, _, B = log_w.shape
    per_mc = log_w.view(K, optim.mc_samples, optim.importance_samples, B)
    return log_mean_exp(per_mc, 2).mean((1, 2))
