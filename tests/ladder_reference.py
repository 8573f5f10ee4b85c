"""The Ladder network in plain numpy, for one lane, written from the published equations: an oracle.

Names are those of the parameters. Shapes: R rows, M_i units of layer i.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_softmax, softmax

from repro.model.ladder_network import LadderNet
from repro.plan.run import Ladder

Array = np.ndarray


def batch_norm(h: Array, like: Array | None = None) -> Array:
    """h by its own statistics, or by those of `like`."""
    like = h if like is None else like
    return (h - like.mean(0)) / np.sqrt(like.var(0) + 1e-10)


def gauss(z: Array, u: Array, a: Array) -> Array:
    mu = a[0] * expit(a[1] * u + a[2]) + a[3] * u + a[4]
    v = a[5] * expit(a[6] * u + a[7]) + a[8] * u + a[9]
    return (z - mu) * v + mu


@dataclass
class Reference:
    """One lane of a Ladder network with the combinator gauss."""

    model: Ladder
    params: dict[str, Array]

    @classmethod
    def of(cls, net: LadderNet, lane: int = 0) -> Reference:
        return cls(net.model, {name: p[lane].numpy() for name, p in net.params.items()})

    def affine(self, name: str, h: Array) -> Array:
        """A layer's scale and shift; `name` is a prefix of parameters."""
        beta, gamma = self.params[f"{name}.beta"], self.params.get(f"{name}.gamma", 1.0)
        if self.model.affine == "shift_first" and name.startswith("f"):
            return gamma * (h + beta)
        return gamma * h + beta

    def encode(self, x: Array, eps: list[Array] | None) -> tuple[list[Array], list[Array], Array]:
        """z_0..z_L, the products of layers 1..L, and the logits, of rows normalised together."""
        std, L = self.model.noise, self.model.depth
        h = x if eps is None else x + std[0] * eps[0]
        z, products = [h], []
        for i in range(1, L + 1):
            products.append(h @ self.params[f"f{i}.W"])
            noise = 0 if eps is None else std[i] * eps[i]
            z.append(batch_norm(products[-1]) + noise)
            h = self.affine(f"f{i}", z[-1])
            h = np.where(h > 0, h, self.model.leaky_slope * h) if i < L else h
        return z, products, h

    def costs(self, x: Array, y: Array, eps: list[Array]) -> tuple[float, dict[int, float]]:
        """Cross-entropy of a minibatch whose first rows have a class, and C_i of its halves."""
        told, rest = slice(len(y)), slice(len(y), None)
        denoising = Counter[int]()
        for half in (told, rest) if self.model.cost_rows == "both" else (rest,):
            denoising.update(self.denoising(*self.beside(half, x, eps)))
        x, eps, rows = self.beside(told, x, eps)
        log_p = log_softmax(self.encode(x, eps)[2][rows], 1)
        return float(-log_p[np.arange(len(y)), y].mean()), dict(denoising)

    def beside(self, half: slice, x: Array, eps: list[Array]) -> tuple[Array, list[Array], slice]:
        """Pixels and noise of the rows that a half is normalised with, and where it is in them."""
        if self.model.joined:
            return x, eps, half
        return x[half], [e[half] for e in eps], slice(None)

    def denoising(self, x: Array, eps: list[Array], rows: slice) -> dict[int, float]:
        """C_i of every estimated layer and some rows, of rows normalised together."""
        z, products, _ = self.encode(x, None)
        noisy, noisy_products, logits = self.encode(x, eps)
        if self.model.estimate_scale == "noisy":
            products = noisy_products
        costs = {}
        logits = logits[rows]
        down = softmax(logits, 1) if self.model.top_input == "softmax" else logits
        for i in reversed(self.model.estimated):
            u = batch_norm(down @ self.params[f"g{i}.V"] if f"g{i}.V" in self.params else down)
            u = self.affine(f"g{i}", u) if self.model.vertical_affine else u
            z_hat = gauss(noisy[i][rows] * self.model.lateral, u, self.params[f"g{i}.a"])
            scaled = i and self.model.estimate_norm
            compared = batch_norm(z_hat, products[i - 1]) if scaled else z_hat
            down = compared if self.model.passed_down == "normalised" else z_hat
            costs[i] = float(((z[i][rows] - compared) ** 2).mean())
        return costs
