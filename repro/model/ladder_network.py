"""The Ladder network of Rasmus et al. 2015 (arXiv:1507.02672v2), as their released code runs it.

Shapes: K lanes, R rows (labelled ones first), G groups of rows that are normalised apart, M_i units
of layer i = 0..L, layer 0 being the pixels. Costs are means over rows and units; cross-entropy in
nats per example. Noise is passed in, and statistics go in and come out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.model.combinators import Combinator, combinator
from repro.model.layers import Moments, Params, product
from repro.plan.layers import Dense, ladder
from repro.plan.run import Ladder


class LadderNet(NamedTuple):
    """The parameters of a stack of equal Ladder networks."""

    model: Ladder
    params: Params


class Parameter(NamedTuple):
    """One parameter of a lane; it begins at start + std * draw, both spread over `shape`."""

    name: str
    shape: tuple[int, int] | tuple[int]
    start: Tensor
    std: Tensor
    uniform: bool = False  # the draw: uniform of unit variance, else standard normal


class Path(NamedTuple):
    """One pass of the encoder. `z[i]`: normalised, noisy or not, before beta and gamma.

    seen[i - 1]: statistics of layer i's product, [K, G, M_i]. h: of the last layer passed, which
    are the logits at the top.
    """

    z: list[Tensor]  # each [K, R, M_i]
    seen: list[Moments]
    h: Tensor

    def rows(self, rows: slice) -> Path:
        """The same for some of the rows; `seen` stays that of all."""
        return Path([z[:, rows] for z in self.z], self.seen, self.h[:, rows])


class Cost(NamedTuple):
    """Both costs of each lane, [K]; denoising costs by layer and before their lambda."""

    supervised: Tensor
    denoising: dict[int, Tensor]

    def total(self, model: Ladder) -> Tensor:
        """C = C_sup + sum_i lambda_i C_i, [K]."""
        return sum(
            (model.cost_weights[i] * c for i, c in self.denoising.items()), start=self.supervised
        )


def parameters(model: Ladder) -> Iterator[Parameter]:
    """Encoder f1..fL from the data upward, then the decoder's g_i, in the order of sizes.

    A ReLU layer needs no gamma; no product has a bias, which batch norm would cancel.
    """
    m, L, dense = model.sizes, model.depth, {d.name: d for d in ladder(model)}
    drawn = float(model.gamma_init == "uniform")
    gammas: dict[str, Sequence[int]] = {"top": (L,), "all": range(1, L + 1), "none": ()}
    for i in range(1, L + 1):
        yield _weight(model, dense[f"f{i}"], "W")
        yield Parameter(f"f{i}.beta", (m[i],), torch.tensor(model.beta_init), torch.zeros(()))
        if i in gammas[model.gammas]:
            std = torch.tensor(drawn)
            yield Parameter(f"f{i}.gamma", (m[i],), torch.tensor(1 - drawn), std, True)
    for i in model.estimated:
        if i < L:
            yield _weight(model, dense[f"g{i}"], "V")
        if model.vertical_affine:
            yield Parameter(f"g{i}.beta", (m[i],), torch.zeros(()), torch.zeros(()))
            yield Parameter(f"g{i}.gamma", (m[i],), torch.ones(()), torch.zeros(()))
        g = combinator(model.combinator, model.combinator_hidden)
        units = 1 if model.combinator_shared else m[i]
        yield Parameter(f"g{i}.a", (g.size, units), *_beginning(model, g))


def _weight(model: Ladder, dense: Dense, letter: str) -> Parameter:
    fan_in, fan_out = dense.fan_in, dense.fan_out
    glorot = model.weight_init == "glorot"
    std = torch.tensor(1 / math.sqrt((fan_in + fan_out) / 2 if glorot else fan_in))
    uniform = model.weight_init != "normal"
    return Parameter(f"{dense.name}.{letter}", (fan_in, fan_out), torch.zeros(()), std, uniform)


def _beginning(model: Ladder, g: Combinator) -> tuple[Tensor, Tensor]:
    """Start and standard deviation of a combinator's parameters, [P, 1] each."""
    start, std = torch.zeros(g.size, 1), torch.zeros(g.size, 1)
    if model.combinator_init == "random":
        std[:] = model.combinator_std
        std[list(g.biases)] = 0
    else:
        ones = {"ones": g.ones, "swapped": g.swapped, "lateral": g.lateral}
        start[list(ones[model.combinator_init])] = 1
    return start, std


def initial_value(parameter: Parameter, draw: Tensor) -> Tensor:
    """One lane's beginning. draw: standard normal, or uniform in [-1, 1), of the shape."""
    scale = parameter.std * (math.sqrt(3) if parameter.uniform else 1)
    return parameter.start + scale * draw


def normalise(h: Tensor, groups: tuple[int, ...], eps: float) -> tuple[Tensor, Moments]:
    """Batch norm without gamma and beta, each group of rows by itself; population variance.

    h: [K, R, M], groups: rows of each, R in all. Moments: [K, G, M].
    """
    if len(set(groups)) > 1:
        parts = [normalise(p, (p.shape[1],), eps) for p in torch.split(h, list(groups), 1)]
        mean, var = (torch.cat(s, 1) for s in zip(*(seen for _, seen in parts), strict=True))
        return torch.cat([z for z, _ in parts], 1), Moments(mean, var)
    grouped = h.reshape(h.shape[0], len(groups), groups[0], -1)
    var, mean = torch.var_mean(grouped, 2, correction=0, keepdim=True)
    z = (grouped - mean) * torch.rsqrt(var + eps)
    return z.flatten(1, 2), Moments(mean.squeeze(2), var.squeeze(2))


def encode(
    net: LadderNet,
    x: Tensor,
    groups: tuple[int, ...],
    eps: Sequence[Tensor] | None = None,
    top: int | None = None,
) -> Path:
    """The encoder up to layer `top` (default L): corrupted with standard normal eps, else clean.

    x: [K, R, M_0] in [0, 1]; eps: one [K, R, M_i] for each layer 0..L. Noise comes after the
    normalisation and before beta and gamma, at the input and at the top as well.
    """
    model, std = net.model, net.model.noise
    h = x if eps is None else x + std[0] * eps[0]
    z, seen = [h], []
    for i in range(1, (model.depth if top is None else top) + 1):
        z_i, moments = normalise(_product(h, net.params[f"f{i}.W"]), groups, model.batch_norm_eps)
        z_i = z_i if eps is None else z_i + std[i] * eps[i]
        z.append(z_i)
        seen.append(moments)
        h = activate(net, i, z_i)
    return Path(z, seen, h)


def _product(h: Tensor, W: Tensor) -> Tensor:
    """h W in the type of h: what follows is noise, sums and statistics."""
    return product(h, W).to(h.dtype)


def activate(net: LadderNet, i: int, z: Tensor) -> Tensor:
    """h_i = relu(z + beta); at the top the logits gamma (z + beta): added first, then scaled.

    Ports differ in which layers have a gamma (`gammas`), the order (`affine`), and the slope.
    """
    model, beta = net.model, net.params[f"f{i}.beta"].unsqueeze(1)
    gamma = net.params.get(f"f{i}.gamma")
    if gamma is None:
        h = z + beta
    elif model.affine == "shift_first":
        h = gamma.unsqueeze(1) * (z + beta)
    else:
        h = gamma.unsqueeze(1) * z + beta
    if i == model.depth:
        return h
    return F.leaky_relu(h, model.leaky_slope) if model.leaky_slope else F.relu(h)


def decode(net: LadderNet, z: Sequence[Tensor], logits: Tensor, scale: Path) -> dict[int, Tensor]:
    """Estimates z_hat_i [K, R, M_i] of the clean z_i, from one half's rows of the corrupted path.

    What goes down is the raw z_hat, or as `passed_down` says z_hat by the statistics of `scale`; u
    is always normalised by its own rows' statistics.
    """
    model, params, rows = net.model, net.params, (logits.shape[1],)
    g, z_hat = combinator(model.combinator, model.combinator_hidden), {}
    above = torch.softmax(logits, -1) if model.top_input == "softmax" else logits
    for i in reversed(model.estimated):
        v = above if i == model.depth else _product(above, params[f"g{i}.V"])
        u, _ = normalise(v, rows, model.batch_norm_eps)
        if model.vertical_affine:
            u = params[f"g{i}.gamma"].unsqueeze(1) * u + params[f"g{i}.beta"].unsqueeze(1)
        lateral = z[i] if model.lateral else torch.zeros_like(u)
        z_hat[i] = above = g.combine(lateral, u, params[f"g{i}.a"])
        if model.passed_down == "normalised":
            above = on_scale_of(model, scale, i, above)
    return z_hat


def denoising(net: LadderNet, clean: Path, noisy: Path, layers: Sequence[int]) -> list[Tensor]:
    """C_i [K] of each of `layers`: mean square of z_i minus its estimate on z_i's own scale.

    clean, noisy: both paths of one half's rows. No gradient is stopped: it flows through the clean
    z_i and their statistics as well.
    """
    scale = clean if net.model.estimate_scale == "clean" else noisy
    z_hat = decode(net, noisy.z, noisy.h, scale)
    return [
        (clean.z[i] - on_scale_of(net.model, scale, i, z_hat[i])).square().mean((1, 2))
        for i in layers
    ]


def on_scale_of(model: Ladder, path: Path, i: int, z_hat: Tensor) -> Tensor:
    """z_hat_i as it is compared with z_i: centred by the path's product's mean, over its deviation.

    The product is the one before normalisation: statistics of a normalised z, as the Lasagne port
    took them, would change nothing. The deviation is a square root; the first version of the
    released code divided by the variance. At layer 0 nothing was normalised, and nothing is.
    """
    if i == 0 or not model.estimate_norm:
        return z_hat
    mean, var = path.seen[i - 1]
    scale = torch.rsqrt((var + model.batch_norm_eps).where(var > model.dead_var, 1))
    return (z_hat - mean) * scale


def cost(
    net: LadderNet, x: Tensor, y: Tensor, eps: Sequence[Tensor], layers: Sequence[int] | None = None
) -> Cost:
    """Both costs of a minibatch; denoising ones of `layers`, by default those with lambda > 0.

    x: [K, R, M_0] in [0, 1], the labelled rows first; y: [K, B] their classes; eps: one [K, R, M_i]
    a layer. The halves are normalised apart, unless `joined`. Cross-entropy is of the corrupted
    path; denoising is of the unlabelled rows, or of both halves, each at full weight (`cost_rows`).
    """
    model, B, R = net.model, y.shape[1], x.shape[1]
    layers = model.costly if layers is None else layers
    noisy = encode(net, x, (B, R - B) if R > B and not model.joined else (R,), eps)
    log_h = F.log_softmax(noisy.h[:, :B], -1)
    supervised = -log_h.gather(-1, y.unsqueeze(-1)).mean((1, 2))
    if not layers:
        return Cost(supervised, {})
    halves = (slice(0, B), slice(B, R))[0 if model.cost_rows == "both" else 1 :]
    costs = [
        denoising(net, _clean(net, x, rows, layers), noisy.rows(rows), layers) for rows in halves
    ]
    total = (torch.stack(parts).sum(0) for parts in zip(*costs, strict=True))
    return Cost(supervised, dict(zip(layers, total, strict=True)))


def _clean(net: LadderNet, x: Tensor, rows: slice, layers: Sequence[int]) -> Path:
    """The clean path of one half's rows, as far up as a cost or the decoder reads it."""
    top = net.model.depth if net.model.passed_down == "normalised" else max(layers)
    if net.model.joined:
        return encode(net, x, (x.shape[1],), top=top).rows(rows)
    half = x[:, rows]
    return encode(net, half, (half.shape[1],), top=top)


def statistics(net: LadderNet, chunks: Iterable[Tensor], B: int) -> list[Moments]:
    """What predictions are normalised by: clean statistics of labelled minibatches, averaged.

    chunks: minibatches of B rows one after the other, [K, n B, M_0] each. Every minibatch is
    normalised by its own statistics; its variance counts as B / (B - 1) of them unless `test_var`
    is biased. Fields [K, 1, M_i] for i = 1..L.
    """
    seen = [encode(net, x, (B,) * (x.shape[1] // B)).seen for x in chunks]
    scale = B / (B - 1) if net.model.test_var == "unbiased" else 1.0
    return [
        Moments(
            torch.cat([s.mean for s in layer], 1).mean(1, keepdim=True),
            torch.cat([s.var for s in layer], 1).mean(1, keepdim=True) * scale,
        )
        for layer in zip(*seen, strict=True)
    ]


def predict(net: LadderNet, x: Tensor, seen: Sequence[Moments]) -> Tensor:
    """Logits of the clean path with given statistics: x [K, R, M_0] -> [K, R, M_L]."""
    h = x
    for i, (mean, var) in enumerate(seen, start=1):
        scale = torch.rsqrt(var + net.model.batch_norm_eps)
        h = activate(net, i, (_product(h, net.params[f"f{i}.W"]) - mean) * scale)
    return h
