"""log p(x) of a trained hierarchy by annealed importance sampling (Neal 2001; Wu et al. 2017).

Chains go from q(z | x) to p(z | x) through f_t = q(z | x)^(1 - b_t) p(x, z)^b_t, with one step of
Hamiltonian Monte Carlo over the latents of all layers at each b_t (`hamiltonian.py`, which says in
which coordinates). So little is left of how good q is, which L_K mixes with how good p is.

Shapes: S chains, N images, B of them at a time, X pixels, D latents of all layers; a leading lane
axis of 1. Nats per example.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from repro.model.distributions import Normal
from repro.model.families import MODELS
from repro.model.hierarchy import observation, prior
from repro.model.layers import Net
from repro.train.annealing.hamiltonian import LONGEST, move, state
from repro.train.evaluate import Floats, Noise, numpy_of
from repro.train.importance import Weights, weigh

CHAINS, TEMPERATURES = 16, 1000
ROWS = 1024  # chains of all images at a time
ACCEPTED = 0.65  # share of proposals at which step sizes aim, where they may be as long
TUNED_ON = 8  # images
GAIN, FIRST = 0.2, 0.1  # of an adaptation, in log step size; the step size it begins at
STEEP = 4.0  # the schedule is a sigmoid from -STEEP to STEEP

Draw = Callable[[int], Tensor]
"""t -> [1, S, B, D + 1] standard normal: eps at t = 0, else momenta; what decides comes last."""


class Path(NamedTuple):
    """b_0 = 0 < b_1 < ... < b_T = 1, and the step size at each but the two ends."""

    betas: list[float]
    steps: list[float]


class Annealed(NamedTuple):
    """log p(x) of each image, its Monte-Carlo error by the jackknife over chains, and the share of
    proposals that they accepted: [N] each.

    mc_error: of the mean of log_p. Errors are NaN of a single chain. steps: the step size at each
    temperature but the two ends.
    """

    log_p: Floats
    error: Floats
    accepted: Floats
    mc_error: float
    steps: list[float]


class Sandwich(NamedTuple):
    """Bounds on log p(x) of images that the model drew, with their errors: [N] each."""

    lower: Floats
    lower_error: Floats
    upper: Floats
    upper_error: Floats


def schedule(temperatures: int) -> list[float]:
    """b_0 = 0 to b_T = 1, densest at both ends. T = 1: ordinary importance samples."""
    t = torch.linspace(-STEEP, STEEP, temperatures + 1, dtype=torch.float64).sigmoid()
    betas: list[float] = ((t - t[0]) / (t[-1] - t[0])).tolist()
    return betas


def tuned_path(net: Net, noise: Noise, temperatures: int, chains: int) -> Path:
    """Step sizes adapted from temperature to temperature on images that the model draws.

    What is measured keeps them: steps that heed their own chains would leave no bound. net: folded.
    """
    _, x = ancestral(net, noise, "tuning", TUNED_ON)
    draw = _draws(net, noise, "tuning", range(TUNED_ON), chains)
    s, step, steps, betas = state(net, x, draw(0)[..., :-1]), FIRST, [], schedule(temperatures)
    for t, b in enumerate(betas[1:-1], start=1):
        s, taken = move(net, x, s, b, step, draw(t))
        step = min(LONGEST, step * math.exp(GAIN * (float(taken.mean()) - ACCEPTED)))
        steps.append(step)
    return Path(betas, steps)


def annealed(
    net: Net, x: Tensor, noise: Noise, path: Path, chains: int, rows: int = ROWS
) -> Annealed:
    """The log of the mean weight of an image's chains: a lower bound in expectation.

    net: folded. x: [1, N, X]. The draws of an image are named by its place among all of them, so
    which others are scored with it changes no more than rounding.
    """
    parts, images = [], range(x.shape[1])
    for at in _chunks(images, chains, rows):
        draw = _draws(net, noise, "annealed", images[at], chains)
        parts.append(_anneal(net, x[:, at], path, draw))
    log_w, accepted = (torch.cat(p, 2) for p in zip(*parts, strict=True))
    found = weigh(log_w)
    log_p, error = _with_error(found)
    return Annealed(log_p, error, numpy_of(accepted[0].mean(0)), found.error(), path.steps)


def sandwich(
    net: Net, noise: Noise, path: Path, chains: int, images: int, rows: int = ROWS
) -> Sandwich:
    """Bidirectional Monte Carlo (Grosse et al. 2015) on images that the model draws.

    The z that an image was drawn with is an exact sample of p(z | x). Chains that go back from it
    have weights whose inverse is 1 / p(x) in expectation: less the log of its mean, an upper bound
    in expectation. Of a given image nobody has such a z, and the lower bound is all there is.
    """
    z, x = ancestral(net, noise, "own", images)
    ends, forth, back, all_images = _eps_of(net, x, z), [], [], range(images)
    for at in _chunks(all_images, chains, rows):
        draws = (_draws(net, noise, name, all_images[at], chains) for name in ("forth", "back"))
        forth.append(_anneal(net, x[:, at], path, next(draws))[0])
        end = ends[:, :, at].expand(-1, chains, -1, -1)
        back.append(_anneal(net, x[:, at], path, next(draws), end)[0])
    lower, lower_error = _with_error(weigh(torch.cat(forth, 2)))
    upper, upper_error = _with_error(weigh(-torch.cat(back, 2)))
    return Sandwich(lower, lower_error, -upper, upper_error)


def ancestral(net: Net, noise: Noise, purpose: str, n: int) -> tuple[list[Tensor], Tensor]:
    """Latents [1, n, Z_i] from the top down and an image x [1, n, X] of each.

    They are drawn from the very densities that score, with the floor of their variances and the
    clip of their means.
    """
    m = net.model
    eps = torch.split(noise(f"{purpose}/z", 0, (1, n, sum(m.latents))), list(m.latents), -1)
    z = [eps[-1]]
    for i in range(m.depth - 1, 0, -1):
        z.insert(0, _floored(prior(net, i, z[0]), m.var_floor).sample(eps[i - 1]))
    px = observation(net, z[0])
    draw = noise(f"{purpose}/x", 0, tuple(px.mean.shape))
    if isinstance(px, Normal):
        return z, _floored(px, m.var_floor).sample(draw)
    mean = px.mean.clamp(m.mean_clip, 1 - m.mean_clip)
    return z, (torch.special.ndtr(draw) < mean).to(mean.dtype)


def _floored(d: Normal, floor: float) -> Normal:
    return Normal(d.mu, d.var + floor)


def _eps_of(net: Net, x: Tensor, z: list[Tensor]) -> Tensor:
    """The noise of which q makes these z, [1, 1, B, D]: each pass settles one layer more."""
    eps = [torch.zeros_like(z_i).unsqueeze(1) for z_i in z]
    for _ in z:
        q = MODELS[net.model.family](net, x, eps).q
        eps = [((z_i - d.mu) / d.var.sqrt()).unsqueeze(1) for z_i, d in zip(z, q, strict=True)]
    return torch.cat(eps, -1)


def _anneal(
    net: Net, x: Tensor, path: Path, draw: Draw, end: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Log weights of chains, and the share of proposals that each took: [1, S, B] both.

    They begin at b_0, at draws of q; or, in reverse, at b_T, at an end [1, S, B, D].
    """
    rises = [b - a for a, b in itertools.pairwise(path.betas)]
    moves = list(enumerate(zip(path.betas[1:-1], path.steps, strict=True), start=1))
    if end is not None:
        rises, moves = rises[::-1], moves[::-1]
    s = state(net, x, draw(0)[..., :-1] if end is None else end)
    log_w, accepted = rises[0] * s.log_w, torch.zeros_like(s.log_w)
    for rise, (t, (b, step)) in zip(rises[1:], moves, strict=True):
        s, taken = move(net, x, s, b, step, draw(t))
        log_w, accepted = log_w + rise * s.log_w, accepted + taken / len(moves)
    return log_w, accepted


def _with_error(found: Weights) -> tuple[Floats, Floats]:
    return numpy_of(found.LK[0]), numpy_of(found.var[0].sqrt())


def _draws(net: Net, noise: Noise, purpose: str, images: range, chains: int) -> Draw:
    """Those of some images at each temperature, each image's its own."""
    D = sum(net.model.latents)

    def draw(t: int) -> Tensor:
        own = [noise(f"{purpose}/{t}", i, (chains, D + 1)) for i in images]
        return torch.stack(own, 1).unsqueeze(0)

    return draw


def _chunks(images: range, chains: int, rows: int) -> list[slice]:
    size = max(1, rows // chains)
    return [slice(start, start + size) for start in images[::size]]
