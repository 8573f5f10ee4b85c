"""What is timed, by name: forward, forward+backward, step and L_K of each contestant.

Shapes: K lanes (K_i of them have layer i), B images, X pixels, Z_i units.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from repro.bench import plain
from repro.bench.arms import Arm, Workload, stack_of
from repro.bench.products import Layer, Products, scoring_chunks, stacked
from repro.machine.cuda.graph import Captured, captured_on
from repro.model import streams
from repro.model.layers import Net, fold
from repro.model.stack import Stack
from repro.plan.layers import of_pass, of_step
from repro.train.evaluate import importance_bound, statistics_pass
from repro.train.minibatch import BLOCK, LadderBatch, Minibatch
from repro.train.score import noise_of
from repro.train.state import State, fresh, shade
from repro.train.step import CAPTURED, leaves_of, parts_of
from repro.train.step import step as one_step

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


def per_call(arm: Arm) -> int:
    """How often a call of one of the arm's operations does it: captured ones a block at once."""
    return BLOCK if arm.engine in CAPTURED else 1


def of_arm(arm: Arm, work: Workload, device: torch.device) -> Operations:
    """The operations of an arm; a compiled one compiles when first called."""
    if arm.engine == "plain":
        return of_plain(arm.depths[0], work, device)
    stack = stack_of(arm.depths, work)
    state, batch = fresh(stack, work.pixels, device, DTYPE), minibatch(stack, work, device)
    if arm.scoring:
        return {SCORE: _scoring(stack, state, work, device)}
    ops = of_training(arm, stack, state, batch)
    if arm.engine == "eager":  # scoring has one engine
        ops[SCORE] = _scoring(stack, state, work, device)
    return ops


def of_training(arm: Arm, stack: Stack, state: State, batch: Minibatch | LadderBatch) -> Operations:
    """Forward, forward+backward and step of a stack, as the arm's engine runs them."""
    objective, update, rates = parts_of(stack, arm.engine)
    step = functools.partial(one_step, objective, update, stack.runs[0].optim, rates=rates)
    if arm.bfloat16:
        shade(state)
    leaves = leaves_of(state)

    def forward() -> None:
        objective(leaves, batch)

    def both() -> None:
        gain = objective(leaves, batch)
        torch.autograd.grad(-gain.sum(), list(leaves.values()), materialize_grads=True)

    if arm.engine not in CAPTURED:
        return {FORWARD: forward, BOTH: both, STEP: lambda: step(state, batch)}
    device, block = state.t.device, [batch] * BLOCK
    captured = Captured(step, captured_on(device))
    bodies = {FORWARD: replayed(forward, device), BOTH: replayed(both, device)}
    return {**bodies, STEP: lambda: captured(state, block)}


def replayed(body: Operation, device: torch.device) -> Operation:
    """As many calls of `body` as a block has steps, captured when first called."""

    def once() -> None:
        body()

    capture = functools.cache(lambda: captured_on(device)(once))

    def replay() -> None:
        call = capture()
        for _ in range(BLOCK):
            call()

    return replay


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
        return importance_bound(*inputs(), noise, work.samples, work.rows).bound()

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
    return products_of([stack_of(depths, work)], work, device)


def products_of(stacks: list[Stack], work: Workload, device: torch.device) -> Operations:
    """The same for several stacks, one after the other."""
    training = Products(training_layers(stacks, work), device, DTYPE)
    passes = scoring_layers(stacks, work)
    scoring = {key: Products(key, device, DTYPE, training=False) for key in set(passes)}

    def score() -> None:
        for key in passes:
            scoring[key].forward()

    return {FORWARD: training.forward, BOTH: training.both, STEP: training.both, SCORE: score}


def training_layers(stacks: list[Stack], work: Workload) -> list[Layer]:
    """The dense layers of one step of stacks of hierarchies."""
    return [layer for s in stacks for layer in stacked(s, of_step(s.runs[0], work.pixels))]


def scoring_layers(stacks: list[Stack], work: Workload) -> list[tuple[Layer, ...]]:
    """The dense layers of each pass of L_K."""
    chunks = scoring_chunks(work.images, work.samples, work.rows)
    return [
        tuple(stacked(s, of_pass(s.hierarchy, work.pixels, *chunk)))
        for s in stacks
        for chunk in chunks
    ]


def flops(depths: tuple[int, ...], work: Workload) -> dict[str, int]:
    """Operations counted in the products alone, a multiply-add as two."""
    return flops_of([stack_of(depths, work)], work)


def flops_of(stacks: list[Stack], work: Workload) -> dict[str, int]:
    """The same for several stacks."""
    training, passes = training_layers(stacks, work), scoring_layers(stacks, work)
    forward = sum(layer.forward_flops for layer in training)
    both = forward + sum(layer.backward_flops for layer in training)
    score = sum(layer.forward_flops for key in passes for layer in key)
    return {FORWARD: forward, BOTH: both, STEP: both, SCORE: score}
