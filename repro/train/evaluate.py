"""L_1, L_K, KL per unit, latents and samples of trained lanes.

Shapes: K lanes, S samples, B images of a chunk, N images, X pixels, Z units. Nats per example.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.model.families import MODELS
from repro.model.hierarchy import Pass, generate
from repro.model.layers import Moments, Net
from repro.model.objectives import total_kl, unit_kl
from repro.train.importance import Weights, weigh

ROWS = 4096  # rows of one chunk: activations stay near the processor's cache
FEWEST_ROWS = 64

T = TypeVar("T")
Floats = NDArray[np.float32]
Noise = Callable[[str, int, tuple[int, ...]], Tensor]
"""(purpose, chunk number, shape) -> standard normal draws; makes every draw repeatable."""


def numpy_of(values: Tensor) -> Floats:
    array: Floats = values.float().cpu().numpy()
    return array


@dataclass
class Room:
    """Rows of one chunk of a scoring pass: they bound its memory, and they name its draws."""

    rows: int = ROWS
    notice: Callable[[str], object] = lambda line: None

    def fitting(self, measure: Callable[[int], T]) -> T:
        """measure(rows), from the start with half of them whenever the device's memory is out."""
        while True:
            try:
                return measure(self.rows)
            except torch.cuda.OutOfMemoryError:
                if self.rows < 2 * FEWEST_ROWS:
                    raise
            self.rows //= 2
            self.notice(f"scoring: out of device memory; in chunks of {self.rows} rows now")


class Bounds(NamedTuple):
    """L_1 at beta = 1 for each image, [K, N], and KL per unit, [K_i, Z_i] a layer, mean over N."""

    L1: Tensor
    kl: list[Tensor]


def statistics_pass(net: Net, x: Tensor, noise: Noise) -> tuple[dict[str, Moments], Bounds]:
    """Batch-norm statistics of the whole training set as one batch, and its bounds.

    x: [K, N, X] in {0, 1}, or real. Each layer is normalised by its own full-data statistics;
    latents are drawn once. A lane without batch norm sees no statistics.
    """
    seen = Net(net.model, net.lanes, net.params)
    out = MODELS[net.model.family](seen, x, _eps(net, noise, "train", 0, 1, x.shape[1]))
    return seen.seen, _bounds(seen, out)


def minibatch_statistics(net: Net, x: Tensor, noise: Noise, batch: int) -> dict[str, Moments]:
    """Batch-norm statistics averaged over full minibatches of the training set.

    What running averages of a trained network come to. The mean of the variances within
    minibatches lacks what lies between their means. x: [K, N, X] in {0, 1}, or real.
    """
    full = max(1, x.shape[1] // batch)
    total: dict[str, Moments] = {}
    for i, part in enumerate(torch.split(x[:, : full * batch], batch, 1)):
        seen = Net(net.model, net.lanes, net.params)
        MODELS[net.model.family](seen, part, _eps(net, noise, "statistics", i, 1, part.shape[1]))
        for name, (mean, var) in seen.seen.items():
            before = total.get(name, Moments(torch.zeros_like(mean), torch.zeros_like(var)))
            total[name] = Moments(before.mean + mean / full, before.var + var / full)
    return total


def bounds(net: Net, x: Tensor, noise: Noise, purpose: str, rows: int = ROWS) -> Bounds:
    """L_1 of each image and mean KL per unit. net: folded. x: [K, N, X] in {0, 1}, or real."""
    parts = [_bounds(net, out) for out in _passes(net, x, noise, purpose, rows)]
    kl = [torch.stack(layer, -1) for layer in zip(*(p.kl for p in parts), strict=True)]
    share = kl[0].new_tensor([p.L1.shape[1] for p in parts]) / x.shape[1]
    return Bounds(torch.cat([p.L1 for p in parts], 1), [layer @ share for layer in kl])


def _bounds(net: Net, out: Pass) -> Bounds:
    terms = unit_kl(net, out, "mc")
    L1 = (out.log_px - total_kl(terms)).squeeze(1)
    return Bounds(L1, [t.mean((1, 2)) for t in terms])


def importance_bound(net: Net, x: Tensor, noise: Noise, samples: int, rows: int = ROWS) -> Weights:
    """L_K of each image, eq. (6) at beta = 1, with what its weights say of it. net: folded.

    x: [K, N, X] in {0, 1}, or real. Many images and many samples make one chunk of about `rows`
    rows; of an image no more is kept than its `samples` log weights.
    """
    S = min(samples, max(1, rows // 64))
    done, chunks = [], itertools.count()
    for part in torch.split(x, max(1, rows // S), 1):
        log_w = []
        for left in range(samples, 0, -S):
            eps = _eps(net, noise, "importance", next(chunks), min(S, left), part.shape[1])
            out = MODELS[net.model.family](net, part, eps)
            log_w.append(out.log_px - total_kl(unit_kl(net, out, "mc")))
        done.append(weigh(torch.cat(log_w, 1)))
    return Weights(*(torch.cat(parts, -1) for parts in zip(*done, strict=True)))


def latents(net: Net, x: Tensor, noise: Noise) -> list[Tensor]:
    """One draw z_i ~ q per image and layer, [K, N, Z_i] each. net: folded."""
    draws = (out.z for out in _passes(net, x, noise, "latents"))
    return [torch.cat(layer, 1) for layer in zip(*draws, strict=True)]


def reconstruct(net: Net, x: Tensor, noise: Noise) -> Tensor:
    """Mean of p(x | z_1) for z ~ q(z | x), [K, N, X]. net: folded."""
    return torch.cat([out.px.mean for out in _passes(net, x, noise, "reconstruct")], 1)


def sample(net: Net, noise: Noise, n: int) -> Tensor:
    """Mean of p(x | z_1) for n draws from the prior down, [1, n, X]. net: folded, one lane."""
    Z = list(net.model.latents)
    parts = torch.split(noise("prior", 0, (1, n, sum(Z))), ROWS, 1)
    return torch.cat([generate(net, torch.split(eps, Z, -1)) for eps in parts], 1)


def _passes(net: Net, x: Tensor, noise: Noise, purpose: str, rows: int = ROWS) -> Iterator[Pass]:
    """One pass of a single draw over all images, chunk by chunk."""
    for i, part in enumerate(torch.split(x, rows, 1)):
        eps = _eps(net, noise, purpose, i, 1, part.shape[1])
        yield MODELS[net.model.family](net, part, eps)


def _eps(net: Net, noise: Noise, purpose: str, i: int, S: int, B: int) -> list[Tensor]:
    """One [K_i, S, B, Z_i] a layer."""
    Z = net.model.latents
    eps = noise(purpose, i, (len(net.lanes.depths), S, B, sum(Z)))
    return [e[: net.lanes.at(i)] for i, e in enumerate(torch.split(eps, list(Z), -1), start=1)]
