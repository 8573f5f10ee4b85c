"""Stacks of tiny Runs, and their state after some steps of an engine."""

from collections.abc import Iterator
from typing import Any

import ladder_small
import pytest
import small
import torch
from torch import Tensor

from repro.machine.cuda.graph import Blocks, Captured, captured_on, changed_by_a_step
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.train.feed import Feed
from repro.train.ladder_feed import LadderFeed
from repro.train.minibatch import BLOCK, Batches
from repro.train.state import State, fresh, shade
from repro.train.step import CAPTURED, step_function

STACKS: list[Any] = [
    pytest.param((small.run("vae", batch_norm=False),), id="vae"),
    pytest.param((small.run("lvae", seed=1), small.run("lvae", seed=2)), id="lvae"),
    pytest.param((small.run("lvae"), small.run("lvae", 2), small.run("lvae", 2, 2)), id="ragged"),
    pytest.param((ladder_small.run(1), ladder_small.run(2)), id="ladder"),
]


def prepared(
    *runs: Run, dtype: torch.dtype = torch.float64, device: torch.device = small.CPU
) -> tuple[Stack, State, Batches]:
    """A stack, its state before the first step, and minibatches: a hierarchy's in two blocks."""
    stack = Stack(runs)
    if runs[0].labels:
        images = ladder_small.images()
        images.train = images.train.to(device)
        state = fresh(stack, ladder_small.SIZES[0], device, dtype)
        return stack, state, LadderFeed(stack, images, dtype)
    grey = torch.from_numpy(small.grey(31 * small.BATCH)).to(device)
    return stack, fresh(stack, small.PIXELS, device, dtype), Feed(stack, grey, dtype)


def blocks_of(feed: Batches, epochs: int) -> Iterator[list[Any]]:
    for epoch in range(1, epochs + 1):
        for first in range(0, feed.steps, BLOCK):
            yield from Blocks(feed).block(epoch, first)


def stepped(
    *runs: Run,
    engine: str = "eager",
    dtype: torch.dtype = torch.float64,
    steps: int = 10,
    epochs: int = 0,
    rounded: bool = False,
    device: torch.device = small.CPU,
) -> State:
    """The state after the first steps, or after whole epochs."""
    stack, state, feed = prepared(*runs, dtype=dtype, device=device)
    if rounded:
        shade(state)
    step = step_function(stack, engine)
    captured = Captured(step, captured_on(device))
    for batches in blocks_of(feed, epochs) if epochs else [list(feed.block(1, 0))[:steps]]:
        if engine in CAPTURED:
            captured(state, batches)
            continue
        for batch in batches:
            step(state, batch)
    return state


def copies(state: State) -> list[Tensor]:
    return [t.clone() for t in changed_by_a_step(state)]


def assert_near(ours: State, expected: State, rtol: float = 1e-8, atol: float = 1e-10) -> None:
    for a, b in zip(changed_by_a_step(ours), changed_by_a_step(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)
