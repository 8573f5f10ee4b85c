"""What is timed, by name: forward, forward+backward, step and L_K of each contestant.

Shapes: K lanes, n images, X pixels.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.benchmark import timer

from repro.bench import plain
from repro.bench.arms import BOTH, FORWARD, PIXELS, SCORE, STEP, Arm, Operations, stacks_of
from repro.machine.cuda.graph import Body, Captured, captured_on
from repro.machine.device import scoring_rows, turns
from repro.model import layers, streams
from repro.model.stack import Stack
from repro.train import evaluate, flat
from repro.train import step as steps
from repro.train.minibatch import BLOCK, LadderBatch, Minibatch
from repro.train.score import Images, noise_of
from repro.train.state import State, fresh, shade
from repro.train.tasks import task_of

DTYPE = torch.float32


def seconds_of(op: Callable[[], object]) -> float:
    start = timer()  # work on a CUDA device runs behind: this clock waits for it
    op()
    return timer() - start


def images(n: int, device: torch.device, values: int = 2) -> Tensor:
    """Random ones, [n, X] uint8, binary by default: measuring needs no data set."""
    return streams.below(values, 0, "bench", shape=(n, PIXELS), device=device).to(torch.uint8)


def minibatch(stack: Stack, device: torch.device) -> Minibatch | LadderBatch:
    """One minibatch of random images as training makes it once warmed up, with beta = 1."""
    run, warmed = stack.runs[0], max(run.schedule.warmup_epochs for run in stack.runs)
    grey = images(run.optim.batch, device, values=256)
    classes = np.arange(len(grey), dtype=np.uint8) % 10
    feed = task_of(run).feed(stack, Images(grey, grey, classes, classes))
    found: Minibatch | LadderBatch = next(iter(feed.block(warmed + 1, 0)))
    return found


def of_arm(arm: Arm, device: torch.device) -> Operations:
    """The operations of an arm; a compiled one compiles when first called.

    Several stacks take turns within each, on a CUDA device each on a stream of its own.
    """
    stacks, make = stacks_of(arm), of_plain if arm.engine == "plain" else of_stack
    parts, on = [make(arm, stack, device) for stack in stacks], turns(device, len(stacks))

    def in_turn(name: str) -> None:
        for part, turn in zip(parts, on, strict=True):
            with turn():
                part[name]()

    return {name: functools.partial(in_turn, name) for name in parts[0]}


def of_stack(arm: Arm, stack: Stack, device: torch.device) -> Operations:
    """Forward, forward+backward and step of a stack, as the arm's engine runs them; L_K.

    A captured one is done as often as a block has steps.
    """
    state, batch = fresh(stack, PIXELS, device, DTYPE), minibatch(stack, device)
    if arm.scoring:
        return {SCORE: scoring(arm, stack, state, device)}
    objective, update, rates = steps.parts_of(stack, arm.engine)
    step = functools.partial(steps.step, objective, update, stack.runs[0].optim, rates=rates)
    if arm.bfloat16:
        shade(state)
    if arm.engine != "eager":
        flat.flatten(state)
    leaves = steps.leaves_of(state)
    forward = functools.partial(objective, leaves, batch)

    def both() -> object:
        loss = -forward().sum()
        return torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)

    if arm.engine in steps.CAPTURED:
        captured, block = Captured(step, captured_on(device)), [batch] * BLOCK
        bodies = {FORWARD: replayed(forward, device), BOTH: replayed(both, device)}
        return {**bodies, STEP: lambda: captured(state, block)}
    ops: Operations = {FORWARD: forward, BOTH: both, STEP: lambda: step(state, batch)}
    if arm.engine == "eager" and arm.model == "lvae":  # scoring has one engine
        ops[SCORE] = scoring(arm, stack, state, device)
    return ops


def replayed(body: Body, device: torch.device) -> Body:
    """As many calls of `body` as a block has steps, captured when first called."""
    capture = functools.cache(lambda: captured_on(device)(body))

    def replay() -> None:
        call = capture()
        for _ in range(BLOCK):
            call()

    return replay


def scoring(arm: Arm, stack: Stack, state: State, device: torch.device) -> Body:
    """L_K of all lanes, drawing its noise as a real scoring does."""
    run, rows = stack.runs[0], scoring_rows(device)
    noise = noise_of(run, run.schedule.epochs, device)

    @functools.cache  # built when first called: no part of what a training step holds
    def inputs() -> tuple[layers.Net, Tensor]:
        net = stack.net(state.params)
        x = images(arm.images, device).to(DTYPE).repeat(len(stack.runs), 1, 1)
        return layers.fold(net, evaluate.statistics_pass(net, x, noise)[0]), x

    @torch.no_grad()
    def score() -> object:
        return evaluate.importance_bound(*inputs(), noise, arm.samples, rows)

    return score


def of_plain(arm: Arm, stack: Stack, device: torch.device) -> Operations:
    """The same operations of the model as it is usually written, on the same kind of input."""
    run, batch = stack.runs[0], minibatch(stack, device)
    x = batch.x[0].to(DTYPE)
    noise = [e[0].view(len(x), -1) for e in batch.eps]
    if isinstance(batch, LadderBatch):
        ladder, y = plain.PlainLadder(run.ladder).to(device), batch.y[0]
        x /= run.data.grey_scale
        return plain.training(ladder, run.optim, lambda: ladder(x, y, noise))
    model = plain.PlainLVAE(run.hierarchy, PIXELS).to(device)
    test = images(arm.images, device).to(DTYPE)
    ops = plain.training(model, run.optim, lambda: -model(x, noise).mean())
    return {**ops, SCORE: lambda: plain.importance_bound(model, test, arm.samples)}
