"""Tiny Ladder networks and minibatches. All sizes are distinct primes: a swapped axis crashes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from repro.config import Ladder
from repro.models.ladder_network import LadderNet, initial_value, parameters

SIZES = (19, 13, 7, 5)
LABELLED, UNLABELLED = 11, 17
ROWS = LABELLED + UNLABELLED

torch.set_num_threads(1)  # products this small are slower on two: the threads wait for each other


def model(**fields: Any) -> Ladder:
    """A tiny Ladder network whose every denoising cost counts."""
    given = {"sizes": SIZES, "noise": (0.3, 0.2, 0.5, 0.4), "cost_weights": (3.0, 2.0, 0.5, 0.7)}
    return Ladder(**{**given, **fields})


def top_only(**fields: Any) -> Ladder:
    return model(decoder="top", cost_weights=(0.0, 0.0, 0.0, 2.0), **fields)


def baseline(**fields: Any) -> Ladder:
    return model(decoder="none", cost_weights=(0.0,) * 4, **fields)


def net(ladder: Ladder | None = None, K: int = 1, spread: float = 0.3) -> LadderNet:
    """Initial parameters moved at random, in float64; `spread` 0: as training begins."""
    ladder, g, params = ladder or model(), torch.Generator().manual_seed(3), {}
    for p in parameters(ladder):
        shape = (K, *p.shape)
        start = initial_value(p, torch.randn(shape, generator=g))
        moved = start + spread * torch.randn(shape, generator=g)
        params[p.name] = moved.expand(shape).double()
    return LadderNet(ladder, params)


def pixels(K: int = 1, R: int = ROWS, seed: int = 5) -> Tensor:
    """Grey values in [0, 1], [K, R, M_0]."""
    g = torch.Generator().manual_seed(seed)
    return torch.rand(K, R, SIZES[0], generator=g, dtype=torch.float64)


def classes(K: int = 1, B: int = LABELLED) -> Tensor:
    return torch.randint(SIZES[-1], (K, B), generator=torch.Generator().manual_seed(7))


def noise(K: int = 1, R: int = ROWS, seed: int = 9) -> list[Tensor]:
    """Standard normal draws, one [K, R, M_i] a layer."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(K, R, n, generator=g, dtype=torch.float64) for n in SIZES]


def lane(ladder: LadderNet, k: int) -> LadderNet:
    return LadderNet(ladder.model, {n: p[k : k + 1] for n, p in ladder.params.items()})
