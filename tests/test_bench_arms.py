"""What is measured of an arm, and which arms there are."""

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from fixture_bench import GRID, LADDERS, LVAES, RAGGED, REPEATS, named, tiny  # noqa: F401
from small import CPU
from torch import Tensor

from repro.bench import arms, operations, products
from repro.bench import measure as measuring
from repro.bench.arms import BOTH, FORWARD, SCORE, SINGLE, STEP, Arm, stacks_of
from repro.bench.measure import in_turn, measure, rates
from repro.bench.operations import of_arm
from repro.bench.products import roofline
from repro.errors import UsageError
from repro.machine.memory import HighWater
from repro.train.minibatch import BLOCK

pytestmark = pytest.mark.usefixtures("tiny")
CAPTURED = Arm("captured", "captured", (1,))
COMPILED = Arm("compiled", "compiled", (1,))
LIMITS = {"flop_per_s": 1e6, "bytes_per_s": 1e5}
RATES = {"seconds", "spread", "images_per_s", "flop_per_s", "ratio_to_single", "ratio_to_matmul"}


@functools.cache
def measured(arm: Arm) -> dict[str, Any]:
    """An arm's entry, once, with limits and compiled code that take no time to find."""
    traced = functools.partial(torch.compile, backend="eager")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", traced)
        patch.setattr(products, "limits", lambda device: LIMITS)
        return measure(arm, REPEATS, CPU)


@pytest.mark.parametrize(("arm", "operation", "times", "expected"), [
    (LVAES, STEP, {"arm": [1.0, 2.0, 4.0], "matmul": [0.5, 1.0, 2.0], "single 3": [2.0, 4.0, 8.0]},
     {"ratio_to_single": 0.25, "ratio_to_matmul": 2.0}),  # a machine that slows down
    (LVAES, STEP, {"arm": [0.5] * 2, "matmul": [1.0] * 2, "single 3": [1.0] * 2},
     {"model_steps_per_s": 4, "images_per_s": 4 * 17, "flop_per_s": 20}),  # two lanes count two
    (RAGGED, STEP, {"arm": [7.0] * 2, "matmul": [1.0] * 2, "single 3": [5.0] * 2,
                    "single 2": [4.0] * 2}, {"ratio_to_single": 0.5}),
    (LVAES.single(3), SCORE, {"arm": [2.0] * 2, "matmul": [1.0] * 2},
     {"share_of_matmul_rate": 0.5, "images_per_s": 131 / 2, "ratio_to_single": 1}),
    (GRID, STEP, {"arm": [0.5] * 2, "matmul": [1.0] * 2}, {"model_steps_per_s": 2 * 19}),
    (LADDERS, STEP, {"arm": [0.5] * 2, "matmul": [1.0] * 2, "single 3": [1.0] * 2},
     {"images_per_s": 2 * 40 / 0.5, "ratio_to_single": 0.25}),
])  # fmt: skip
def test_rates_and_ratios_are_those_of_the_times(arm, operation, times, expected):
    found = rates(times, arm, operation, 10)
    assert {name: found[name] for name in expected} == expected
    assert ("ratio_to_single" in found) == (arm is not GRID)


@named("arm", [
    LVAES.single(3), RAGGED, GRID, LADDERS, replace(LADDERS, engine="plain"), CAPTURED,
    COMPILED,
])  # fmt: skip
def test_every_operation_has_its_numbers(arm: Arm) -> None:
    arm = arm.single(3) if arm.engine == "plain" else arm
    entry, count = measured(arm), products.counts(arm, CPU)
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
    assert (entry["model"], entry["lanes"], entry["depths"]) == (
        arm.model, len(arm.depths), arm.depths,
    )  # fmt: skip
    limit = roofline(count, LIMITS, entry["operations"][STEP]["seconds"])
    assert entry["roofline"] == pytest.approx(limit, rel=1e-3)
    assert {n: entry["roofline"][n] for n in count} == count


def test_a_captured_operation_does_a_block_and_counts_one() -> None:
    block, one = (measured(a)["operations"][STEP]["seconds"] for a in (CAPTURED, COMPILED))
    assert block < 5 * one


def test_contestants_take_turns_once_the_arm_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    ops = {name: lambda name=name: order.append(name) for name in "ab"}
    times = in_turn(ops, 1)
    assert order == ["a", "b"] * 3
    assert [len(t) for t in times.values()] == [1, 1]
    order.clear()
    monkeypatch.setattr(measuring, "all_times", lambda *_: order.append("measured") or {})
    measure(Arm("", "eager", (3,)), REPEATS, CPU, lambda: order.append("ready"))
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
    of_arm(replace(arm, bfloat16=True), CPU)
    of_arm(arm, CPU)
    assert len(shaded) == 1


def test_the_stacks_of_a_grid_take_their_turns_on_streams_of_their_own(monkeypatch):
    order: list[int] = []

    @contextlib.contextmanager
    def turn(i: int) -> Iterator[None]:
        order.append(i)
        yield

    def turns(_: torch.device, n: int) -> list[Any]:
        return [functools.partial(turn, i) for i in range(n)]

    monkeypatch.setattr(operations, "turns", turns)
    ops, n = of_arm(replace(GRID, engine="captured"), CPU), len(stacks_of(GRID))
    ops[STEP]()
    assert (order, n > 1) == ([*range(n)], True)


def test_forward_backward_and_step_share_one_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(torch, "compile", lambda f, **_: compiled.append(f.__qualname__) or f)
    of_arm(Arm("", "compiled", (3,)), CPU)
    assert len(compiled) == len(set(compiled)) == 2  # the objective and the update


def test_products_are_captured_where_launching_them_would_be_all_that_is_measured(monkeypatch):
    calls: Counter[str] = Counter()
    counting = {n: lambda n=n: calls.update([n]) for n in (FORWARD, BOTH, STEP)}
    monkeypatch.setattr(products, "of_products", lambda *_: dict(counting))
    monkeypatch.setattr(measuring, "replayed", lambda body, _: operations.replayed(body, CPU))
    arm = Arm(SINGLE, "plain", (3,))
    times = measuring.all_times(arm, {STEP: lambda: None}, REPEATS, torch.device("cuda"))
    warm_ups, measured = 3, measuring.WARM_UP + REPEATS
    assert calls == {STEP: warm_ups + BLOCK * measured}
    assert set(times) == {STEP}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("engine", ["captured", "graph"])
def test_captured_arms_are_measured_on_cuda(engine: Any) -> None:
    entry = measure(Arm("", engine, (3, 3, 2)), REPEATS, torch.device("cuda"))
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
    returning = [arm for arm in arms.arms() if not arm.keeps_memory]
    assert [(a.engine, a.model) for a in returning] == [("plain", "lvae"), ("plain", "ladder")]


def test_arms_are_chosen_by_pattern() -> None:
    for cuda, every in ((False, arms.arms()), (True, arms.cuda_arms())):
        assert arms.chosen(None, False, cuda) == every
        compiled = "graph K=4" if cuda else "compiled K=4"
        assert names(arms.chosen(None, True, cuda)) == [SINGLE, "eager K=1", "eager K=4", compiled]
    chosen = names(arms.chosen(f"*d K=2,*r K=2, {SINGLE}", True, False))
    assert chosen == [SINGLE, "eager K=2", "compiled K=2", "ladder compiled K=2"]
    with pytest.raises(UsageError, match="no arm matches 'steam'"):
        arms.chosen("eager*,steam", False, False)
