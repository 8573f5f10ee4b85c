"""The models in plain numpy, for one lane, written from the equations: oracles.

Names are those of the parameters. Shapes: R rows (sample-major), Z units, X pixels; M_i units of
layer i of a Ladder network.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, log_softmax, softmax
from scipy.stats import bernoulli, norm

from repro.model.ladder_network import LadderNet
from repro.model.layers import Params
from repro.plan.run import Ladder, Model

Array = np.ndarray
Gauss = tuple[Array, Array]  # mean, variance


@dataclass
class Reference:
    """One lane; `moments` collects mean and population variance of each normalised layer."""

    model: Model
    params: dict[str, Array]
    moments: dict[str, Gauss] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Model, params: Params) -> Reference:
        return cls(model, {name: p[0].numpy() for name, p in params.items()})

    def dense(self, name: str, y: Array, norm: bool) -> Array:
        h = y @ self.params[f"{name}.W"]
        if norm:
            mean, var = h.mean(0), h.var(0)
            self.moments[name] = mean, var
            h = self.params[f"{name}.gamma"] * (h - mean) / np.sqrt(var + 1e-10)
        return h + self.params[f"{name}.beta"]

    def mlp(self, name: str, y: Array) -> Array:
        for hidden in "ab":
            h = self.dense(f"{name}.{hidden}", y, self.model.batch_norm)
            tanh = self.model.nonlinearity == "tanh"
            y = np.tanh(h) if tanh else np.maximum(h, self.model.leaky_slope * h)
        return y

    def heads(self, name: str, d: Array) -> Gauss:
        m = self.model
        h = self.dense(f"{name}.head", d, m.batch_norm and m.head_batch_norm)
        mu, spread = np.split(h, 2, 1)
        return mu, np.exp(2 * spread) if m.variance == "exp" else np.log1p(np.exp(spread))

    def normal(self, name: str, y: Array) -> Gauss:
        return self.heads(name, self.mlp(name, y))

    def mean(self, z_1: Array) -> Array:
        """Of p(x | z_1), [R, X]."""
        out = self.dense("x.out", self.mlp("x", z_1), norm=False)
        return expit(out) if self.model.observation == "bernoulli" else np.split(out, 2, 1)[0]

    def log_px(self, x: Array, z_1: Array) -> Array:
        """log p(x | z_1), [R]."""
        mean = self.mean(z_1)
        if self.model.observation == "bernoulli":
            return bernoulli.logpmf(x, np.clip(mean, 1e-5, 1 - 1e-5)).sum(1)
        out = self.dense("x.out", self.mlp("x", z_1), norm=False)
        var = np.log1p(np.exp(out[:, mean.shape[1] :])) + self.model.var_floor
        return norm.logpdf(x, mean, np.sqrt(var)).sum(1)

    def vae(self, x: Array, eps: list[Array]) -> tuple[list[Gauss], list[Gauss], list[Array]]:
        """q, p and z of each layer; eps [S, B, Z_i]."""
        S, q, z = len(eps[0]), [], []
        y = x
        for i, e in enumerate(eps, start=1):
            mu, var = self.normal(f"q{i}", y)
            if i == 1:
                mu, var = np.tile(mu, (S, 1)), np.tile(var, (S, 1))
            q.append((mu, var))
            y = _draw(q[-1], e)
            z.append(y)
        p = [self.normal(f"p{i}", z[i]) for i in range(1, len(z))]
        return q, [*p, _standard(z[-1])], z

    def lvae(self, x: Array, eps: list[Array]) -> tuple[list[Gauss], list[Gauss], list[Array]]:
        """As `vae`."""
        S, L, hat, d = len(eps[0]), len(eps), [], x
        for i in range(1, L + 1):
            d = self.mlp(f"d{i}", d)
            mu, var = self.heads(f"d{i}", d)
            d = d if self.model.upward == "d" else mu
            hat.append((np.tile(mu, (S, 1)), np.tile(var, (S, 1))))
        q, p, z = [hat[-1]], [], [_draw(hat[-1], eps[-1])]
        for i in range(L - 1, 0, -1):
            p.insert(0, self.normal(f"p{i}", z[0]))
            below = p[0] if self.model.shared else self.normal(f"r{i}", z[0])
            q.insert(0, _product(hat[i - 1], below))
            z.insert(0, _draw(q[0], eps[i - 1]))
        return q, [*p, _standard(z[-1])], z

    def terms(self, x: Array, eps: list[Array]) -> tuple[Array, list[Array]]:
        """log p(x|z_1) [R] and log q - log p of each layer's units, [R, Z_i]."""
        q, p, z = getattr(self, self.model.family)(x, eps)
        log_px = self.log_px(np.tile(x, (len(eps[0]), 1)), z[0])
        floor = self.model.var_floor
        kl = [
            norm.logpdf(z_i, q_i[0], np.sqrt(q_i[1] + floor))
            - norm.logpdf(z_i, p_i[0], np.sqrt(p_i[1] + (floor if i < len(z) else 0)))
            for i, (z_i, q_i, p_i) in enumerate(zip(z, q, p, strict=True), start=1)
        ]
        return log_px, kl


def _draw(d: Gauss, eps: Array) -> Array:
    return d[0] + np.sqrt(d[1]) * eps.reshape(d[0].shape)


def _standard(z: Array) -> Gauss:
    return np.zeros_like(z), np.ones_like(z)


def _product(a: Gauss, b: Gauss) -> Gauss:
    """Mean and variance of the normalised product of two Gaussian densities."""
    var = a[1] * b[1] / (a[1] + b[1])
    return (a[0] * b[1] + b[0] * a[1]) / (a[1] + b[1]), var


# The Ladder network


def batch_norm(h: Array, like: Array | None = None) -> Array:
    """h by its own statistics, or by those of `like`."""
    like = h if like is None else like
    return (h - like.mean(0)) / np.sqrt(like.var(0) + 1e-10)


def gauss(z: Array, u: Array, a: Array) -> Array:
    mu = a[0] * expit(a[1] * u + a[2]) + a[3] * u + a[4]
    v = a[5] * expit(a[6] * u + a[7]) + a[8] * u + a[9]
    return (z - mu) * v + mu


@dataclass
class LadderReference:
    """One lane of a Ladder network with the combinator gauss."""

    model: Ladder
    params: dict[str, Array]

    @classmethod
    def of(cls, net: LadderNet, lane: int = 0) -> LadderReference:
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
