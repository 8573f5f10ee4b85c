"""The operations of `operations.py` for Ladder networks: forward, forward+backward and step.

Shapes: K lanes, B labelled rows and as many unlabelled ones, M_i units of layer i.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from repro.bench import plain_ladder
from repro.bench.arms import Arm, Workload
from repro.bench.operations import BOTH, DTYPE, FORWARD, STEP, Operations, binary, of_training
from repro.bench.products import Layer, Products, stacked
from repro.model import streams
from repro.model.stack import Stack
from repro.plan.experiments import ladder
from repro.plan.layers import of_step
from repro.plan.profiles import profile, run_of
from repro.train.minibatch import LadderBatch
from repro.train.state import fresh

WHITE = 255


def stack_of(depths: tuple[int, ...], work: Workload) -> Stack:
    """The full model once for each of `depths`, all with the workload's sizes."""
    runs = []
    for seed in range(1, len(depths) + 1):
        run = run_of(ladder.cell("full"), profile("paper"), seed)
        m, B = run.ladder, work.labelled
        n = len(work.ladder)
        model = replace(m, sizes=work.ladder, noise=m.noise[:n], cost_weights=m.cost_weights[:n])
        data, optim = replace(run.data, labels=B), replace(run.optim, batch=B)
        runs.append(replace(run, model=model, data=data, optim=optim))
    return Stack(tuple(runs))


def minibatch(stack: Stack, work: Workload, device: torch.device) -> LadderBatch:
    """One minibatch of random images, classes and noise."""
    K, B, sizes = len(stack.runs), work.labelled, work.ladder
    eps = [
        streams.normal(0, "bench/noise", i, shape=(K, 2 * B, m), device=device)
        for i, m in enumerate(sizes)
    ]
    y = streams.below(sizes[-1], 0, "bench/classes", shape=(K, B), device=device).long()
    lr = torch.full((K,), stack.runs[0].optim.lr, device=device)
    return LadderBatch(binary(K, 2 * B, sizes[0], device) * WHITE, y, eps, lr)


def of_arm(arm: Arm, work: Workload, device: torch.device) -> Operations:
    """The operations of an arm; a compiled one compiles when first called."""
    if arm.engine == "plain":
        return of_plain(arm.depths[0], work, device)
    stack = stack_of(arm.depths, work)
    state, batch = fresh(stack, work.ladder[0], device, DTYPE), minibatch(stack, work, device)
    return of_training(arm, stack, state, batch)


def of_plain(depth: int, work: Workload, device: torch.device) -> Operations:
    """The same operations of the model as it is usually written, on the same kind of input."""
    stack = stack_of((depth,), work)
    model = plain_ladder.PlainLadder(stack.runs[0].ladder).to(device)
    adam = plain_ladder.optimiser(model, stack.runs[0].optim)
    batch = minibatch(stack, work, device)
    x, y, eps = batch.x[0].to(DTYPE) / WHITE, batch.y[0], [e[0] for e in batch.eps]
    return {
        FORWARD: lambda: model(x, y, eps),
        BOTH: lambda: plain_ladder.gradients(model, x, y, eps),
        STEP: lambda: plain_ladder.training_step(model, adam, x, y, eps),
    }


def layers_of(depths: tuple[int, ...], work: Workload) -> list[Layer]:
    """The products of one step: both rows through the corrupted encoder, the unlabelled ones
    through the clean encoder and the decoder."""
    stack = stack_of(depths, work)
    return stacked(stack, of_step(stack.runs[0], work.ladder[0]))


def of_products(depths: tuple[int, ...], work: Workload, device: torch.device) -> Operations:
    """The matrix products that the operations of a stack are made of, alone."""
    training = Products(layers_of(depths, work), device, DTYPE)
    return {FORWARD: training.forward, BOTH: training.both, STEP: training.both}


def flops(depths: tuple[int, ...], work: Workload) -> dict[str, int]:
    """Operations counted in the products alone, a multiply-add as two."""
    layers = layers_of(depths, work)
    forward = sum(layer.forward_flops for layer in layers)
    both = forward + sum(layer.backward_flops for layer in layers)
    return {FORWARD: forward, BOTH: both, STEP: both}
