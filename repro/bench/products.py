"""What no arm can beat: its matrix products alone, and the roofline of its training step.

FLOPs are those of the products, a multiply-add as two; bytes are the compulsory ones.
Shapes: K lanes, R rows, m units in and n out of a dense layer.
"""

import functools
import math
from collections.abc import Iterable

import torch
from torch import Tensor

from repro.bench.arms import BOTH, FORWARD, PIXELS, SCORE, STEP, Arm, Operations, stacks_of
from repro.bench.operations import DTYPE, seconds_of
from repro.machine.device import scoring_rows
from repro.model import ladder_network
from repro.plan import layers
from repro.plan.layers import Product
from repro.plan.run import Ladder, Run

FORMULA = (
    "roofline: bound = max(FLOPs / measured rate of a large product, bytes / measured copy"
    " bandwidth); bytes = 4 (2 (parameters + gradients + 2 x moments) + 2 x stored activations):"
    " each read once and written once, the activations being the outputs of the dense layers"
)
SIDE = {"cuda": 8192, "cpu": 1024}  # of the square matrices whose product is timed
COPIED = {"cuda": 2**30, "cpu": 2**26}  # bytes of the block whose copy is timed
TRIES = 5


def of_training(arm: Arm) -> list[Product]:
    """The products of one forward pass of a step."""
    return [p for s in stacks_of(arm) for p in layers.of_step(s.runs, PIXELS)]


def of_scoring(arm: Arm, device: torch.device) -> list[tuple[Product, ...]]:
    """Those of each pass of L_K, chunk by chunk as in `evaluate.importance_bound`."""
    if arm.model != "lvae":
        return []
    (stack,), rows = stacks_of(arm), scoring_rows(device)
    lanes = [run.hierarchy for run in stack.runs]
    S = min(arm.samples, max(1, rows // 64))
    at_once = max(1, rows // S)
    return [
        tuple(layers.of_pass(lanes, PIXELS, min(at_once, arm.images - i), min(S, left)))
        for i in range(0, arm.images, at_once)
        for left in range(arm.samples, 0, -S)
    ]


def of_products(arm: Arm, device: torch.device) -> Operations:
    """The operations of an arm as nothing but their products, of operands made beforehand."""
    trained, passes = of_training(arm), of_scoring(arm, device)
    forward = [operands(p, device) for p in trained]
    last_first = zip(reversed(trained), reversed(forward), strict=True)
    both = [*forward, *(triple for p, y_W_h in last_first for triple in backward(p, *y_W_h))]
    scored = {key: [operands(p, device) for p in key] for key in set(passes)}
    score = [triple for key in passes for triple in scored[key]]
    parts = {FORWARD: forward, BOTH: both, STEP: both, SCORE: score}
    return {name: functools.partial(multiply, triples) for name, triples in parts.items()}


def operands(p: Product, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Random y [K, R, m] and W [K, m, n], and a place for h [K, R, n]."""
    K, R, m, n = p.lanes, p.rows, p.dense.fan_in, p.dense.fan_out
    draw = functools.partial(torch.randn, device=device, dtype=DTYPE)
    return draw(K, R, m), draw(K, m, n), draw(K, R, n)


def backward(p: Product, y: Tensor, W: Tensor, h: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """g W^T where the input needs a gradient, and y^T g."""
    g, to_W = torch.randn_like(h), torch.empty_like(W)
    to_y = [] if p.reads_data else [(g, W.mT, torch.empty_like(y))]
    return [*to_y, (y.mT, g, to_W)]


def multiply(triples: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
    for a, b, out in triples:
        torch.bmm(a, b, out=out)


def flops(arm: Arm, device: torch.device) -> dict[str, int]:
    """Counted in the products of each operation."""
    training, scoring = of_training(arm), of_scoring(arm, device)
    forward = 2 * sum(p.multiplications for p in training)
    both = 2 * sum(p.multiplications * (2 if p.reads_data else 3) for p in training)
    score = 2 * sum(p.multiplications for key in scoring for p in key)
    return {FORWARD: forward, BOTH: both, STEP: both, SCORE: score}


def counts(arm: Arm, device: torch.device) -> dict[str, int]:
    """What one step of an arm cannot do without."""
    parameters = sum(_trained(run) for stack in stacks_of(arm) for run in stack.runs)
    activations = sum(p.lanes * p.rows * p.dense.fan_out for p in of_training(arm))
    return {
        "flops": flops(arm, device)[STEP],
        "parameters": parameters,
        "activations": activations,
        "bytes": 4 * (2 * 4 * parameters + 2 * activations),
    }


def _trained(run: Run) -> int:
    """How many numbers a Run trains."""
    if isinstance(run.model, Ladder):
        return sum(math.prod(p.shape) for p in ladder_network.parameters(run.model))
    return layers.parameters(run.model, PIXELS)


def limits(device: torch.device) -> dict[str, float]:
    """The best of a few large products, rounded as training's, and of a few copies."""
    n, block = SIDE[device.type], COPIED[device.type]
    a, b, c = (torch.ones(n, n, device=device) for _ in range(3))
    product = min(seconds_of(lambda: torch.mm(a, b, out=c)) for _ in range(TRIES))
    source = torch.ones(block, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    copy = min(seconds_of(lambda: target.copy_(source)) for _ in range(TRIES))
    return {"flop_per_s": 2 * n**3 / product, "bytes_per_s": 2 * block / copy}


def roofline(count: dict[str, int], limit: dict[str, float], seconds: float) -> dict[str, float]:
    """Counts, limits, the least seconds of a step, and the fraction of them that one reaches."""
    least = max(count["flops"] / limit["flop_per_s"], count["bytes"] / limit["bytes_per_s"])
    return {**count, **limit, "bound_seconds": least, "fraction": least / seconds}
