"""Captured steps: one step is recorded once, then replayed a block at a time without the host.

A recording reads and writes fixed places: the state, which a step changes in place, and buffers
that hold the minibatches of one block. Which of them a step reads is counted on the device.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from repro.train.flat import flatten
from repro.train.minibatch import BLOCK, Batches, each
from repro.train.state import State

Body = Callable[[], object]
Capture = Callable[[Body], Body]
WARM_UPS = 3  # calls before a recording: kernels are compiled and loaded, workspaces allocated


def captured_on(device: torch.device) -> Capture:
    """How a body is captured on a device."""
    return record if device.type == "cuda" else again


def record(body: Body) -> Body:
    """A CUDA graph of `body`. Its warm-up changes what `body` changes, the recording does not.

    Each is recorded on a stream of its own, as products keep one workspace a stream: graphs that
    are replayed side by side must not share it. While one is recorded nothing else may run.
    """
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    current = torch.cuda.current_stream()
    side.wait_stream(current)
    with torch.cuda.stream(side):
        warm_up(body)
    current.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=side):
        body()
    replay: Body = graph.replay
    return replay


def again(body: Body) -> Body:
    """Where nothing can be captured: the body itself, warmed up as for a recording."""
    warm_up(body)
    return body


def warm_up(body: Body) -> None:
    for _ in range(WARM_UPS):
        body()


class Blocks:
    """The minibatches of another feed, all those of a block at once: what `Captured` takes."""

    def __init__(self, feed: Batches) -> None:
        self.feed, self.steps = feed, feed.steps

    def block(self, epoch: int, first: int) -> Iterator[list[Any]]:
        """One item: the minibatches of one block, from step `first` of an epoch."""
        yield list(self.feed.block(epoch, first))


class Captured:
    """Steps of one state: `captured(state, minibatches of a block)`.

    The first call flattens the state and captures `step`; the state's numbers are then what they
    were. From there on a call refills the buffers and replays; nothing of it waits for the device.
    """

    def __init__(self, step: Callable[[State, Any], None], capture: Capture) -> None:
        self.step, self.capture = step, capture
        self._buffers: Any = None  # a minibatch with a leading axis of BLOCK steps
        self._replay: Body | None = None

    def __call__(self, state: State, batches: list[Any]) -> None:
        if self._replay is None:
            self._allocate(state, batches[0])
        self._fill(batches)
        if self._replay is None:
            self._replay = self._captured()
        assert state is self._state, "a captured step belongs to the state it was captured with"
        self._at.zero_()
        for _ in batches:
            self._replay()

    def _allocate(self, state: State, batch: Any) -> None:
        flatten(state)
        self._state = state
        self._buffers = each(lambda t: t.new_zeros((BLOCK, *t.shape)), batch)
        self._at = torch.zeros(1, dtype=torch.int64, device=state.t.device)

    def _fill(self, batches: list[Any]) -> None:
        """Minibatch s to row s of the buffers; on a device after the steps that still read them."""
        n = len(batches)
        each(lambda rows, *ts: torch.stack(ts, out=rows[:n]), self._buffers, *batches)

    def _one_step(self) -> None:
        batch = each(lambda rows: rows.index_select(0, self._at).squeeze(0), self._buffers)
        self.step(self._state, batch)
        self._at += 1

    def _captured(self) -> Body:
        """Capture a step and undo what its warm-up did."""
        changed = changed_by_a_step(self._state)
        before = [t.clone() for t in changed]
        replay = self.capture(self._one_step)
        for t, value in zip(changed, before, strict=True):
            t.copy_(value)
        return replay


def changed_by_a_step(state: State) -> list[Tensor]:
    """Parameters and their shadows, moments, the count of updates and the epoch's sums."""
    parts = (state.params, state.m, state.v, state.shadows)
    return [*(t for part in parts for t in part.values()), state.t, state.sums]
