"""The Ladder network in plain numpy, for one lane, written from the published equations: an oracle.

Names are those of the parameters. Shapes: R rows, M_i units of layer i.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_softmax, softmax

from repro.config import Ladder
from repro.models.ladder_network import LadderNet

Array = np.ndarray


def batch_norm(h: Array) -> Array:
    return (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-10)


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
    def of(cls, net: LadderNet) -> Reference:
        return cls(net.model, {name: p[0].numpy() for name, p in net.params.items()})

    def encode(self, x: Array, eps: list[Array] | None) -> tuple[list[Array], list[Array], Array]:
        """z_0..z_L, the products of layers 1..L, and the logits, of rows normalised together."""
        std, L = self.model.noise, self.model.depth
        h = x if eps is None else x + std[0] * eps[0]
        z, products = [h], []
        for i in range(1, L + 1):
            products.append(h @ self.params[f"f{i}.W"])
            noise = 0 if eps is None else std[i] * eps[i]
            z.append(batch_norm(products[-1]) + noise)
            h = z[-1] + self.params[f"f{i}.beta"]
            h = np.maximum(h, 0) if i < L else self.params[f"f{L}.gamma"] * h
        return z, products, h

    def supervised(self, x: Array, y: Array, eps: list[Array]) -> float:
        """Cross-entropy of the corrupted path."""
        _, _, logits = self.encode(x, eps)
        return float(-log_softmax(logits, 1)[np.arange(len(y)), y].mean())

    def denoising(self, x: Array, eps: list[Array]) -> dict[int, float]:
        """C_i of every estimated layer, of rows normalised together."""
        z, products, _ = self.encode(x, None)
        noisy, _, logits = self.encode(x, eps)
        costs = {}
        z_hat = softmax(logits, 1) if self.model.top_input == "softmax" else logits
        for i in reversed(self.model.estimated):
            below = f"g{i}.V" in self.params
            u = batch_norm(z_hat @ self.params[f"g{i}.V"] if below else z_hat)
            z_hat = gauss(noisy[i] * self.model.lateral, u, self.params[f"g{i}.a"])
            compared = z_hat
            if i and self.model.estimate_norm:
                product = products[i - 1]
                compared = (z_hat - product.mean(0)) / np.sqrt(product.var(0) + 1e-10)
            costs[i] = float(((z[i] - compared) ** 2).mean())
        return costs
