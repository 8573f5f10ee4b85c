"""The comparison arms: one LVAE+BN and one Ladder network as they are usually written.

With the library's own modules; they share no code with the lanes but compute the same numbers.
Shapes: B images, X pixels, Z_i units of layer i; of the Ladder network B labelled rows, R rows in
all, M_i units. Nats per example.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.bench.arms import BOTH, FORWARD, STEP, Operations
from repro.plan.run import Ladder, Model, Optim


def _dense(model: Model, fan_in: int, fan_out: int) -> tuple[nn.Linear, nn.BatchNorm1d]:
    norm = nn.BatchNorm1d(fan_out, eps=model.batch_norm_eps)
    return nn.Linear(fan_in, fan_out, bias=False), norm


def _mlp(model: Model, fan_in: int, width: int) -> nn.Sequential:
    """Two hidden layers, eq. (10)."""
    slope = nn.LeakyReLU(model.leaky_slope)
    return nn.Sequential(*_dense(model, fan_in, width), slope, *_dense(model, width, width), slope)


class Gaussian(nn.Module):
    """Mean and variance of a diagonal Gaussian, eqs. (11)-(12), [B, Z] each."""

    def __init__(self, model: Model, width: int, units: int) -> None:
        super().__init__()
        self.mu, self.var = (nn.Sequential(*_dense(model, width, units)) for _ in range(2))

    def forward(self, d: Tensor) -> tuple[Tensor, Tensor]:
        return self.mu(d), F.softplus(self.var(d))


class PlainLVAE(nn.Module):
    """The ladder VAE with shared top-down network, eqs. (13)-(19)."""

    def __init__(self, model: Model, pixels: int) -> None:
        super().__init__()
        z, w = model.latents, model.widths
        self.model = model
        self.up = nn.ModuleList(_mlp(model, m, n) for m, n in pairwise((pixels, *w)))
        self.hats = nn.ModuleList(Gaussian(model, *of) for of in zip(w, z, strict=True))
        self.priors = nn.ModuleList(
            nn.Sequential(_mlp(model, above, width), Gaussian(model, width, units))
            for units, above, width in zip(z, z[1:], w[1:], strict=False)
        )
        self.x = nn.Sequential(_mlp(model, z[0], w[0]), nn.Linear(w[0], pixels))

    def forward(self, x: Tensor, eps: Sequence[Tensor] | None = None) -> Tensor:
        """log p(x|z) - log q + log p of one draw, [B]. x: [B, X]; eps: one [B, Z_i] each.

        Without `eps` the noise is drawn here.
        """
        d, hats = x, []
        for mlp, gaussian in zip(self.up, self.hats, strict=True):
            d = mlp(d)
            hats.append(gaussian(d))
        noise = [torch.randn_like(mu) for mu, _ in hats] if eps is None else eps
        mu, var = hats[-1]
        z = mu + var.sqrt() * noise[-1]
        log_p = -0.5 * (math.log(2 * math.pi) + z**2)
        kl: Tensor = (self._log_normal(z, mu, var) - log_p).sum(-1)
        for i in reversed(range(len(self.priors))):
            mu_p, var_p = self.priors[i](z)
            prec_hat, prec_p = 1 / hats[i][1], 1 / var_p
            var = 1 / (prec_hat + prec_p)  # (17)
            mu = var * (hats[i][0] * prec_hat + mu_p * prec_p)  # (18)
            z = mu + var.sqrt() * noise[i]
            log_p = self._log_normal(z, mu_p, var_p)
            kl = kl + (self._log_normal(z, mu, var) - log_p).sum(-1)
        limit = math.log((1 - self.model.mean_clip) / self.model.mean_clip)
        logit = self.x(z).clamp(-limit, limit)
        return -F.binary_cross_entropy_with_logits(logit, x, reduction="none").sum(-1) - kl

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


class PlainLadder(nn.Module):
    """The full model with labelled and unlabelled statistics apart.

    Both paths are one function, run twice on all rows together, as in the released code.
    """

    def __init__(self, model: Ladder) -> None:
        super().__init__()
        m, start = model.sizes, torch.zeros(10, 1)
        start[[1, 6]] = 1
        self.model = model
        self.W = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(m))
        self.V = nn.ModuleList(nn.Linear(b, a, bias=False) for a, b in pairwise(m))
        self.beta = nn.ParameterList(torch.zeros(n) for n in m[1:])
        self.gamma = nn.Parameter(torch.ones(m[-1]))
        self.a = nn.ParameterList(start.repeat(1, n) for n in m)

    def forward(self, x: Tensor, y: Tensor, eps: Sequence[Tensor]) -> Tensor:
        """The cost of a minibatch. x: [R, X], labelled rows first; y: [B]; eps: [R, M_i] each."""
        (noisy, _), (clean, products) = self._encode(x, len(y), eps), self._encode(x, len(y), None)
        logits = self.gamma * (noisy[-1] + self.beta[-1])
        cost = F.cross_entropy(logits[: len(y)], y)
        v = torch.softmax(logits[len(y) :], -1)
        for i in reversed(range(len(noisy))):
            z_hat = self._combined(self.a[i], noisy[i][len(y) :], self._normalised(v))
            compared = z_hat if i == 0 else self._normalised(z_hat, products[i - 1][len(y) :])
            target = clean[i][len(y) :]
            cost = cost + self.model.cost_weights[i] * F.mse_loss(compared, target)
            if i:
                v = self.V[i - 1](z_hat)
        return cost

    def _encode(self, x: Tensor, B: int, eps: Sequence[Tensor] | None) -> list[list[Tensor]]:
        """z of every layer, and the products before normalisation: two lists of [R, M_i]."""
        std = self.model.noise
        h = x if eps is None else x + std[0] * eps[0]
        z, products = [h], []
        for i, (W, beta) in enumerate(zip(self.W, self.beta, strict=True), start=1):
            h = W(h)
            products.append(h)
            h = torch.cat([self._normalised(h[:B]), self._normalised(h[B:])])
            if eps is not None:
                h = h + std[i] * eps[i]
            z.append(h)
            h = F.relu(h + beta)  # the top has logits instead
        return [z, products]

    def _normalised(self, h: Tensor, like: Tensor | None = None) -> Tensor:
        """h by the statistics of its own rows, or of others'."""
        var, mean = torch.var_mean(h if like is None else like, 0, correction=0)
        return (h - mean) / torch.sqrt(var + self.model.batch_norm_eps)

    def _combined(self, a: Tensor, z: Tensor, u: Tensor) -> Tensor:
        """The combinator of the paper: z_hat = (z - mu(u)) v(u) + mu(u)."""
        mu = a[0] * torch.sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
        v = a[5] * torch.sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
        return (z - mu) * v + mu


def training(model: nn.Module, optim: Optim, loss: Callable[[], Tensor]) -> Operations:
    """A model's loss, its gradients, and one update, again and again."""
    parameters = list(model.parameters())
    adam = torch.optim.Adam(parameters, optim.lr, (optim.beta1, optim.beta2), optim.eps)

    def gradients() -> None:
        model.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]

    def step() -> None:
        gradients()
        if optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, optim.clip_norm)
        if optim.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, optim.clip_value)
        adam.step()

    return {FORWARD: loss, BOTH: gradients, STEP: step}
