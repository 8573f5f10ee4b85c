"""Captured steps, where a capture only calls again: buffers, counter, refill, undone warm-up."""

import functools
from collections.abc import Iterator
from typing import Any

import ladder_small
import pytest
import small
import torch
from small import assert_equal, epoch_of, flat
from torch import Tensor

from repro.machine.cuda.graph import WARM_UPS, Blocks, Body, Captured, again, changed_by_a_step
from repro.model import streams
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.train.feed import Feed
from repro.train.flat import ALIGNMENT, flatten, gathered, update_flat
from repro.train.ladder_feed import LadderFeed
from repro.train.log import LaneLog, Log
from repro.train.loop import train
from repro.train.minibatch import BLOCK, Batches, each
from repro.train.state import State, fresh
from repro.train.step import CAPTURED, step_function, update_of

STACKS: list[Any] = [
    pytest.param((small.run("vae", batch_norm=False),), id="vae"),
    pytest.param((small.run("lvae", seed=1), small.run("lvae", seed=2)), id="lvae"),
    pytest.param((small.run("lvae"), small.run("lvae", 2), small.run("lvae", 2, 2)), id="ragged"),
    pytest.param((ladder_small.run(1), ladder_small.run(2)), id="ladder"),
]
ONE = (small.run(),)
RAGGED = (small.run("lvae"), small.run("lvae", 2))


def prepared(
    runs: tuple[Run, ...], dtype: torch.dtype, device: torch.device = small.CPU
) -> tuple[Stack, State, Batches]:
    stack = Stack(runs)
    if runs[0].labels:
        images = ladder_small.images()
        images.train = images.train.to(device)
        state = fresh(stack, ladder_small.SIZES[0], device, dtype)
        return stack, state, LadderFeed(stack, images, dtype)
    grey = torch.from_numpy(small.grey(31 * small.BATCH)).to(device)
    return stack, fresh(stack, small.PIXELS, device, dtype), Feed(stack, grey, dtype)


def blocks_of(feed: Batches, epochs: int = 2) -> Iterator[list[Any]]:
    for epoch in range(1, epochs + 1):
        for first in range(0, feed.steps, BLOCK):
            yield from Blocks(feed).block(epoch, first)


def copies(state: State) -> list[Tensor]:
    return [t.clone() for t in changed_by_a_step(state)]


def trained(runs: tuple[Run, ...], engine: str, dtype: torch.dtype, epochs: int = 2) -> State:
    """The state after some epochs."""
    stack, state, feed = prepared(runs, dtype)
    step = step_function(stack, engine)
    captured = Captured(step, again)
    for batches in blocks_of(feed, epochs):
        if engine in CAPTURED:
            captured(state, batches)
            continue
        for batch in batches:
            step(state, batch)
    return state


def assert_close(ours: State, expected: State) -> None:
    pairs = zip(copies(ours), copies(expected), strict=True)
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.fixture
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given to the compiler, as it is."""
    monkeypatch.setattr(torch, "compile", lambda f, **_: f)


@pytest.mark.usefixtures("_uncompiled")
@pytest.mark.parametrize("engine", ["captured", "compiled"])
@pytest.mark.parametrize("runs", STACKS)
def test_epochs_of_flat_updates_are_eager_ones(runs: tuple[Run, ...], engine: str) -> None:
    """But for rounding: a gradient's norm is summed in another order."""
    assert_close(*(trained(runs, name, torch.float64) for name in (engine, "eager")))


@pytest.mark.usefixtures("_uncompiled")
@pytest.mark.parametrize("engine", ["captured", "compiled"])
@pytest.mark.parametrize("runs", STACKS[3:])
def test_without_clipping_they_are_eager_ones_to_the_last_bit(runs, engine):
    ours, expected = (trained(runs, name, torch.float32) for name in (engine, "eager"))
    assert_equal(copies(ours), copies(expected))


@pytest.mark.parametrize("runs", STACKS[2:])
def test_an_epoch_of_graphs_is_an_eager_one(runs, monkeypatch):
    """Traced and differentiated ahead of time; on CUDA what Inductor makes of it is held to it."""
    ahead = functools.partial(torch.compile, backend="aot_eager", fullgraph=True, dynamic=False)
    monkeypatch.setattr(torch, "compile", lambda f, dynamic, options=None: ahead(f))
    ours, expected = (trained(runs, engine, torch.float64, 1) for engine in ("graph", "eager"))
    assert_close(ours, expected)


@pytest.mark.parametrize("runs", STACKS)
def test_a_flattened_state_has_the_same_numbers_in_one_place(runs: tuple[Run, ...]) -> None:
    _, state, _ = prepared(runs, torch.float32)
    before = copies(state)
    flatten(state)
    assert_equal(copies(state), before)
    assert state.flat is not None
    whole = state.flat.params["all"]
    for p in state.params.values():
        assert p.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
        assert (p.data_ptr() - whole.data_ptr()) % (ALIGNMENT * p.element_size()) == 0
    assert whole.count_nonzero() == sum(p.count_nonzero() for p in state.params.values())


def test_gathered_gradients_lie_where_their_parameters_do() -> None:
    _, state, _ = prepared(RAGGED, torch.float32)
    flatten(state)
    assert state.flat is not None
    grads = [p.clone() for p in state.params.values()]
    assert torch.equal(gathered(grads), state.flat.params["all"])


@pytest.mark.parametrize(
    "runs",
    [(small.run("lvae", 2), small.run("lvae", 1)), (ladder_small.run(1), ladder_small.run(2))],
    ids=["ragged", "ladder"],
)
def test_a_compiled_update_gathers_gradients_itself_in_one_graph(runs: tuple[Run, ...]) -> None:
    ends = []
    for compiled in (True, False):
        stack, state, _ = prepared(runs, torch.float64)
        flatten(state)
        update = update_flat(update_of(stack))
        if compiled:
            torch._dynamo.reset()
            update = torch.compile(update, backend="aot_eager", fullgraph=True, dynamic=False)
        draw = torch.Generator().manual_seed(1)
        grads = [torch.randn(p.shape, generator=draw).double() for p in state.params.values()]
        for _ in range(2):
            state.t += 1
            update(state, grads, torch.full((len(runs),), 1e-3).double(), state.t * 1e-4)
        ends.append(copies(state))
    assert_equal(*ends)


def test_a_block_is_all_the_minibatches_that_its_feed_draws() -> None:
    _, _, feed = prepared(ONE, torch.float32)
    (batches,) = Blocks(feed).block(2, BLOCK)
    expected = list(feed.block(2, BLOCK))
    assert len(batches) == len(expected) == feed.steps - BLOCK
    for ours, theirs in zip(batches, expected, strict=True):
        assert_equal(flat(ours), flat(theirs))


class Noted:
    """A step that notes the minibatches it is given, and where they came from."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, state: State, batch: Any) -> None:
        self.seen.append(each(torch.clone, batch))
        state.t += 1


def test_each_step_reads_its_own_minibatch_and_a_refill_the_next_block_s() -> None:
    _, state, feed = prepared(ONE, torch.float32)
    step = Noted()
    captured = Captured(step, again)
    expected = [batch for batches in blocks_of(feed) for batch in batches]
    for batches in blocks_of(feed):
        captured(state, batches)
    seen = step.seen[WARM_UPS:]
    assert len(seen) == len(expected) == 2 * feed.steps
    for ours, theirs in zip(seen, expected, strict=True):
        assert_equal(flat(ours), flat(theirs))


def test_minibatches_are_read_from_the_same_memory_in_every_block() -> None:
    _, state, feed = prepared(ONE, torch.float32)
    captured = Captured(Noted(), again)
    places = []
    for batches in blocks_of(feed):
        captured(state, batches)
        places.append([t.data_ptr() for t in flat(captured._buffers)])
    assert len(places) == 4
    assert all(place == places[0] for place in places)


def test_a_step_is_captured_once() -> None:
    stack, state, feed = prepared(ONE, torch.float32)
    captures: list[Body] = []

    def counting(body: Body) -> Body:
        captures.append(body)
        return again(body)

    captured = Captured(step_function(stack, "captured"), counting)
    for batches in blocks_of(feed):
        captured(state, batches)
    assert len(captures) == 1


@pytest.mark.parametrize("runs", STACKS)
def test_what_the_warm_up_did_is_undone(runs: tuple[Run, ...]) -> None:
    stack, state, feed = prepared(runs, torch.float32)
    state.sums += 3
    before, moved = copies(state), []

    def warmed(body: Body) -> Body:
        again(body)
        moved.extend(copies(state))
        return lambda: None

    captured = Captured(step_function(stack, "captured"), warmed)
    captured(state, list(feed.block(1, 0)))
    assert float(moved[-2]) == WARM_UPS
    assert not any(torch.equal(a, b) for a, b in zip(moved[:1], before[:1], strict=True))
    assert_equal(copies(state), before)


def test_a_captured_step_refuses_another_state() -> None:
    stack, state, feed = prepared(ONE, torch.float32)
    captured, batches = Captured(step_function(stack, "captured"), again), list(feed.block(1, 0))
    captured(state, batches)
    with pytest.raises(AssertionError, match="belongs to the state"):
        captured(prepared(ONE, torch.float32)[1], batches)


# Numbers on the device `meta` cannot be read: whatever would wait for a device fails there.

META = torch.device("meta")


def unreadable(state: State) -> State:
    params, m, v = ({n: p.to(META) for n, p in d.items()} for d in (state.params, state.m, state.v))
    return State(params, m, v, state.t.to(META), state.sums.to(META), state.alive.to(META))


class Unreadable:
    """A feed on the device `meta`."""

    def __init__(self, feed: Batches) -> None:
        self.feed, self.steps = feed, feed.steps

    def block(self, epoch: int, first: int) -> Iterator[Any]:
        for batch in self.feed.block(epoch, first):
            yield each(lambda t: t.to(META), batch)


def once(body: Body) -> Body:
    """As on a device: the body is called while it is recorded, and no more in a replay."""
    body()
    return lambda: None


@pytest.mark.parametrize("runs", STACKS)
def test_an_epoch_reads_nothing_off_the_device_before_its_end(runs: tuple[Run, ...]) -> None:
    stack, state, feed = prepared(runs, torch.float32)
    captured = Captured(step_function(stack, "captured"), once)
    log, seen = Log([LaneLog() for _ in runs]), list[int]()
    blocks = train(
        stack, Blocks(Unreadable(feed)), unreadable(state), log, captured,
        lambda k, epoch: pytest.fail("scored"),
    )  # fmt: skip
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        small.finished(blocks, lambda: seen.append(log.step))
    assert seen == [*range(BLOCK, feed.steps, BLOCK), feed.steps]


def test_a_step_that_reads_a_number_off_the_device_would_fail() -> None:
    stack, state, feed = prepared(ONE, torch.float32)
    make = step_function(stack, "captured")

    def reading(state: State, batch: Any) -> None:
        make(state, batch)
        state.sums += float(state.t)

    with pytest.raises(RuntimeError, match="meta"):
        Captured(reading, once)(unreadable(state), list(Unreadable(feed).block(1, 0)))


@pytest.mark.parametrize("runs", [STACKS[2], STACKS[3]])
def test_the_next_epoch_s_order_is_drawn_before_this_one_s_end_is_waited_for(runs, monkeypatch):
    (_, _, feed), (_, _, fresh_feed) = (prepared(runs, torch.float32) for _ in range(2))
    drawn: list[tuple[Any, ...]] = []
    permutation = streams.permutation

    def noting(n: int, seed: int, stream: str, *at: int) -> Tensor:
        drawn.append((stream, *at))
        return permutation(n, seed, stream, *at)

    monkeypatch.setattr(streams, "permutation", noting)
    epoch_of(feed)
    assert set(drawn) == {("order", 1), ("order", 2)}
    drawn.clear()
    ours = epoch_of(feed, 2)
    assert drawn == []  # nor of an epoch behind the last
    for a, b in zip(ours, epoch_of(fresh_feed, 2), strict=True):
        assert_equal(flat(a), flat(b))
