"""The least time that a training step can take on a device: by its products, or by its memory.

FLOPs are those of the matrix products, a multiply-add as two. Bytes are the compulsory ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from repro.bench.products import Layer
from repro.model.stack import Stack

FORMULA = (
    "roofline: bound = max(FLOPs / measured rate of a large product, bytes / measured copy"
    " bandwidth); bytes = 4 (2 (parameters + gradients + 2 x moments) + 2 x stored activations):"
    " each read once and written once, the activations being the outputs of the dense layers"
)
BYTES = 4  # of a float32 number
KINDS = 4  # parameters, gradients, two moments
SIDE = {"cuda": 8192, "cpu": 1024}  # of the square matrices whose product is timed
COPIED = {"cuda": 2**30, "cpu": 2**26}  # bytes of the block whose copy is timed
TRIES = 5


class Counts(NamedTuple):
    """What one step of an arm cannot do without."""

    flops: int
    parameters: int
    activations: int

    @property
    def bytes(self) -> int:
        return BYTES * (2 * KINDS * self.parameters + 2 * self.activations)


class Limits(NamedTuple):
    """What a device was measured to do."""

    flop_per_s: float
    bytes_per_s: float


def counts(stacks: list[Stack], layers: list[Layer], pixels: int) -> Counts:
    """Of one step of stacks whose dense layers are those."""
    lanes = [run for stack in stacks for run in stack.runs]
    alone = {run.model: Stack((run,)).initial(pixels) for run in lanes}
    size = {model: sum(p.numel() for p in params.values()) for model, params in alone.items()}
    return Counts(
        sum(layer.forward_flops + layer.backward_flops for layer in layers),
        sum(size[run.model] for run in lanes),
        sum(layer.lanes * layer.rows * layer.columns for layer in layers),
    )


def limits(device: torch.device, seconds_of: Callable[[Callable[[], object]], float]) -> Limits:
    """The best of a few large products, rounded as training's, and of a few copies."""
    n, block = SIDE[device.type], COPIED[device.type]
    a, b, c = (torch.ones(n, n, device=device) for _ in range(3))
    product = min(seconds_of(lambda: torch.mm(a, b, out=c)) for _ in range(TRIES))
    source = torch.ones(block, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    copy = min(seconds_of(lambda: target.copy_(source)) for _ in range(TRIES))
    return Limits(2 * n**3 / product, 2 * block / copy)


def bound(count: Counts, limit: Limits) -> float:
    """Seconds that a step takes at least."""
    return max(count.flops / limit.flop_per_s, count.bytes / limit.bytes_per_s)


def share(count: Counts, limit: Limits, seconds: float) -> dict[str, Any]:
    """What `repro bench` keeps: the counts, the limits, the bound and the fraction of it reached.

    seconds: of a measured step.
    """
    least = bound(count, limit)
    counted = {**count._asdict(), "bytes": count.bytes}
    return {**counted, **limit._asdict(), "bound_seconds": least, "fraction": least / seconds}
