"""Captured steps, where a capture only calls again: buffers, counter, refill, undone warm-up."""

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import small
import torch
from small import assert_equal, epoch_of, flat
from small_steps import STACKS, assert_near, blocks_of, copies, prepared, stepped
from torch import Tensor

from repro.machine.cuda.graph import WARM_UPS, Blocks, Body, Captured, again
from repro.model import streams
from repro.plan.run import Run
from repro.train.flat import ALIGNMENT, flatten, gathered, update_flat
from repro.train.log import LaneLog, Log
from repro.train.loop import train
from repro.train.minibatch import BLOCK, Batches, each
from repro.train.state import State
from repro.train.step import step_function, update_of

ONE = small.run()
FEW = [pytest.param((small.run("lvae", 2), small.run("lvae", 1)), id="ragged"), STACKS[3]]


@pytest.mark.parametrize("engine", ["captured", "compiled"])
@pytest.mark.parametrize("runs", STACKS)
def test_epochs_of_flat_updates_are_eager_ones(runs, engine, monkeypatch):
    """But for rounding: a gradient's norm is summed in another order. Without clipping exactly."""
    monkeypatch.setattr(torch, "compile", lambda f, **_: f)
    clips = runs[0].optim.clip_norm is not None
    dtype, near = (torch.float64, (1e-8, 1e-10)) if clips else (torch.float32, (0, 0))
    after = functools.partial(stepped, *runs, epochs=2, dtype=dtype)
    assert_near(after(engine=engine), after(), *near)


@pytest.mark.parametrize("runs", STACKS[2:])
def test_an_epoch_of_graphs_is_an_eager_one(runs, monkeypatch):
    """Traced and differentiated ahead of time; on CUDA what Inductor makes of it is held to it."""
    ahead = functools.partial(torch.compile, backend="aot_eager", fullgraph=True, dynamic=False)
    monkeypatch.setattr(torch, "compile", lambda f, dynamic, options=None: ahead(f))
    assert_near(stepped(*runs, engine="graph", epochs=1), stepped(*runs, epochs=1))


@pytest.mark.parametrize("runs", STACKS)
def test_a_flattened_state_has_the_same_numbers_in_one_place(runs: tuple[Run, ...]) -> None:
    """Where gathered gradients have the place of their parameters."""
    _, state, _ = prepared(*runs, dtype=torch.float32)
    before = copies(state)
    flatten(state)
    assert_equal(copies(state), before)
    assert state.flat is not None
    whole = state.flat.params["all"]
    for p in state.params.values():
        assert p.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
        assert (p.data_ptr() - whole.data_ptr()) % (ALIGNMENT * p.element_size()) == 0
    assert whole.count_nonzero() == sum(p.count_nonzero() for p in state.params.values())
    between = state.flat.between
    assert between is not None
    assert torch.equal(gathered([p.clone() for p in state.params.values()], between), whole)


@pytest.mark.parametrize("runs", FEW)
def test_a_compiled_update_gathers_gradients_itself_in_one_graph(runs: tuple[Run, ...]) -> None:
    ends = []
    for compiled in (True, False):
        stack, state, _ = prepared(*runs)
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


def test_each_step_reads_its_own_minibatch_and_a_refill_the_next_block_s() -> None:
    """From the same memory in every block, by a step that is captured once, of one state."""
    _, state, feed = prepared(ONE, dtype=torch.float32)
    seen, captures, places = list[Any](), list[Body](), set()

    def step(_: State, batch: Any) -> None:
        seen.append(each(torch.clone, batch))

    def counting(body: Body) -> Body:
        captures.append(body)
        return again(body)

    captured = Captured(step, counting)
    for batches in blocks_of(feed, 2):
        captured(state, batches)
        places.add(tuple(t.data_ptr() for t in flat(captured._buffers)))
    expected = [*epoch_of(feed, 1), *epoch_of(feed, 2)]
    assert len(expected) == 2 * feed.steps > 2 * BLOCK
    for ours, theirs in zip(seen[WARM_UPS:], expected, strict=True):
        assert_equal(flat(ours), flat(theirs))
    assert (len(captures), len(places)) == (1, 1)
    with pytest.raises(AssertionError, match="belongs to the state"):
        captured(prepared(ONE, dtype=torch.float32)[1], batches)


@pytest.mark.parametrize("runs", STACKS)
def test_what_the_warm_up_did_is_undone(runs: tuple[Run, ...]) -> None:
    stack, state, feed = prepared(*runs, dtype=torch.float32)
    state.sums += 3
    before, moved = copies(state), []

    def warmed(body: Body) -> Body:
        again(body)
        moved.extend(copies(state))
        return lambda: None

    captured = Captured(step_function(stack, "captured"), warmed)
    captured(state, list(feed.block(1, 0)))
    assert float(moved[-2]) == WARM_UPS
    assert not torch.equal(moved[0], before[0])
    assert_equal(copies(state), before)


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
    stack, state, feed = prepared(*runs, dtype=torch.float32)
    captured = Captured(step_function(stack, "captured"), once)
    log, seen = Log([LaneLog() for _ in runs]), list[int]()
    blocks = train(
        stack, Blocks(Unreadable(feed)), unreadable(state), log, captured,
        lambda k, epoch: pytest.fail("scored"),
    )  # fmt: skip
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        small.finished(blocks, lambda: seen.append(log.step))
    assert seen == [*range(BLOCK, feed.steps, BLOCK), feed.steps]


@pytest.mark.parametrize("runs", [STACKS[2], STACKS[3]])
def test_the_next_epoch_s_order_is_drawn_before_this_one_s_end_is_waited_for(runs, monkeypatch):
    (_, _, feed), (_, _, fresh_feed) = (prepared(*runs, dtype=torch.float32) for _ in range(2))
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
