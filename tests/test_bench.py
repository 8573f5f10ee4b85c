"""Benchmarks measure what they say: a fair single model, the products of a step, and no more."""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from small import CPU
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from repro.bench import measure as measuring
from repro.bench import operations, plain, products, roofline
from repro.bench.arms import (
    BOTH,
    FORWARD,
    SCORE,
    SINGLE,
    STEP,
    Arm,
    Workload,
    arms,
    cuda_arms,
    known_arms,
    quick_arms,
    select,
    stacks_of,
)
from repro.bench.measure import in_turn, measure, rates
from repro.bench.operations import minibatch, of_arm
from repro.bench.products import of_products
from repro.bench.roofline import Counts, Limits, share
from repro.errors import UsageError
from repro.machine.memory import HighWater
from repro.model.layers import Params
from repro.model.stack import Stack
from repro.train.minibatch import BLOCK, LadderBatch, Minibatch
from repro.train.state import State, fresh
from repro.train.step import objective_of, step_function

torch.set_num_threads(1)  # products this small are slower on two

TINY = Workload(
    latents=(5, 3, 2), widths=(13, 11, 7), pixels=19, batch=17, images=131, samples=67,
    all_images=73, all_samples=5, ladder=(19, 13, 7, 5), labelled=15,
    warmup=1, repeats=2, scoring_repeats=2,
)  # fmt: skip
LVAES, RAGGED = Arm("lvae", "eager", (3, 3)), Arm("ragged", "eager", (3, 3, 2))
LADDERS = Arm("ladder", "eager", (3, 3), "ladder")
GRID = Arm("grid", "eager", (*(3,) * 4, *(2,) * 4, *(1,) * 3), "mnist")
CAPTURED = Arm("captured", "captured", (1,))
COMPILED = Arm("compiled", "compiled", (1,))
LIMITS = Limits(1e6, 1e5)
RATES = {*("seconds", "spread", "images_per_s", "flop_per_s", "ratio_to_single", "ratio_to_matmul")}
named = pytest.mark.parametrize
each = {"ids": lambda value: getattr(value, "name", value)}


# The single models.


def copied(params: Params, k: int, stack: Stack) -> Any:
    """The plain model with lane k's parameters, in float64."""
    model: Any

    def fill(name: str, linear: Any, norm: Any = None, half: int | None = None) -> None:
        """half: of two heads side by side."""
        part = {n: params[f"{name}.{n}"][k] for n in ("W", "beta", "gamma") if n != "gamma" or norm}
        if half is not None:
            part = {n: p.chunk(2, -1)[half] for n, p in part.items()}
        linear.weight.copy_(part["W"].T)
        (norm or linear).bias.copy_(part["beta"])
        if norm:
            norm.weight.copy_(part["gamma"])

    def fill_pair(name: str, mlp: Any, heads: Any) -> None:
        parts = [m for m in mlp if not isinstance(m, nn.LeakyReLU)]
        fill(f"{name}.a", *parts[:2])
        fill(f"{name}.b", *parts[2:])
        for half, head in enumerate(heads):
            fill(f"{name}.head", *head, half=half)

    with torch.no_grad():
        if stack.runs[0].model.family == "ladder":
            model, L = plain.PlainLadder(stack.runs[0].ladder).double(), stack.model.depth
            for i in range(L):
                model.W[i].weight.copy_(params[f"f{i + 1}.W"][k].T)
                model.beta[i].copy_(params[f"f{i + 1}.beta"][k])
                model.V[i].weight.copy_(params[f"g{i}.V"][k].T)
            for i in range(L + 1):
                model.g[i].a.copy_(params[f"g{i}.a"][k])
            model.gamma.copy_(params[f"f{L}.gamma"][k])
            return model
        model = plain.PlainLVAE(stack.hierarchy, TINY.pixels).double()
        for letter, mlps, heads in (
            ("d", model.up, model.up_heads),
            ("p", model.down, model.down_heads),
        ):
            for i, pair in enumerate(zip(mlps, heads, strict=True), start=1):
                fill_pair(f"{letter}{i}", *pair)
        fill_pair("x", model.decoder, ())
        fill("x.out", model.out)
        return model


def double(batch: Minibatch | LadderBatch) -> Any:
    eps = [e.double() for e in batch.eps]
    if isinstance(batch, LadderBatch):
        return LadderBatch(batch.x, batch.y, eps, batch.lr.double())
    return Minibatch(batch.x, eps, batch.beta.double(), batch.lr.double())


def inputs(batch: Any, k: int) -> tuple[Any, ...]:
    """Of the plain model, in place of lane k."""
    if isinstance(batch, LadderBatch):
        return batch.x[k].double() / 255, batch.y[k], [e[k] for e in batch.eps]
    return batch.x[k].double(), [e[k, 0] for e in batch.eps]


@pytest.fixture(params=[LVAES, LADDERS], **each)  # type: ignore[call-overload]
def pair(request: pytest.FixtureRequest) -> tuple[Stack, State, Any]:
    """Two lanes in float64, their parameters moved; Adam's epsilon stands where torch has it."""
    (stack,) = stacks_of(request.param, TINY)
    usual = (replace(run, optim=replace(run.optim, eps_form="usual")) for run in stack.runs)
    stack = Stack(tuple(usual))
    state = fresh(stack, TINY.pixels, CPU, torch.float64)
    g = torch.Generator().manual_seed(1)
    for p in state.params.values():
        p += 0.2 * torch.randn(p.shape, generator=g, dtype=torch.float64)
    return stack, state, double(minibatch(stack, TINY, CPU))


@named("lane", [0, 1])
def test_the_plain_model_has_the_loss_of_our_lane(pair: Any, lane: int) -> None:
    stack, state, batch = pair
    theirs = copied(state.params, lane, stack).loss(*inputs(batch, lane))
    ours = -objective_of(stack)(state.params, batch)[lane]
    torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=0)


def test_the_plain_training_step_is_that_of_our_lane(pair: Any) -> None:
    stack, state, batch = pair
    model, ours = copied(state.params, 0, stack), step_function(stack, "eager")
    theirs = plain.training(model, stack.runs[0].optim, *inputs(batch, 0))[STEP]
    for _ in range(3):
        theirs()
        ours(state, batch)
    trained = copied(state.params, 0, stack).state_dict()
    for name, value in model.named_parameters():
        # Clipping divides by n + 1e-6 here and by n + 1e-7 there.
        torch.testing.assert_close(value.detach(), trained[name], rtol=1e-6, atol=1e-8)


@named(("arm", "expected"), [(Arm("", "plain", (5,)), 1_859_424), (
    Arm("", "plain", (6,), "ladder"), 3_105_710)])  # fmt: skip
def test_the_plain_model_has_as_many_parameters_as_our_lane(arm: Arm, expected: int) -> None:
    (stack,) = stacks_of(arm, Workload())
    run = stack.runs[0]
    model = (
        plain.PlainLadder(run.ladder)
        if arm.model == "ladder"
        else plain.PlainLVAE(run.hierarchy, 784)
    )
    assert sum(p.numel() for p in model.parameters()) == expected
    assert roofline.counts([stack], Workload()).parameters == expected


def test_the_plain_bound_averages_importance_weights_of_fresh_draws() -> None:
    (stack,) = stacks_of(Arm("", "plain", (3,)), TINY)
    model = plain.PlainLVAE(stack.hierarchy, TINY.pixels)
    x = operations.binary(1, 29, TINY.pixels, CPU)[0].float()
    torch.manual_seed(1)
    bound = plain.importance_bound(model, x, 7)
    torch.manual_seed(1)
    weights = torch.stack([model.eval()(x).exp() for _ in range(7)])
    torch.testing.assert_close(bound, weights.mean(0).log())


# The products.


class Recorder(TorchDispatchMode):
    """Counts matrix products by (lanes, rows, inner, columns)."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[tuple[int, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in ("mm", "addmm", "matmul", "mv")
        if name in ("bmm", "baddbmm"):
            a, b = args[-2:] if name == "bmm" else args[1:3]
            self.products[(*a.shape, b.shape[2])] += 1
        return func(*args, **(kwargs or {}))


def seen(op: Callable[[], object]) -> tuple[Counter[tuple[int, ...]], int]:
    """Products and FLOPs of an operation, once all that is prepared once is prepared."""
    op()
    with Recorder() as recorder:
        op()
    with FlopCounterMode(display=False) as counter:
        op()
    return recorder.products, int(counter.get_total_flops())


@named("operation", [FORWARD, BOTH, STEP, SCORE])
@named("arm", [LVAES, RAGGED, LADDERS, GRID], **each)
def test_products_alone_and_flops_are_those_of_the_operation(arm: Arm, operation: str) -> None:
    ours = of_arm(arm, TINY, CPU)
    assert (SCORE in ours) == (arm.model == "lvae")
    if operation in ours:
        stacks, (multiplied, flops) = stacks_of(arm, TINY), seen(ours[operation])
        assert seen(of_products(stacks, TINY, CPU)[operation])[0] == multiplied
        assert products.flops(stacks, TINY)[operation] == flops
        if operation == STEP:
            assert roofline.counts(stacks, TINY).flops == flops


def test_an_arm_about_scoring_scores_all_images_with_all_samples() -> None:
    arm = Arm("L_5000", "eager", (3,), scoring=True)
    work = TINY.of(arm)
    ops = of_arm(arm, work, CPU)
    assert list(ops) == [SCORE]
    assert ops[SCORE]().shape == (1, TINY.all_images)  # type: ignore[attr-defined]
    assert products.flops(stacks_of(arm, work), work)[SCORE] == seen(ops[SCORE])[1]


# d1: 19-13-13-2x5, d2: 13-11-11-2x3, p1: 3-11-11-2x5, x: 5-13-13-19.
WEIGHTS = 19 * 13 + 13 * 13 + 13 * 10 + 13 * 11 + 11 * 11 + 11 * 6
WEIGHTS += 3 * 11 + 11 * 11 + 11 * 10 + 5 * 13 + 13 * 13 + 13 * 19
OUTPUTS = 13 + 13 + 10 + 11 + 11 + 6 + 11 + 11 + 10 + 13 + 13 + 19
UP = 19 * 13 + 13 * 7 + 7 * 5  # of the Ladder network: 30 corrupted rows, 15 clean, 15 decoded


@named(("arm", "expected"), [
    (Arm("lvae", "eager", (2, 2)), Counts(
        flops=2 * 2 * 17 * (3 * WEIGHTS - 19 * 13),  # images need no gradient
        parameters=2 * (WEIGHTS + OUTPUTS + OUTPUTS - 19),  # shifts, and scales but for the pixels
        activations=2 * 17 * OUTPUTS)),
    (Arm("ladder", "eager", (3,), "ladder"), Counts(
        flops=2 * (3 * 60 * UP - 45 * 19 * 13),
        parameters=2 * UP + (13 + 7 + 5) + 5 + 10 * (19 + 13 + 7 + 5),
        activations=45 * (13 + 7 + 5) + 15 * (7 + 13 + 19))),
], **each)  # fmt: skip
def test_counts_are_those_made_by_hand(arm: Arm, expected: Counts) -> None:
    found = roofline.counts(stacks_of(arm, TINY), TINY)
    assert found == expected
    assert found.bytes == 4 * (2 * 4 * found.parameters + 2 * found.activations)


# The roofline.


@named(("flops", "expected"), [(600, 6.0), (200, 5.0)], ids=["products", "bytes"])
def test_the_bound_is_the_longer_of_products_and_traffic(flops: int, expected: float) -> None:
    count = Counts(flops, 10, 45)
    found = share(count, Limits(100.0, count.bytes / 5.0), 10.0)
    assert found["bound_seconds"] == 10 * found["fraction"] == pytest.approx(expected)


def test_limits_are_flops_and_bytes_of_the_quickest_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(roofline.SIDE, "cpu", 10)
    monkeypatch.setitem(roofline.COPIED, "cpu", 100)
    seconds = iter([9.0, 2.0, 9.0, 9.0, 9.0, 9.0, 9.0, 4.0, 9.0, 9.0])
    assert roofline.limits(CPU, lambda op: next(seconds)) == Limits(2 * 10**3 / 2, 2 * 100 / 4)


@functools.cache
def measured(arm: Arm) -> dict[str, Any]:
    """An arm's entry, once, with limits and compiled code that take no time to find."""
    traced = functools.partial(torch.compile, backend="eager")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", traced)
        patch.setattr(roofline, "limits", lambda device, seconds_of: LIMITS)
        return measure(arm, TINY, CPU)


# Rates, and an arm's entry.


@named(("arm", "operation", "times", "expected"), [
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
    Arm(SINGLE, "plain", (3,)), RAGGED, GRID, LADDERS, replace(LADDERS, engine="plain"), CAPTURED,
    COMPILED,
], **each)  # fmt: skip
def test_every_operation_has_its_numbers(arm: Arm) -> None:
    arm = arm.single(3) if arm.engine == "plain" else arm
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
    assert (entry["model"], entry["lanes"], entry["depths"]) == (
        arm.model, len(arm.depths), list(arm.depths),
    )  # fmt: skip
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


# How engines run an arm.


@named("arm", [Arm("", "eager", (2,)), LADDERS], **each)
def test_a_rounded_arm_steps_with_shadows(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    shaded: list[Any] = []
    monkeypatch.setattr(operations, "shade", shaded.append)
    of_arm(replace(arm, bfloat16=True), TINY, CPU)
    of_arm(arm, TINY, CPU)
    assert len(shaded) == 1


def test_the_stacks_of_a_grid_take_their_turns_on_streams_of_their_own(monkeypatch):
    order: list[int] = []

    def turns(_: torch.device, n: int) -> list[Any]:
        @contextlib.contextmanager
        def turn(i: int) -> Iterator[None]:
            order.append(i)
            yield

        return [lambda i=i: turn(i) for i in range(n)]

    monkeypatch.setattr(operations, "turns", turns)
    ops, n = of_arm(replace(GRID, engine="captured"), TINY, CPU), len(stacks_of(GRID, TINY))
    ops[STEP]()
    assert (order, n > 1) == ([*range(n)], True)


def test_forward_backward_and_step_share_one_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def compile_(function: Any, **_: Any) -> Any:
        compiled.append(function.__qualname__)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    of_arm(Arm("", "compiled", (3,)), TINY, CPU)
    assert len(compiled) == len(set(compiled)) == 2  # the objective and the update


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
@named("engine", ["captured", "graph"])
def test_captured_arms_are_measured_on_cuda(engine: Any) -> None:
    entry = measure(Arm("", engine, (3, 3, 2)), TINY, torch.device("cuda"))
    assert set(entry["operations"]) == {FORWARD, BOTH, STEP}
    assert 0 < entry["roofline"]["fraction"] < 1


# Which arms there are.


def names(chosen: list[Arm]) -> list[str]:
    return [arm.name for arm in chosen]


def test_arms_cover_both_engines_widths_ragged_stacks_and_ladder_networks() -> None:
    widths = ("K=1", "K=2", "K=4", "K=8", "5-4-3-2", "3x 5-4-3-2")
    assert names(arms()) == [
        *(SINGLE, "eager single (memory returned)"),
        *(f"{engine} {width}" for engine in ("eager", "compiled") for width in widths),
        *("bfloat16 K=1", "bfloat16 K=4", "ladder bfloat16 K=1"),
        *("ladder single", "ladder single (memory returned)", "ladder eager K=1"),
        *(f"ladder compiled K={K}" for K in (1, 2, 4, 10)),
    ]
    assert names([arm for arm in arms() if arm.bfloat16]) == names(arms())[14:17]
    assert "eager K=16" in names(arms(16))
    returning = [arm for arm in arms() if not arm.keeps_memory]
    assert [(a.engine, a.model) for a in returning] == [("plain", "lvae"), ("plain", "ladder")]


def test_arms_for_cuda_are_graphs_of_ever_more_lanes() -> None:
    assert names(cuda_arms()) == [
        SINGLE, "eager K=1", "compiled K=1", "captured K=1",
        "graph K=1", "graph K=4", "graph K=32", "graph K=256",
        "graph 5-4-3-2", "captured MNIST grid",
        "ladder single", "ladder graph K=10", "L_5000",
    ]  # fmt: skip
    others = {"graph K=2", "graph K=512", "graph MNIST grid", "ladder graph K=1"}
    assert others <= set(names(known_arms())) - set(names(cuda_arms()))


def test_the_work_is_the_published_ladder_network_and_the_19_configurations_of_the_grid() -> None:
    (stack,) = stacks_of(Arm("", "plain", (6,), "ladder"), Workload())
    run = stack.runs[0]
    assert run.ladder.sizes == (784, 1000, 500, 250, 250, 250, 10)
    assert run.ladder.cost_weights == (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1)
    assert (run.labelled_batch, run.optim.batch) == (100, 100)
    (arm,) = (arm for arm in cuda_arms() if arm.model == "mnist")
    stacks = stacks_of(arm, Workload())
    assert sorted(len(stack.runs) for stack in stacks) == [4, 5, 10]
    assert len({run.id for stack in stacks for run in stack.runs}) == arm.lanes == 19


def test_arms_are_chosen_by_pattern() -> None:
    assert names([a for a in quick_arms() if a.engine == "compiled"]) == ["compiled K=4"]
    assert names([a for a in quick_arms(cuda=True) if a.needs_cuda]) == ["graph K=4"]
    chosen = names(select(arms(), ["*K=2", SINGLE]))
    assert chosen == [SINGLE, "eager K=2", "compiled K=2", "ladder compiled K=2"]
    with pytest.raises(UsageError, match="no arm matches 'steam'"):
        select(arms(), ["steam"])
