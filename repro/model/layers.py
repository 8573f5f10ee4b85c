"""Lane-aware building blocks. Every parameter has a leading lane axis.

Shapes: K lanes, R rows (images, or samples times images), Z units. Lanes are sorted by depth,
deepest first, so layer i acts on the first K_i of them.
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.model.batch_norm import LINEAR, activated, normalised
from repro.model.bfloat16 import CPU_MULTIPLIES
from repro.model.distributions import VAR_TINY, Normal
from repro.plan.layers import Dense
from repro.plan.run import Model

Params = dict[str, Tensor]
SMALL = 8192  # numbers of a lane's W: to round such a product would cost more than it saves


def is_rounded(name: str, W: Tensor) -> bool:
    """Whether a parameter is rounded to bfloat16 where that is asked for: the W of a product, or
    the V of a decoder, [K, in, out], unless small in one lane: how many share its stack decides
    nothing.
    """
    return name.endswith((".W", ".V")) and W[0].numel() > SMALL


def product(y: Tensor, W: Tensor, shift: Tensor | None = None) -> Tensor:
    """y [K, R, in] by W [K, in, out], in the type of W; plus shift [K, out], in the type of that.

    A W in bfloat16 asks for a product of rounded operands, whose sums are float32.
    """
    y = y.to(W.dtype)
    if shift is None:
        return _bmm(y, W)
    if W.dtype == shift.dtype:
        return torch.baddbmm(shift.unsqueeze(1), y, W)
    return _bmm(y, W).to(shift.dtype) + shift.unsqueeze(1)


def _bmm(y: Tensor, W: Tensor) -> Tensor:
    """torch.bmm; in bfloat16 where nothing multiplies in it, as a float32 product of the same.

    Torch's own way there is some fifty times slower. Only the order of sums differs.
    """
    if W.dtype != torch.bfloat16 or W.device.type != "cpu" or CPU_MULTIPLIES:
        return torch.bmm(y, W)
    return torch.bmm(y.float(), W.float()).to(W.dtype)


class Moments(NamedTuple):
    """Batch statistics of one dense layer: mean and population variance, [K, 1, Z]."""

    mean: Tensor
    var: Tensor


@dataclass(frozen=True)
class Lanes:
    """How many stochastic layers each lane has, and whether it normalises. Deepest first."""

    depths: tuple[int, ...]
    norm: tuple[bool, ...]

    def at(self, layer: int) -> int:
        """K_i: lanes that have stochastic layer i."""
        return sum(d >= layer for d in self.depths)


@dataclass
class Net:
    """The parameters of a stack and how to apply them; collects the batch statistics it sees."""

    model: Model
    lanes: Lanes
    params: Params
    seen: dict[str, Moments] = field(default_factory=dict)

    def dense(
        self, name: str, y: Tensor, norm: bool = True, slope: float | None = LINEAR
    ) -> Tensor:
        """[K, R, in] -> [K, R, out]: product, batch norm where the lane has it, shift, activation.

        slope: of a leaky ReLU; LINEAR: no activation; None: tanh.
        """
        W, beta = self.params[f"{name}.W"], self.params[f"{name}.beta"]
        on = self.lanes.norm[: W.shape[0]]
        if not (norm and any(on)):
            h = activated(product(y, W, beta), slope)
            return h if slope == LINEAR else h.to(W.dtype)
        h = product(y, W)
        with torch.no_grad():
            var, mean = torch.var_mean(h.to(beta.dtype), 1, correction=0, keepdim=True)
        self.seen[name] = Moments(mean, var)
        mask = None if all(on) else torch.tensor(on, device=h.device).view(-1, 1, 1)
        gamma, eps = self.params[f"{name}.gamma"], self.model.batch_norm_eps
        return normalised(h, mean, var, gamma, beta, mask, eps, slope)

    def mlp(self, name: str, y: Tensor) -> Tensor:
        """Two hidden layers, eq. (10): [K, R, in] -> [K, R, width]."""
        slope = None if self.model.nonlinearity == "tanh" else self.model.leaky_slope
        for hidden in ("a", "b"):
            y = self.dense(f"{name}.{hidden}", y, slope=slope)
        return y

    def normal(self, name: str, d: Tensor) -> Normal:
        """Gaussian heads, eqs. (11)-(12): mu linear, var softplus; fields [K, R, Z].

        IWAE: sigma = exp(linear).
        """
        mu, var = self.dense(f"{name}.head", d, self.model.head_batch_norm).chunk(2, -1)
        var = F.softplus(var) if self.model.variance == "softplus" else (2 * var).exp()
        return Normal(mu, var + VAR_TINY)


def initial_value(dense: Dense, normalised: bool, draw: Tensor) -> Params:
    """Initial parameters of one lane. `draw`: standard normal or uniform [-1, 1), [in, out].

    Weights have standard deviation gain * sqrt(2 / (in + out)), of one head where there are
    two. The variance head's bias is `var_bias` where no batch norm cancels it, others are 0.
    """
    std = dense.gain * math.sqrt(2 / (dense.fan_in + dense.fan_out // dense.heads))
    beta = draw.new_zeros(dense.fan_out)
    if dense.heads == 2 and not normalised:
        beta[dense.fan_out // 2 :] = dense.var_bias
    scale = std * math.sqrt(3) if dense.uniform else std
    value = {f"{dense.name}.W": draw * scale, f"{dense.name}.beta": beta}
    if dense.norm:
        value[f"{dense.name}.gamma"] = draw.new_ones(dense.fan_out)
    return value


def output_bias(mean: Tensor) -> Tensor:
    """Logit of the training pixels' mean [X], kept in [0.001, 0.999]: Burda et al. 2015."""
    return torch.logit(mean.clamp(0.001, 0.999))


def fold(net: Net, seen: dict[str, Moments]) -> Net:
    """The same network with the given statistics worked into weights and shifts.

    (yW - mean) scale + beta = y (W scale) + (beta - mean scale): evaluation then costs one
    matrix product a layer, and knows nothing of batch norm.
    """
    params = dict(net.params)
    for name, (mean, var) in seen.items():
        W, beta = params[f"{name}.W"], params[f"{name}.beta"].unsqueeze(1)
        on = torch.tensor(net.lanes.norm[: W.shape[0]], device=W.device).view(-1, 1, 1)
        gamma = params.pop(f"{name}.gamma").unsqueeze(1)
        scale = (gamma * torch.rsqrt(var + net.model.batch_norm_eps)).where(on, 1)
        params[f"{name}.W"] = W * scale
        params[f"{name}.beta"] = (beta - mean.where(on, 0) * scale).squeeze(1)
    return Net(net.model, Lanes(net.lanes.depths, (False,) * len(net.lanes.norm)), params)


def repeat_rows(h: Tensor, S: int) -> Tensor:
    """[K, B, Z] -> [K, S * B, Z], sample-major."""
    return h if S == 1 else h.repeat(1, S, 1)


def cat_lanes(first: Tensor, rest: Tensor) -> Tensor:
    """Lanes of two blocks as one, [K', ...] and [K - K', ...] -> [K, ...]."""
    return first if rest.shape[0] == 0 else torch.cat([first, rest])


def add_lanes(total: Tensor, part: Tensor) -> Tensor:
    """Add `part` [K', ...] to the first K' lanes of `total` [K, ...]."""
    k = part.shape[0]
    return total + part if k == total.shape[0] else torch.cat([total[:k] + part, total[k:]])
