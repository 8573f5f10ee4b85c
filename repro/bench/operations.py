"""What is timed, by name: forward, forward+backward, step and L_K of each contestant.

Shapes: K lanes (K_i of them have layer i), B images, X pixels, Z_i units.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from repro import streams
from repro.bench import plain
from repro.bench.arms import Arm, Workload, stack_of
from repro.bench.products import Products, layers_of, scoring_chunks
from repro.engine.step import Minibatch, State, fresh, objective_of, step_function
from repro.evaluate import importance_bound, statistics_pass
from repro.layers import Net, fold
from repro.score import noise_of
from repro.stack import Stack

Operation = Callable[[], object]
Operations = dict[str, Operation]

FORWARD, BOTH, STEP, SCORE = "forward", "forward+backward", "step", "L_K"
INK = 33  # of 256: about the share of a digit's pixels that are ink
DTYPE = torch.float32


def binary(K: int, rows: int, pixels: int, device: torch.device) -> Tensor:
    """Random images as dense as digits, [K, rows, X] uint8: measuring needs no data set."""
    draw = streams.below(256, 0, "bench/images", shape=(K, rows, pixels), device=device)
    return (draw < INK).to(torch.uint8)


def minibatch(stack: Stack, work: Workload, device: torch.device) -> Minibatch:
    """One minibatch of random images and noise, beta = 1."""
    K = len(stack.runs)
    eps = []
    for i, z in enumerate(stack.hierarchy.latents, start=1):
        shape = (stack.lanes.at(i), 1, work.batch, z)
        eps.append(streams.normal(0, "bench/noise", i, shape=shape, device=device))
    lr = torch.full((K,), stack.runs[0].optim.lr, device=device)
    return Minibatch(binary(K, work.batch, work.pixels, device), eps, torch.ones_like(lr), lr)


def of_arm(arm: Arm, work: Workload, device: torch.device) -> Operations:
    """The operations of an arm; a compiled one compiles when first called."""
    if arm.engine == "plain":
        return of_plain(arm.depths[0], work, device)
    stack = stack_of(arm.depths, work)
    state, batch = fresh(stack, work.pixels, device, DTYPE), minibatch(stack, work, device)
    objective, step = objective_of(stack), step_function(stack, arm.engine)
    if arm.engine == "compiled":
        objective = torch.compile(objective, dynamic=False)
    leaves = {n: p.detach().requires_grad_() for n, p in state.params.items()}
    ops: Operations = {
        FORWARD: lambda: objective(leaves, batch),
        BOTH: lambda: torch.autograd.grad(
            -objective(leaves, batch).sum(), list(leaves.values()), materialize_grads=True
        ),
        STEP: lambda: step(state, batch),
    }
    if arm.engine == "eager":  # scoring has one engine
        ops[SCORE] = _scoring(stack, state, work, device)
    return ops


def _scoring(stack: Stack, state: State, work: Workload, device: torch.device) -> Operation:
    """L_K of all lanes, drawing its noise as a real scoring does."""
    run = stack.runs[0]
    noise = noise_of(run, run.schedule.epochs, device)

    @functools.cache  # built when first called: no part of what a training step holds
    def inputs() -> tuple[Net, Tensor]:
        net = stack.net(state.params)
        x = binary(len(stack.runs), work.images, work.pixels, device).to(DTYPE)
        return fold(net, statistics_pass(net, x, noise)[0]), x

    @torch.no_grad()
    def score() -> Tensor:
        return importance_bound(*inputs(), noise, work.samples).bound()

    return score


def of_plain(depth: int, work: Workload, device: torch.device) -> Operations:
    """The same operations of the model as it is usually written, on the same kind of input."""
    stack = stack_of((depth,), work)
    model = plain.PlainLVAE(stack.hierarchy, work.pixels).to(device)
    optim = stack.runs[0].optim
    adam, batch = plain.optimiser(model, optim), minibatch(stack, work, device)
    x, eps = batch.x[0].to(DTYPE), [e[0, 0] for e in batch.eps]
    test = binary(1, work.images, work.pixels, device)[0].to(DTYPE)
    return {
        FORWARD: lambda: model(x, eps).mean(),
        BOTH: lambda: plain.gradients(model, x, eps),
        STEP: lambda: plain.training_step(model, adam, optim, x, eps),
        SCORE: lambda: plain.importance_bound(model, test, work.samples),
    }


def of_products(depths: tuple[int, ...], work: Workload, device: torch.device) -> Operations:
    """The matrix products that the operations of a stack are made of, alone."""
    stack = stack_of(depths, work)
    training = Products(layers_of(stack, work.pixels, work.batch), device, DTYPE)
    chunks = scoring_chunks(work.images, work.samples)
    scoring = {
        chunk: Products(layers_of(stack, work.pixels, *chunk), device, DTYPE, training=False)
        for chunk in set(chunks)
    }

    def score() -> None:
        for chunk in chunks:
            scoring[chunk].forward()

    return {FORWARD: training.forward, BOTH: training.both, STEP: training.both, SCORE: score}


def flops(depths: tuple[int, ...], work: Workload) -> dict[str, int]:
    """Operations counted in the products alone, a multiply-add as two."""
    stack = stack_of(depths, work)
    training = layers_of(stack, work.pixels, work.batch)
    forward = sum(layer.forward_flops for layer in training)
    both = forward + sum(layer.backward_flops for layer in training)
    score = sum(
        layer.forward_flops
        for chunk in scoring_chunks(work.images, work.samples)
        for layer in layers_of(stack, work.pixels, *chunk)
    )
    return {FORWARD: forward, BOTH: both, STEP: both, SCORE: score}
