"""What only a CUDA device can show: graph = compiled = eager = single, resume, TF32, memory."""

import dataclasses
import functools

import pytest
import small
import small_steps
import torch
from small_steps import STACKS, assert_near, blocks_of, copies, prepared
from small_training import PROFILE, RUNS, assert_same, hooked

from repro.machine import precision
from repro.machine.cuda.graph import Captured, record
from repro.machine.local import train
from repro.machine.work import Options
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store import Store
from repro.train.step import CAPTURED, step_function

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
CUDA = torch.device("cuda")
stepped = functools.partial(small_steps.stepped, device=CUDA)


@pytest.mark.parametrize("engine", ["compiled", "captured", "graph"])
@pytest.mark.parametrize("runs", STACKS)
def test_ten_steps_are_ten_eager_ones(runs: tuple[Run, ...], engine: str) -> None:
    assert_near(stepped(*runs, engine=engine), stepped(*runs))


@pytest.mark.parametrize("runs", STACKS)
def test_captured_steps_of_a_stack_are_those_of_its_lanes_alone(runs: tuple[Run, ...]) -> None:
    together, stack = stepped(*runs, engine="captured"), Stack(runs)
    for k, run in enumerate(runs):
        alone = stepped(run, engine="captured").params
        for name, p in stack.own(together.params, k).items():
            torch.testing.assert_close(p, alone[name], rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("runs", STACKS)
def test_replays_are_the_same_to_the_last_bit(runs: tuple[Run, ...]) -> None:
    a, b = (stepped(*runs, engine="captured", dtype=torch.float32) for _ in range(2))
    small.assert_equal(copies(a), copies(b))


@pytest.mark.parametrize("runs", STACKS)
def test_no_block_after_the_first_waits_for_the_device(runs: tuple[Run, ...]) -> None:
    stack, state, feed = prepared(*runs, dtype=torch.float32, device=CUDA)
    captured = Captured(step_function(stack, "captured"), record)
    captured(state, next(blocks_of(feed, 1)))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batches in blocks_of(feed, 2):
            captured(state, batches)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(p.isfinite().all() for p in state.params.values())


@pytest.mark.parametrize("engine", ["captured", "graph"])
def test_a_continued_graph_ends_with_the_same_numbers(engine: str, store: Store) -> None:
    options, other = Options(engine=engine), Store(store.root.parent / "other")
    train(RUNS, store, PROFILE, options)
    spent = dataclasses.replace(options, budget_seconds=0.0)
    calls = 1
    while train(RUNS, other, PROFILE, spent).unfinished:
        calls += 1
    assert calls > 4
    assert_same(store, other, *RUNS)


def test_training_on_cuda_captures_and_multiplies_in_tf32(store: Store) -> None:
    train(RUNS, store, PROFILE, Options())
    env = store.record(PROFILE, RUNS[0].id).env
    assert env["engine"] in CAPTURED
    assert env["precision"] == "tf32"


def test_tf32_rounds_products_and_float32_does_not() -> None:
    a, b = (torch.randn(512, 512, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    exact, error = a.double() @ b.double(), {}
    for rounded in (precision.TF32, precision.FLOAT32):
        precision.multiply_in(rounded, CUDA)
        error[rounded] = float(((a.to(CUDA) @ b.to(CUDA)).cpu().double() - exact).abs().max())
    precision.multiply_in(precision.FLOAT32, CUDA)
    assert error[precision.FLOAT32] < 1e-3 < error[precision.TF32] < 1


def test_memory_that_is_really_out_splits_the_stack(store, monkeypatch, capsys):
    def hungry(stack: Stack, _: int) -> None:
        if len(stack.runs) > 1:
            torch.empty(2**50, dtype=torch.uint8, device=CUDA)

    hooked(monkeypatch, hungry)
    assert sorted(train(RUNS, store, PROFILE, Options()).done) == sorted(r.id for r in RUNS)
    assert "in two stacks now" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["captured", "graph"])
def test_stacks_on_streams_of_their_own_record_what_they_do_one_after_the_other(engine, store):
    apart = [small.run(family, 2, scored=(1, 2)) for family in ("lvae", "vae")]
    other, one = Store(store.root.parent / "other"), Options(engine=engine, side_by_side=1)
    assert train(apart, store, PROFILE, Options(engine=engine)).unfinished == []
    train(apart, other, PROFILE, one)
    assert_same(store, other, *apart)
