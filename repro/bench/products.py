"""The floor under what is timed: the matrix products alone, their operands allocated beforehand.

Shapes: K lanes, R rows, m units in and n out of a dense layer.
"""

from collections.abc import Iterable

import torch

from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Workload
from repro.bench.operations import DTYPE, Operation, Operations
from repro.model.stack import Stack
from repro.plan.layers import Product, of_pass, of_step
from repro.plan.run import Ladder


def training_products(stacks: list[Stack], work: Workload) -> list[Product]:
    """Of one step."""
    return [p for stack in stacks for p in of_step(stack.runs, work.pixels)]


def scoring_products(stacks: list[Stack], work: Workload) -> list[tuple[Product, ...]]:
    """Of each pass of L_K, chunk by chunk as in `evaluate.importance_bound`."""
    S = min(work.samples, max(1, work.rows // 64))
    at_once = max(1, work.rows // S)
    chunks = [
        (min(at_once, work.images - i), min(S, left))
        for i in range(0, work.images, at_once)
        for left in range(work.samples, 0, -S)
    ]
    scored = (s for s in stacks if not isinstance(s.model, Ladder))
    lanes = [[run.hierarchy for run in stack.runs] for stack in scored]
    return [tuple(of_pass(m, work.pixels, *chunk)) for m in lanes for chunk in chunks]


def repeated(
    products: Iterable[Product], device: torch.device, training: bool = True
) -> tuple[Operation, Operation]:
    """Runs products on fixed random operands: forward, and where training forward and backward."""
    operands = []
    for p in products:
        (K, R, m, n) = (p.lanes, p.rows, p.dense.fan_in, p.dense.fan_out)
        shapes = ((K, R, m), (K, m, n), (K, R, n), *([(K, R, n)] if training else []))
        y, W, h, *g = (torch.randn(shape, device=device, dtype=DTYPE) for shape in shapes)
        to_y = None if p.reads_data else torch.empty_like(y)
        operands.append((y, W, h, g, to_y, torch.empty_like(W)))

    def forward() -> None:
        for y, W, h, *_ in operands:
            torch.bmm(y, W, out=h)

    def both() -> None:
        """Then g W^T where the input needs a gradient, and y^T g; last layer first."""
        forward()
        for y, W, _, (g,), to_y, to_W in reversed(operands):
            if to_y is not None:
                torch.bmm(g, W.transpose(1, 2), out=to_y)
            torch.bmm(y.transpose(1, 2), g, out=to_W)

    return forward, both


def of_products(stacks: list[Stack], work: Workload, device: torch.device) -> Operations:
    """The matrix products that the operations of stacks are made of, alone."""
    forward, both = repeated(training_products(stacks, work), device)
    passes = scoring_products(stacks, work)
    scoring = {key: repeated(key, device, training=False)[0] for key in set(passes)}

    def score() -> None:
        for key in passes:
            scoring[key]()

    return {FORWARD: forward, BOTH: both, STEP: both, SCORE: score}


def flops(stacks: list[Stack], work: Workload) -> dict[str, int]:
    """Operations counted in the products alone, a multiply-add as two."""
    training, scoring = training_products(stacks, work), scoring_products(stacks, work)
    both = 2 * sum(p.multiplications * (2 if p.reads_data else 3) for p in training)
    forward = 2 * sum(p.multiplications for p in training)
    score = 2 * sum(p.multiplications for key in scoring for p in key)
    return {FORWARD: forward, BOTH: both, STEP: both, SCORE: score}
