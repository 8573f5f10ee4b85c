"""What is measured of an arm, and which arms there are."""

import contextlib
import functools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from fixture_bench import GRID, LADDERS, LVAES, RAGGED, TINY, named
from small import CPU
from torch import Tensor

from repro.bench import arms, operations, roofline
from repro.bench import measure as measuring
from repro.bench.arms import BOTH, FORWARD, SCORE, SINGLE, STEP, Arm, Workload, stacks_of
from repro.bench.measure import in_turn, measure, rates
from repro.bench.operations import of_arm
from repro.bench.roofline import Limits, share
from repro.errors import UsageError
from repro.machine.memory import HighWater
from repro.train.minibatch import BLOCK

CAPTURED = Arm("captured", "captured", (1,))
COMPILED = Arm("compiled", "compiled", (1,))
LIMITS = Limits(1e6, 1e5)
RATES = {"seconds", "spread", "images_per_s", "flop_per_s", "ratio_to_single", "ratio_to_matmul"}


@functools.cache
def measured(arm: Arm) -> dict[str, Any]:
    """An arm's entry, once, with limits and compiled code that take no time to find."""
    traced = functools.partial(torch.compile, backend="eager")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", traced)
        patch.setattr(roofline, "limits", lambda device, seconds_of: LIMITS)
        return measure(arm, TINY, CPU)


@pytest.mark.parametrize(("arm", "operation", "times", "expected"), [
    (LVAES, STEP, {"arm": [1.0, 2.0, 4.0], "matmul": [0.5, 1.0, 2.0], "single 3": [2.0, 4.0, 8.0]},
     {"ratio_to_single": 0.25, "ratio_to_matmul": 2.0}),  # a machine that slows down
    (LVAES, STEP, {"arm": [0.5] * 2, "matmul": [1.0] * 2, "single 3": [1.0] * 2},
     {"model_steps_per_s": 4, "images_per_s": 4 * 17, "flop_per_s": 20}),  # two lanes count two
    (RAGGED, STEP, {"arm": [7.0] * 2, "matmul": [1.0] * 2, "single 3": [5.0] * 2,
                    "single 2": [4.0] * 2}, {"ratio_to_single": 0.5}),
    (Arm("", "plain", (3,)), SCORE, {"arm": [2.0] * 2, "matmul": [1.0] * 2},
     {"share_of_matmul_rate": 0.5, "images_per_s": 131 / 2, "ratio_to_single": 1}),
    (GRID, STEP, {"arm": [0.5] * 2, "matmul": [1.0] * 2}, {"model_steps_per_s": 2 * 11}),
    (LADDERS, STEP, {"arm": [0.5] * 2, "matmul": [1.0] * 2, "single 3": [1.0] * 2},
     {"images_per_s": 2 * 30 / 0.5, "ratio_to_single": 0.25}),
])  # fmt: skip
def test_rates_and_ratios_are_those_of_the_times(arm, operation, times, expected):
    found = rates(times, arm, operation, TINY, 10)
    assert {name: found[name] for name in expected} == expected
    assert ("ratio_to_single" in found) == (arm is not GRID)


@named("arm", [
    Arm(SINGLE, "plain", (3,)), RAGGED, GRID, LADDERS, LADDERS.single(3), CAPTURED, COMPILED,
])  # fmt: skip
def test_every_operation_has_its_numbers(arm: Arm) -> None:
    entry, count = measured(arm), roofline.counts(stacks_of(arm, TINY), TINY)
    training = {*RATES, "model_steps_per_s"} - ({"ratio_to_single"} if arm is GRID else set())
    expected = dict.fromkeys((FORWARD, BOTH, STEP), training)
    if arm.model == "lvae" and arm.engine in ("plain", "eager"):
        expected[SCORE] = {*RATES, "share_of_matmul_rate"}
    assert {name: set(o) for name, o in entry["operations"].items()} == expected
    assert set(entry["matmul"]) == set(expected)
    assert (entry["compile_seconds"] > 0) == (arm is COMPILED)
    assert all(v > 0 for o in entry["operations"].values() for k, v in o.items() if k != "spread")
    if arm.engine == "plain":
        assert {o["ratio_to_single"] for o in entry["operations"].values()} == {1.0}
    told = entry["model"], entry["lanes"], tuple(entry["depths"])
    assert told == (arm.model, len(arm.depths), arm.depths)
    r = entry["roofline"]
    assert (r["flops"], r["bytes"]) == (count.flops, count.bytes)
    assert (r["flop_per_s"], r["bytes_per_s"]) == LIMITS
    seconds = entry["operations"][STEP]["seconds"]
    assert r["fraction"] == pytest.approx(share(count, LIMITS, seconds)["fraction"], rel=1e-3)


def test_a_captured_operation_does_a_block_and_counts_one() -> None:
    assert operations.per_call(CAPTURED) == BLOCK
    block, one = (measured(a)["operations"][STEP]["seconds"] for a in (CAPTURED, COMPILED))
    assert block < 5 * one


def test_contestants_take_turns_once_the_arm_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    ops = {name: lambda name=name: order.append(name) for name in "ab"}
    times = in_turn(ops, 1, 2, lambda: None)
    assert order == ["a", "b"] * 3
    assert [len(t) for t in times.values()] == [2, 2]
    order.clear()
    monkeypatch.setattr(measuring, "all_times", lambda *_: order.append("measured") or {})
    measure(Arm("", "eager", (3,)), TINY, CPU, lambda: order.append("ready"))
    assert order == ["ready", "measured"]


def test_peak_memory_sees_what_was_freed() -> None:
    held = torch.ones(2**26)  # more than what tests before it have left to the allocator
    peak = HighWater(CPU)
    block: Tensor | None = torch.ones(2**26)
    del block, held
    assert peak.read() >= 0.9 * 2**28


@named("arm", [Arm("", "eager", (2,)), LADDERS])
def test_a_rounded_arm_steps_with_shadows(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    shaded: list[Any] = []
    monkeypatch.setattr(operations, "shade", shaded.append)
    of_arm(replace(arm, bfloat16=True), TINY, CPU)
    of_arm(arm, TINY, CPU)
    assert len(shaded) == 1


def test_the_stacks_of_a_grid_take_their_turns_on_streams_of_their_own(monkeypatch):
    order: list[int] = []

    def turn(i: int) -> contextlib.nullcontext[None]:
        order.append(i)
        return contextlib.nullcontext()

    turns = [functools.partial(turn, i) for i in range(len(stacks_of(GRID, TINY)))]
    monkeypatch.setattr(operations, "turns", lambda *_: turns)
    of_arm(replace(GRID, engine="captured"), TINY, CPU)[STEP]()
    assert order == [0, 1, 2]


def test_products_are_captured_where_launching_them_would_be_all_that_is_measured(monkeypatch):
    calls: Counter[str] = Counter()
    counting = {n: lambda n=n: calls.update([n]) for n in (FORWARD, BOTH, STEP)}
    monkeypatch.setattr(measuring, "of_products", lambda *_: dict(counting))
    monkeypatch.setattr(measuring, "is_launch_bound", lambda _: True)
    arm = Arm(SINGLE, "plain", (3,))
    times = measuring.all_times(arm, {STEP: lambda: None}, TINY, CPU)
    warm_ups, measured = 3, TINY.warmup + TINY.repeats
    assert calls == {STEP: warm_ups + BLOCK * measured}
    assert set(times) == {STEP}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("engine", ["captured", "graph"])
def test_captured_arms_are_measured_on_cuda(engine: Any) -> None:
    entry = measure(Arm("", engine, (3, 3, 2)), TINY, torch.device("cuda"))
    assert set(entry["operations"]) == {FORWARD, BOTH, STEP}
    assert 0 < entry["roofline"]["fraction"] < 1


# Which arms there are.


def names(chosen: list[Arm]) -> list[str]:
    return [arm.name for arm in chosen]


def test_arms_cover_engines_widths_ragged_stacks_and_ladder_networks() -> None:
    here, cuda = names(arms.arms()), names(arms.cuda_arms())
    widths = ("K=1", "K=2", "K=4", "K=8", "5-4-3-2", "3x 5-4-3-2")
    assert {f"{engine} {width}" for engine in ("eager", "compiled") for width in widths} <= {*here}
    rounded = [arm.name for arm in arms.arms() if arm.bfloat16]
    assert rounded == ["bfloat16 K=1", "bfloat16 K=4", "ladder bfloat16 K=1"]
    ladders = {f"ladder compiled K={K}" for K in (1, 2, 4, 10)}
    assert {*ladders, "ladder single", "ladder eager K=1"} <= {*here}
    graphs = {f"graph K={K}" for K in arms.GRAPHS}
    assert {*graphs, "graph 5-4-3-2", "ladder graph K=10"} <= {*cuda}
    assert {"captured MNIST grid", "L_5000"} <= {*cuda}
    on_request = {"graph K=2", "graph K=512", "graph MNIST grid", "ladder graph K=1"}
    assert on_request <= {*names(arms.known_arms())} - {*cuda}
    assert "eager K=16" in names(arms.arms(16))
    returning = [arm for arm in arms.arms() if not arm.keeps_memory]
    assert [(a.engine, a.model) for a in returning] == [("plain", "lvae"), ("plain", "ladder")]


def test_the_work_is_the_published_ladder_network_and_the_19_configurations_of_the_grid() -> None:
    (stack,) = stacks_of(Arm("", "plain", (6,), "ladder"), Workload())
    run = stack.runs[0]
    assert run.ladder.sizes == (784, 1000, 500, 250, 250, 250, 10)
    assert run.ladder.cost_weights == (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1)
    assert (run.labelled_batch, run.optim.batch) == (100, 100)
    single = stacks_of(Arm("", "plain", (5,)), Workload())
    assert roofline.counts(single, Workload()).parameters == 1_859_424
    (arm,) = (arm for arm in arms.cuda_arms() if arm.model == "mnist")
    stacks = stacks_of(arm, Workload())
    assert sorted(len(stack.runs) for stack in stacks) == [4, 5, 10]
    assert len({run.id for stack in stacks for run in stack.runs}) == arm.lanes == 19


def test_arms_are_chosen_by_pattern() -> None:
    quick = [names(arms.quick_arms(cuda))[-1] for cuda in (False, True)]
    assert quick == ["compiled K=4", "graph K=4"]
    chosen = names(arms.select(arms.arms(), ["*K=2", SINGLE]))
    assert chosen == [SINGLE, "eager K=2", "compiled K=2", "ladder compiled K=2"]
    with pytest.raises(UsageError, match="no arm matches 'steam'"):
        arms.select(arms.arms(), ["steam"])
