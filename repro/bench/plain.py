"""The comparison arms: one LVAE+BN and one Ladder network as they are usually written.

With the library's own modules; they share no code with the lanes but compute the same numbers.
Shapes: B images, X pixels, Z_i units of layer i; of the Ladder network B labelled rows, R rows in
all, M_i units. Nats per example.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.bench.arms import BOTH, FORWARD, STEP
from repro.plan.run import Ladder, Model, Optim


def _dense(model: Model, fan_in: int, fan_out: int) -> tuple[nn.Linear, nn.BatchNorm1d]:
    norm = nn.BatchNorm1d(fan_out, eps=model.batch_norm_eps)
    return nn.Linear(fan_in, fan_out, bias=False), norm


def _mlp(model: Model, fan_in: int, width: int) -> nn.Sequential:
    """Two hidden layers, eq. (10)."""
    slope = nn.LeakyReLU(model.leaky_slope)
    return nn.Sequential(*_dense(model, fan_in, width), slope, *_dense(model, width, width), slope)


def _heads(model: Model, width: int, units: int) -> nn.ModuleList:
    """Mean and variance of a diagonal Gaussian before eq. (12)."""
    return nn.ModuleList(nn.Sequential(*_dense(model, width, units)) for _ in range(2))


def _normal(heads: Any, d: Tensor) -> tuple[Tensor, Tensor]:
    """Its mean and variance, eqs. (11)-(12), [B, Z] each."""
    return heads[0](d), F.softplus(heads[1](d))


class PlainLVAE(nn.Module):
    """The ladder VAE with shared top-down network, eqs. (13)-(19)."""

    def __init__(self, model: Model, pixels: int) -> None:
        super().__init__()
        z, w, L = model.latents, model.widths, model.depth
        self.model = model
        below = (pixels, *w)
        self.up = nn.ModuleList(_mlp(model, below[i], w[i]) for i in range(L))
        self.up_heads = nn.ModuleList(_heads(model, w[i], z[i]) for i in range(L))
        self.down = nn.ModuleList(_mlp(model, z[i], w[i]) for i in range(1, L))
        self.down_heads = nn.ModuleList(_heads(model, w[i], z[i - 1]) for i in range(1, L))
        self.decoder = _mlp(model, z[0], w[0])
        self.out = nn.Linear(w[0], pixels)

    def forward(self, x: Tensor, eps: Sequence[Tensor] | None = None) -> Tensor:
        """log p(x|z) - log q + log p of one draw, [B]. x: [B, X]; eps: one [B, Z_i] each.

        Without `eps` the noise is drawn here.
        """
        d, hats = x, []
        for mlp, heads in zip(self.up, self.up_heads, strict=True):
            d = mlp(d)
            hats.append(_normal(heads, d))
        noise = [torch.randn_like(mu) for mu, _ in hats] if eps is None else eps
        mu, var = hats[-1]
        z = mu + var.sqrt() * noise[-1]
        log_p = -0.5 * (math.log(2 * math.pi) + z**2)
        kl = (self._log_normal(z, mu, var) - log_p).sum(-1)
        for i in range(len(hats) - 2, -1, -1):
            mu_p, var_p = _normal(self.down_heads[i], self.down[i](z))
            prec_hat, prec_p = 1 / hats[i][1], 1 / var_p
            var = 1 / (prec_hat + prec_p)  # (17)
            mu = var * (hats[i][0] * prec_hat + mu_p * prec_p)  # (18)
            z = mu + var.sqrt() * noise[i]
            log_p = self._log_normal(z, mu_p, var_p)
            kl = kl + (self._log_normal(z, mu, var) - log_p).sum(-1)
        limit = math.log((1 - self.model.mean_clip) / self.model.mean_clip)
        logit = self.out(self.decoder(z)).clamp(-limit, limit)
        return -F.binary_cross_entropy_with_logits(logit, x, reduction="none").sum(-1) - kl

    def loss(self, x: Tensor, eps: Sequence[Tensor]) -> Tensor:
        """Minus the mean bound of a minibatch."""
        mean: Tensor = self(x, eps).mean()
        return -mean

    def _log_normal(self, z: Tensor, mu: Tensor, var: Tensor) -> Tensor:
        var = var + self.model.var_floor
        return -0.5 * (math.log(2 * math.pi) + var.log() + (z - mu) ** 2 / var)


@torch.no_grad()
def importance_bound(model: PlainLVAE, x: Tensor, samples: int) -> Tensor:
    """L_K of each image, eq. (6), [B]: one pass of the minibatch for each sample. x: [B, X]."""
    model.eval()
    log_w = torch.stack([model(x) for _ in range(samples)])
    model.train()
    return torch.logsumexp(log_w, 0) - math.log(samples)


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
    """The full model with labelled and unlabelled statistics apart.

    Both paths are one function, run twice on all rows together, as in the released code.
    """

    def __init__(self, model: Ladder) -> None:
        super().__init__()
        m, L = model.sizes, model.depth
        self.model = model
        self.W = nn.ModuleList(nn.Linear(m[i], m[i + 1], bias=False) for i in range(L))
        self.beta = nn.ParameterList(nn.Parameter(torch.zeros(n)) for n in m[1:])
        self.gamma = nn.Parameter(torch.ones(m[L]))
        self.V = nn.ModuleList(nn.Linear(m[i + 1], m[i], bias=False) for i in range(L))
        self.g = nn.ModuleList(Gauss(n) for n in m)

    def loss(self, x: Tensor, y: Tensor, eps: Sequence[Tensor]) -> Tensor:
        """The cost of a minibatch. x: [R, X], labelled rows first; y: [B]; eps: [R, M_i] each."""
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
        var, mean = torch.var_mean(h if like is None else like, 0, correction=0)
        return (h - mean) / torch.sqrt(var + self.model.batch_norm_eps)


def training(
    model: PlainLVAE | PlainLadder, optim: Optim, *inputs: Any
) -> dict[str, Callable[[], object]]:
    """Loss, gradients and one update of a model on the same inputs again and again."""
    adam = torch.optim.Adam(
        model.parameters(), lr=optim.lr, betas=(optim.beta1, optim.beta2), eps=optim.eps
    )

    def gradients() -> None:
        model.zero_grad()
        model.loss(*inputs).backward()  # type: ignore[no-untyped-call]

    def step() -> None:
        gradients()
        if optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), optim.clip_norm)
        if optim.clip_value is not None:
            nn.utils.clip_grad_value_(model.parameters(), optim.clip_value)
        adam.step()

    return {FORWARD: lambda: model.loss(*inputs), BOTH: gradients, STEP: step}
