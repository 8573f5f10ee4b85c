"""The comparison arm: one LVAE+BN as it is usually written, with the library's own modules.

It shares no code with the lanes but computes the same numbers. Shapes: B images, X pixels,
Z_i units of layer i. Nats per example.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.plan.run import Model, Optim


class Mlp(nn.Module):
    """Two hidden layers, eq. (10)."""

    def __init__(self, model: Model, fan_in: int, width: int) -> None:
        super().__init__()
        self.slope = model.leaky_slope
        self.a = nn.Linear(fan_in, width, bias=False)
        self.norm_a = nn.BatchNorm1d(width, eps=model.batch_norm_eps)
        self.b = nn.Linear(width, width, bias=False)
        self.norm_b = nn.BatchNorm1d(width, eps=model.batch_norm_eps)

    def forward(self, y: Tensor) -> Tensor:
        y = F.leaky_relu(self.norm_a(self.a(y)), self.slope)
        return F.leaky_relu(self.norm_b(self.b(y)), self.slope)


class Gaussian(nn.Module):
    """Heads of a diagonal Gaussian, eqs. (11)-(12): mean and variance, each [B, Z]."""

    def __init__(self, model: Model, width: int, units: int) -> None:
        super().__init__()
        self.mu = nn.Linear(width, units, bias=False)
        self.norm_mu = nn.BatchNorm1d(units, eps=model.batch_norm_eps)
        self.var = nn.Linear(width, units, bias=False)
        self.norm_var = nn.BatchNorm1d(units, eps=model.batch_norm_eps)

    def forward(self, d: Tensor) -> tuple[Tensor, Tensor]:
        return self.norm_mu(self.mu(d)), F.softplus(self.norm_var(self.var(d)))


class PlainLVAE(nn.Module):
    """The ladder VAE with shared top-down network, eqs. (13)-(19)."""

    def __init__(self, model: Model, pixels: int) -> None:
        super().__init__()
        z, w, L = model.latents, model.widths, model.depth
        self.model = model
        below = (pixels, *w)
        self.up = nn.ModuleList(Mlp(model, below[i], w[i]) for i in range(L))
        self.up_heads = nn.ModuleList(Gaussian(model, w[i], z[i]) for i in range(L))
        self.down = nn.ModuleList(Mlp(model, z[i], w[i]) for i in range(1, L))
        self.down_heads = nn.ModuleList(Gaussian(model, w[i], z[i - 1]) for i in range(1, L))
        self.decoder = Mlp(model, z[0], w[0])
        self.out = nn.Linear(w[0], pixels)

    def forward(self, x: Tensor, eps: Sequence[Tensor] | None = None, beta: float = 1.0) -> Tensor:
        """log p(x|z) - beta (log q - log p) of one draw, [B]. x: [B, X]; eps: one [B, Z_i] each.

        Without `eps` the noise is drawn here.
        """
        hats = self._upward(x)
        L = len(hats)
        mu, var = hats[-1]
        z = mu + var.sqrt() * self._noise(eps, L - 1, mu)
        kl = (self._log_normal(z, mu, var) - _log_standard_normal(z)).sum(-1)
        for i in range(L - 2, -1, -1):
            mu_p, var_p = self.down_heads[i](self.down[i](z))
            mu, var = _merged(hats[i], (mu_p, var_p))
            z = mu + var.sqrt() * self._noise(eps, i, mu)
            kl = kl + (self._log_normal(z, mu, var) - self._log_normal(z, mu_p, var_p)).sum(-1)
        return self._log_bernoulli(x, self.out(self.decoder(z))) - beta * kl

    def _upward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        hats, d = [], x
        for mlp, head in zip(self.up, self.up_heads, strict=True):
            d = mlp(d)
            hats.append(head(d))
        return hats

    def _noise(self, eps: Sequence[Tensor] | None, i: int, like: Tensor) -> Tensor:
        return torch.randn_like(like) if eps is None else eps[i]

    def _log_normal(self, z: Tensor, mu: Tensor, var: Tensor) -> Tensor:
        var = var + self.model.var_floor
        return -0.5 * (math.log(2 * math.pi) + var.log() + (z - mu) ** 2 / var)

    def _log_bernoulli(self, x: Tensor, logit: Tensor) -> Tensor:
        limit = math.log((1 - self.model.mean_clip) / self.model.mean_clip)
        logit = logit.clamp(-limit, limit)
        return -F.binary_cross_entropy_with_logits(logit, x, reduction="none").sum(-1)


def _merged(hat: tuple[Tensor, Tensor], p: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Precision weighting, eqs. (17)-(18)."""
    prec_hat, prec_p = 1 / hat[1], 1 / p[1]
    var = 1 / (prec_hat + prec_p)
    return var * (hat[0] * prec_hat + p[0] * prec_p), var


def _log_standard_normal(z: Tensor) -> Tensor:
    return -0.5 * (math.log(2 * math.pi) + z**2)


def optimiser(model: PlainLVAE, optim: Optim) -> torch.optim.Adam:
    return torch.optim.Adam(
        model.parameters(), lr=optim.lr, betas=(optim.beta1, optim.beta2), eps=optim.eps
    )


def gradients(model: PlainLVAE, x: Tensor, eps: Sequence[Tensor] | None = None) -> Tensor:
    """Fill `.grad` with the gradients of the mean loss, which is returned."""
    model.zero_grad()
    loss: Tensor = -model(x, eps).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def training_step(
    model: PlainLVAE,
    adam: torch.optim.Adam,
    optim: Optim,
    x: Tensor,
    eps: Sequence[Tensor] | None = None,
) -> None:
    """One update of the parameters. x: [B, X]."""
    gradients(model, x, eps)
    if optim.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), optim.clip_norm)
    if optim.clip_value is not None:
        nn.utils.clip_grad_value_(model.parameters(), optim.clip_value)
    adam.step()


@torch.no_grad()
def importance_bound(model: PlainLVAE, x: Tensor, samples: int) -> Tensor:
    """L_K of each image, eq. (6), [B]: one pass of the minibatch for each sample. x: [B, X]."""
    model.eval()
    log_w = torch.stack([model(x) for _ in range(samples)])
    model.train()
    return torch.logsumexp(log_w, 0) - math.log(samples)
