"""What is timed, by name: forward, forward+backward, step and L_K of each contestant.

Shapes: K lanes (K_i of them have layer i), B images or rows, X pixels, Z_i units.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from repro.bench import plain
from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Arm, Workload, stacks_of
from repro.machine.cuda.graph import Captured, captured_on
from repro.machine.device import turns
from repro.model import layers, streams
from repro.model.stack import Stack
from repro.plan.run import Ladder
from repro.train import evaluate, flat
from repro.train import step as steps
from repro.train.minibatch import BLOCK, LadderBatch, Minibatch
from repro.train.score import noise_of
from repro.train.state import State, fresh, shade

Operation = Callable[[], object]
Operations = dict[str, Operation]

INK, WHITE = 33, 255  # of 256: about the share of a digit's pixels that are ink
DTYPE = torch.float32


def binary(K: int, rows: int, pixels: int, device: torch.device) -> Tensor:
    """Random images as dense as digits, [K, rows, X] uint8: measuring needs no data set."""
    draw = streams.below(256, 0, "bench/images", shape=(K, rows, pixels), device=device)
    return (draw < INK).to(torch.uint8)


def minibatch(stack: Stack, work: Workload, device: torch.device) -> Minibatch | LadderBatch:
    """One minibatch of random images, noise and classes, beta = 1."""
    K, B, model = len(stack.runs), work.labelled, stack.model
    noise = functools.partial(streams.normal, 0, "bench/noise", device=device)
    lr = torch.full((K,), stack.runs[0].optim.lr, device=device)
    if isinstance(model, Ladder):
        eps = [noise(i, shape=(K, 2 * B, m)) for i, m in enumerate(model.sizes)]
        y = streams.below(model.sizes[-1], 0, "bench/classes", shape=(K, B), device=device)
        return LadderBatch(binary(K, 2 * B, model.sizes[0], device) * WHITE, y.long(), eps, lr)
    units = enumerate(model.latents, start=1)
    eps = [noise(i, shape=(stack.lanes.at(i), 1, work.batch, z)) for i, z in units]
    return Minibatch(binary(K, work.batch, work.pixels, device), eps, torch.ones_like(lr), lr)


def per_call(arm: Arm) -> int:
    """How often a call of one of the arm's operations does it: captured ones a block at once."""
    return BLOCK if arm.engine in steps.CAPTURED else 1


def of_arm(arm: Arm, work: Workload, device: torch.device) -> Operations:
    """The operations of an arm; a compiled one compiles when first called.

    Several stacks take turns within each, on a CUDA device each on a stream of its own.
    """
    stacks = stacks_of(arm, work)
    if arm.engine == "plain":
        return of_plain(stacks[0], work, device)
    parts, on = [of_stack(arm, s, work, device) for s in stacks], turns(device, len(stacks))
    if len(parts) == 1:
        return parts[0]

    def in_turn(name: str) -> None:
        for part, turn in zip(parts, on, strict=True):
            with turn():
                part[name]()

    return {name: functools.partial(in_turn, name) for name in parts[0]}


def of_stack(arm: Arm, stack: Stack, work: Workload, device: torch.device) -> Operations:
    """Forward, forward+backward and step of a stack, as the arm's engine runs them; L_K."""
    state, batch = fresh(stack, work.pixels, device, DTYPE), minibatch(stack, work, device)
    if arm.scoring:
        return {SCORE: scoring(stack, state, work, device)}
    objective, update, rates = steps.parts_of(stack, arm.engine)
    step = functools.partial(steps.step, objective, update, stack.runs[0].optim, rates=rates)
    if arm.bfloat16:
        shade(state)
    if arm.engine != "eager":
        flat.flatten(state)
    leaves = steps.leaves_of(state)

    def forward() -> None:
        objective(leaves, batch)

    def both() -> None:
        gain = objective(leaves, batch)
        torch.autograd.grad(-gain.sum(), list(leaves.values()), materialize_grads=True)

    if arm.engine in steps.CAPTURED:
        captured, block = Captured(step, captured_on(device)), [batch] * BLOCK
        bodies = {FORWARD: replayed(forward, device), BOTH: replayed(both, device)}
        return {**bodies, STEP: lambda: captured(state, block)}
    ops: Operations = {FORWARD: forward, BOTH: both, STEP: lambda: step(state, batch)}
    if arm.engine == "eager" and arm.model == "lvae":  # scoring has one engine
        ops[SCORE] = scoring(stack, state, work, device)
    return ops


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


def scoring(stack: Stack, state: State, work: Workload, device: torch.device) -> Operation:
    """L_K of all lanes, drawing its noise as a real scoring does."""
    noise = noise_of(stack.runs[0], stack.runs[0].schedule.epochs, device)

    @functools.cache  # built when first called: no part of what a training step holds
    def inputs() -> tuple[layers.Net, Tensor]:
        net = stack.net(state.params)
        x = binary(len(stack.runs), work.images, work.pixels, device).to(DTYPE)
        return layers.fold(net, evaluate.statistics_pass(net, x, noise)[0]), x

    @torch.no_grad()
    def score() -> Tensor:
        return evaluate.importance_bound(*inputs(), noise, work.samples, work.rows).LK

    return score


def of_plain(stack: Stack, work: Workload, device: torch.device) -> Operations:
    """The same operations of the model as it is usually written, on the same kind of input."""
    run, batch = stack.runs[0], minibatch(stack, work, device)
    x = batch.x[0].to(DTYPE)
    if isinstance(batch, LadderBatch):
        ladder = plain.PlainLadder(run.ladder).to(device)
        noise = [e[0] for e in batch.eps]
        return plain.training(ladder, run.optim, x / WHITE, batch.y[0], noise)
    model = plain.PlainLVAE(run.hierarchy, work.pixels).to(device)
    test = binary(1, work.images, work.pixels, device)[0].to(DTYPE)
    ops = plain.training(model, run.optim, x, [e[0, 0] for e in batch.eps])
    return {**ops, SCORE: lambda: plain.importance_bound(model, test, work.samples)}
