"""The least time that a training step can take on a device: by its products, or by its memory.

FLOPs are those of the matrix products, a multiply-add as two. Bytes are the compulsory ones.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from repro.bench.arms import STEP, Workload
from repro.bench.products import flops, training_products
from repro.model import ladder_network
from repro.model.stack import Stack
from repro.plan import layers
from repro.plan.run import Ladder

FORMULA = (
    "roofline: bound = max(FLOPs / measured rate of a large product, bytes / measured copy"
    " bandwidth); bytes = 4 (2 (parameters + gradients + 2 x moments) + 2 x stored activations):"
    " each read once and written once, the activations being the outputs of the dense layers"
)
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
        return 4 * (2 * 4 * self.parameters + 2 * self.activations)


class Limits(NamedTuple):
    """What a device was measured to do."""

    flop_per_s: float
    bytes_per_s: float


def counts(stacks: list[Stack], work: Workload) -> Counts:
    """Of one step of these stacks."""
    parameters = 0
    for model in (run.model for stack in stacks for run in stack.runs):
        if isinstance(model, Ladder):
            parameters += sum(math.prod(p.shape) for p in ladder_network.parameters(model))
        else:
            parameters += layers.parameters(model, work.pixels)
    products = training_products(stacks, work)
    outputs = sum(p.lanes * p.rows * p.dense.fan_out for p in products)
    return Counts(flops(stacks, work)[STEP], parameters, outputs)


def limits(device: torch.device, seconds_of: Callable[[Callable[[], object]], float]) -> Limits:
    """The best of a few large products, rounded as training's, and of a few copies."""
    n, block = SIDE[device.type], COPIED[device.type]
    a, b, c = (torch.ones(n, n, device=device) for _ in range(3))
    product = min(seconds_of(lambda: torch.mm(a, b, out=c)) for _ in range(TRIES))
    source = torch.ones(block, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    copy = min(seconds_of(lambda: target.copy_(source)) for _ in range(TRIES))
    return Limits(2 * n**3 / product, 2 * block / copy)


def share(count: Counts, limit: Limits, seconds: float) -> dict[str, Any]:
    """Counts, limits, the least seconds of a step, and the fraction of them that one reaches."""
    least = max(count.flops / limit.flop_per_s, count.bytes / limit.bytes_per_s)
    counted = {**count._asdict(), "bytes": count.bytes, **limit._asdict()}
    return {**counted, "bound_seconds": least, "fraction": least / seconds}
