"""Batch norm with the activation after it as one function, whose backward is in closed form.

Autograd keeps what every step of it made, and walks back through mean and variance one by one;
here the product's output is kept once. Shapes: K lanes, R rows, Z units.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LINEAR = 1.0  # the slope at which a leaky ReLU is the identity


class BatchNorm(torch.autograd.Function):
    """y = f(gamma (h - mean) / sqrt(var + eps) + beta) of a lane that normalises, else f(h + beta).

    h [K, R, Z]: a product, float32, or bfloat16 where products are; mean, var [K, 1, Z] of its
    rows, which the backward differentiates although they are given. gamma, beta [K, Z]. on: a mask
    [K, 1, 1], or None where every lane normalises. slope: f is a leaky ReLU of this slope, or tanh
    where it is None. Computes in the type of gamma. y is of h's type after an activation, and of
    gamma's after LINEAR: what a head gives is not rounded again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        mean: Tensor,
        var: Tensor,
        gamma: Tensor,
        beta: Tensor,
        on: Tensor | None,
        eps: float,
        slope: float | None,
    ) -> Tensor:
        ctx.save_for_backward(h, mean, var, gamma, beta, on)
        ctx.eps, ctx.slope = eps, slope
        centred, scale, _ = _standardised(h, mean, var, gamma, on, eps)
        y = activated(centred * scale + beta.unsqueeze(1), slope)
        return y if slope == LINEAR else y.to(h.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        h, mean, var, gamma, beta, on = ctx.saved_tensors
        centred, scale, rstd = _standardised(h, mean, var, gamma, on, ctx.eps)
        g = _through(dy.to(gamma.dtype), centred * scale + beta.unsqueeze(1), ctx.slope)
        dbeta = g.sum(1, keepdim=True)
        x_hat = centred * rstd
        dgamma = (g * x_hat).sum(1, keepdim=True)
        dh = scale * (g - (dbeta + x_hat * dgamma) / h.shape[1])
        if on is not None:
            dh, dgamma = dh.where(on, g), dgamma.where(on, 0)
        dh = dh.to(h.dtype)
        return dh, None, None, dgamma.squeeze(1), dbeta.squeeze(1), None, None, None


normalised: Callable[..., Tensor] = BatchNorm.apply


def _standardised(
    h: Tensor, mean: Tensor, var: Tensor, gamma: Tensor, on: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """h - mean, what it is multiplied by, and 1 / sqrt(var + eps)."""
    rstd = torch.rsqrt(var + eps)
    scale = gamma.unsqueeze(1) * rstd
    if on is not None:
        mean, scale = mean.where(on, 0), scale.where(on, 1)
    return h.to(gamma.dtype) - mean, scale, rstd


def activated(x: Tensor, slope: float | None) -> Tensor:
    """f(x): leaky ReLU, the identity, or tanh where slope is None."""
    if slope is None:
        return torch.tanh(x)
    return x if slope == LINEAR else F.leaky_relu(x, slope)


def _through(dy: Tensor, x: Tensor, slope: float | None) -> Tensor:
    """dy f'(x)."""
    if slope is None:
        return dy * (1 - torch.tanh(x).square())
    return dy if slope == LINEAR else dy.where(x > 0, slope * dy)
