"""What the importance weights of one image say: L_K, how far off it may be, how far to trust it.

Shapes: K lanes, S samples, B images; log_w [K, S, B]. Bounds in nats per example. An image none of
whose weights is above zero has an infinite bound, and nan for what is then not known.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

TRUSTED = 0.7  # Pareto shape above which the spread of few weights says little of their mean
FEWEST = 25  # samples: with fewer the tail has too few weights for a shape
PRIOR_SHAPE, PRIOR_WEIGHT = 0.5, 10  # a weak prior on the shape, worth ten weights of the tail


class Weights(NamedTuple):
    """Of each image; [K, B], the curve [K, len(counts), B]."""

    L1: Tensor  # mean of log w: the same bound as one sample gives, from all of them
    LK: Tensor  # log of the mean of w, eq. (6)
    var: Tensor  # of LK over its draws, by the jackknife
    corrected: Tensor  # LK less its bias as the jackknife has it: an estimate, no bound
    effective: Tensor  # samples: (sum w)^2 / sum w^2
    largest: Tensor  # share of the largest weight
    shape: Tensor  # of the Pareto distribution of the largest weights, k-hat
    curve: Tensor  # L_k for k = `counts`, each the mean over groups of k samples

    def error(self) -> float:
        """Monte-Carlo error of the mean of LK over images, of lane 0; nan for a single sample."""
        return float(self.var[0].sum().sqrt()) / self.LK.shape[1]

    def delta_error(self, S: int) -> float:
        """As `error`, by the delta method: too small where few samples carry most of the weight."""
        var = (S / self.effective[0] - 1).clamp(min=0) / max(S - 1, 1)
        return float(var.sum().sqrt()) / self.LK.shape[1]


def weigh(log_w: Tensor) -> Weights:
    """All of it from one set of weights, log_w [K, S, B]."""
    log_w = log_w.double()
    S = log_w.shape[1]
    total = log_w.logsumexp(1)
    share = (log_w - total.unsqueeze(1)).exp()
    without = _left_out(log_w, total, share)
    LK, mean = total - math.log(S), without.mean(1)
    return Weights(
        log_w.mean(1),
        LK,
        (S - 1) / S * (without - mean.unsqueeze(1)).square().sum(1),
        S * LK - (S - 1) * mean,
        1 / share.square().sum(1),
        share.amax(1),
        pareto_shape(log_w),
        torch.stack([_grouped(log_w, k) for k in counts(S)], 1),
    )


def counts(S: int) -> list[int]:
    """Where the curve of L_k is measured: 1, 2, 5, 10, 20, 50, ... and S."""
    steps = (m * 10**e for e in range(len(str(S))) for m in (1, 2, 5))
    return [*(k for k in steps if k < S), S]


def _left_out(log_w: Tensor, total: Tensor, share: Tensor) -> Tensor:
    """L_(S-1) without each sample in turn, [K, S, B]; nan for a single sample.

    Of the largest weight the others are summed anew: it may be all there is, up to rounding.
    """
    S = log_w.shape[1]
    if S == 1:
        return torch.full_like(log_w, torch.nan)
    at = log_w.argmax(1, keepdim=True)
    others = log_w.scatter(1, at, -torch.inf).logsumexp(1, keepdim=True)
    rest = total.unsqueeze(1) + torch.log1p(-share.scatter(1, at, 0))
    return rest.scatter(1, at, others) - math.log(S - 1)


def _grouped(log_w: Tensor, k: int) -> Tensor:
    """L_k of each image, [K, B]: the mean over disjoint groups of k samples."""
    K, S, B = log_w.shape
    groups = log_w[:, : S // k * k].view(K, S // k, k, B)
    return (groups.logsumexp(2) - math.log(k)).mean(1)


def pareto_shape(log_w: Tensor) -> Tensor:
    """Shape of the generalised Pareto distribution of the largest weights, k-hat, [K, B].

    Fitted to the min(S/5, 3 sqrt(S)) largest, less the one below them (Zhang and Stephens 2009,
    with the prior of Vehtari et al. 2024). nan where there are too few, or nothing to fit.
    """
    S = log_w.shape[1]
    if S < FEWEST:
        return torch.full_like(log_w[:, 0], torch.nan)
    n = min(S // 5, math.ceil(3 * math.sqrt(S)))
    top = log_w.topk(n + 1, 1).values.flip(1)  # ascending
    top = (top - top[:, -1:]).exp()
    return _fitted_shape(top[:, 1:] - top[:, :1])


def _fitted_shape(x: Tensor) -> Tensor:
    """Of exceedances in ascending order, [K, n, B]: the posterior mean of Zhang and Stephens."""
    n = x.shape[1]
    grid = 30 + int(math.sqrt(n))
    j = torch.arange(1, grid + 1, dtype=x.dtype, device=x.device).view(1, -1, 1)
    quartile = x[:, int(n / 4 + 0.5) - 1].unsqueeze(1)
    theta = 1 / x[:, -1:] + (1 - (grid / (j - 0.5)).sqrt()) / (3 * quartile)  # [K, grid, B]
    shape = torch.log1p(-theta.unsqueeze(2) * x.unsqueeze(1)).mean(2)
    likelihood = n * ((-theta / shape).log() - shape - 1)
    best = (likelihood.softmax(1) * theta).sum(1, keepdim=True)
    found = torch.log1p(-best * x).mean(1)
    return (n * found + PRIOR_WEIGHT * PRIOR_SHAPE) / (n + PRIOR_WEIGHT)
