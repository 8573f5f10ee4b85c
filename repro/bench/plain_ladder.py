"""The comparison arm: one Ladder network as it is usually written, with the library's own modules.

Both paths are one function, run twice on labelled and unlabelled rows together, as in the released
code. It shares no code with the lanes but computes the same cost. Shapes: B labelled rows, R rows
in all, X pixels, M_i units of layer i.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.plan.run import Ladder, Optim


class Gauss(nn.Module):
    """The combinator of the paper: z_hat = (z - mu(u)) v(u) + mu(u)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        start = torch.zeros(10, units)
        start[[1, 6]] = 1
        self.a = nn.Parameter(start)

    def forward(self, z: Tensor, u: Tensor) -> Tensor:
        a = self.a
        mu = a[0] * torch.sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
        v = a[5] * torch.sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
        return (z - mu) * v + mu


class PlainLadder(nn.Module):
    """The full model with labelled and unlabelled statistics apart."""

    def __init__(self, model: Ladder) -> None:
        super().__init__()
        m, L = model.sizes, model.depth
        self.model = model
        self.W = nn.ModuleList(nn.Linear(m[i], m[i + 1], bias=False) for i in range(L))
        self.beta = nn.ParameterList(nn.Parameter(torch.zeros(n)) for n in m[1:])
        self.gamma = nn.Parameter(torch.ones(m[L]))
        self.V = nn.ModuleList(nn.Linear(m[i + 1], m[i], bias=False) for i in range(L))
        self.g = nn.ModuleList(Gauss(n) for n in m)

    def forward(self, x: Tensor, y: Tensor, eps: Sequence[Tensor] | None = None) -> Tensor:
        """The cost of a minibatch, a scalar. x: [R, X], labelled rows first; y: [B].

        eps: one [R, M_i] a layer; without it the noise is drawn here.
        """
        if eps is None:
            eps = [torch.randn(len(x), m, device=x.device) for m in self.model.sizes]
        noisy, logits, _ = self._encode(x, len(y), eps)
        clean, _, products = self._encode(x, len(y), None)
        cost = F.cross_entropy(logits[: len(y)], y)
        v = torch.softmax(logits[len(y) :], -1)
        for i in range(self.model.depth, -1, -1):
            z_hat = self.g[i](noisy[i][len(y) :], self._normalised(v))
            compared = z_hat if i == 0 else self._normalised(z_hat, products[i - 1][len(y) :])
            target = clean[i][len(y) :]
            cost = cost + self.model.cost_weights[i] * F.mse_loss(compared, target)
            if i:
                v = self.V[i - 1](z_hat)
        return cost

    def _encode(
        self, x: Tensor, labelled: int, eps: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        """z of every layer, the logits, and the products before normalisation."""
        std, L = self.model.noise, self.model.depth
        h = x if eps is None else x + std[0] * eps[0]
        z, products = [h], []
        for i in range(L):
            h = self.W[i](h)
            products.append(h)
            h = torch.cat([self._normalised(h[:labelled]), self._normalised(h[labelled:])])
            if eps is not None:
                h = h + std[i + 1] * eps[i + 1]
            z.append(h)
            h = h + self.beta[i]
            h = F.relu(h) if i < L - 1 else self.gamma * h
        return z, h, products

    def _normalised(self, h: Tensor, like: Tensor | None = None) -> Tensor:
        """h by the statistics of its own rows, or of others'."""
        like = h if like is None else like
        var, mean = torch.var_mean(like, 0, correction=0)
        return (h - mean) / torch.sqrt(var + self.model.batch_norm_eps)


def optimiser(model: PlainLadder, optim: Optim) -> torch.optim.Adam:
    return torch.optim.Adam(
        model.parameters(), lr=optim.lr, betas=(optim.beta1, optim.beta2), eps=optim.eps
    )


def gradients(
    model: PlainLadder, x: Tensor, y: Tensor, eps: Sequence[Tensor] | None = None
) -> Tensor:
    """Fill `.grad` with the gradients of the cost, which is returned."""
    model.zero_grad()
    cost: Tensor = model(x, y, eps)
    cost.backward()  # type: ignore[no-untyped-call]
    return cost


def training_step(
    model: PlainLadder,
    adam: torch.optim.Adam,
    x: Tensor,
    y: Tensor,
    eps: Sequence[Tensor] | None = None,
) -> None:
    """One update of the parameters; nothing is clipped."""
    gradients(model, x, y, eps)
    adam.step()
