"""Benchmarks measure what they say: a fair single model, the products of a step, and no more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import torch
from bench_counts import RATES, recorded
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from repro.bench import ladders, operations, plain, roofline, suite
from repro.bench.arms import SINGLE, Arm, Workload, arms, quick_arms, select, stack_of
from repro.bench.measure import in_turn, measure, rates
from repro.bench.memory import HighWater
from repro.bench.operations import BOTH, FORWARD, SCORE, STEP, minibatch
from repro.errors import UsageError
from repro.model.layers import Params
from repro.model.stack import Stack
from repro.train.minibatch import Minibatch
from repro.train.state import State, fresh
from repro.train.step import objective_of, step_function

torch.set_num_threads(1)  # products this small are slower on two

CPU = torch.device("cpu")
TINY = Workload(
    latents=(5, 3, 2), widths=(13, 11, 7), pixels=19, batch=17, images=131, samples=67,
    all_images=73, all_samples=5, ladder=(19, 13, 7, 5), labelled=15,
    warmup=1, repeats=2, scoring_repeats=2,
)  # fmt: skip
UNIFORM, RAGGED = (3, 3), (3, 3, 2)


def double(batch: Minibatch) -> Minibatch:
    eps = [e.double() for e in batch.eps]
    return Minibatch(batch.x, eps, batch.beta.double(), batch.lr.double())


def copied(params: Params, k: int, stack: Stack) -> plain.PlainLVAE:
    """The plain model with lane k's parameters, in float64."""
    model = plain.PlainLVAE(stack.model, TINY.pixels).double()

    def fill(name: str, linears: list[Any], norms: list[Any]) -> None:
        W = params[f"{name}.W"][k].T.chunk(len(linears))
        shift = params[f"{name}.beta"][k].chunk(len(linears))
        for i, linear in enumerate(linears):
            linear.weight.copy_(W[i])
            if not norms:
                linear.bias.copy_(shift[i])
        for i, norm in enumerate(norms):
            norm.weight.copy_(params[f"{name}.gamma"][k].chunk(len(norms))[i])
            norm.bias.copy_(shift[i])

    def fill_pair(name: str, mlp: Any, head: Any) -> None:
        fill(f"{name}.a", [mlp.a], [mlp.norm_a])
        fill(f"{name}.b", [mlp.b], [mlp.norm_b])
        if head is not None:
            fill(f"{name}.head", [head.mu, head.var], [head.norm_mu, head.norm_var])

    with torch.no_grad():
        for i, (mlp, head) in enumerate(zip(model.up, model.up_heads, strict=True), start=1):
            fill_pair(f"d{i}", mlp, head)
        for i, (mlp, head) in enumerate(zip(model.down, model.down_heads, strict=True), start=1):
            fill_pair(f"p{i}", mlp, head)
        fill_pair("x", model.decoder, None)
        fill("x.out", [model.out], [])
    return model


@pytest.fixture
def pair() -> tuple[Stack, State, Minibatch]:
    """Two lanes in float64, their shifts and scales moved away from 0 and 1."""
    stack = stack_of(UNIFORM, TINY)
    state = fresh(stack, TINY.pixels, CPU, torch.float64)
    g = torch.Generator().manual_seed(1)
    for p in state.params.values():
        p += 0.2 * torch.randn(p.shape, generator=g, dtype=torch.float64)
    return stack, state, double(minibatch(stack, TINY, CPU))


@pytest.mark.parametrize("lane", [0, 1])
def test_the_plain_model_has_the_bound_of_our_lane(pair: Any, lane: int) -> None:
    stack, state, batch = pair
    model = copied(state.params, lane, stack)
    theirs = model(batch.x[lane].double(), [e[lane, 0] for e in batch.eps]).mean()
    ours = objective_of(stack)(state.params, batch)[lane]
    torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=0)


def test_the_plain_training_step_is_that_of_our_lane(pair: Any) -> None:
    stack, state, batch = pair
    optim = stack.runs[0].optim
    model = copied(state.params, 0, stack)
    adam = plain.optimiser(model, optim)
    x, eps = batch.x[0].double(), [e[0, 0] for e in batch.eps]
    ours = step_function(stack, "eager")
    for _ in range(3):
        plain.training_step(model, adam, optim, x, eps)
        ours(state, batch)
    trained = copied(state.params, 0, stack).state_dict()
    for name, value in model.named_parameters():
        # Clipping divides by n + 1e-6 here and by n + 1e-7 there.
        torch.testing.assert_close(value.detach(), trained[name], rtol=1e-6, atol=1e-8)


def test_the_plain_model_has_as_many_parameters_as_our_lane() -> None:
    stack = stack_of((5,), Workload())
    ours = sum(p.numel() for p in stack.initial(784).values())
    theirs = sum(p.numel() for p in plain.PlainLVAE(stack.model, 784).parameters())
    assert theirs == ours


def test_the_plain_bound_averages_importance_weights_of_fresh_draws() -> None:
    model = plain.PlainLVAE(stack_of((3,), TINY).model, TINY.pixels)
    x = operations.binary(1, 29, TINY.pixels, CPU)[0].float()
    torch.manual_seed(1)
    bound = plain.importance_bound(model, x, 7)
    torch.manual_seed(1)
    weights = torch.stack([model.eval()(x).exp() for _ in range(7)])
    torch.testing.assert_close(bound, weights.mean(0).log())


@pytest.mark.parametrize("operation", [FORWARD, BOTH, STEP, SCORE])
@pytest.mark.parametrize("depths", [UNIFORM, RAGGED], ids=str)
def test_the_products_alone_are_those_of_the_operation(
    depths: tuple[int, ...], operation: str
) -> None:
    ours = operations.of_arm(Arm("", "eager", depths), TINY, CPU)[operation]
    twin = operations.of_products(depths, TINY, CPU)[operation]
    assert recorded(twin) == recorded(ours)


@pytest.mark.parametrize("operation", [FORWARD, STEP, SCORE])
@pytest.mark.parametrize("depths", [UNIFORM, RAGGED], ids=str)
def test_flops_are_what_torch_counts(depths: tuple[int, ...], operation: str) -> None:
    op = operations.of_arm(Arm("", "eager", depths), TINY, CPU)[operation]
    op()
    with FlopCounterMode(display=False) as counter:
        op()
    assert operations.flops(depths, TINY)[operation] == counter.get_total_flops()


def test_contestants_take_turns() -> None:
    order: list[str] = []
    ops = {name: lambda name=name: order.append(name) for name in "ab"}
    times = in_turn(ops, 1, 2, lambda: None)
    assert order == ["a", "b"] * 3
    assert [len(t) for t in times.values()] == [2, 2]


def test_a_machine_that_slows_down_changes_no_ratio() -> None:
    times = {"arm": [1.0, 2.0, 4.0], "matmul": [0.5, 1.0, 2.0], "single 3": [2.0, 4.0, 8.0]}
    found = rates(times, Arm("", "eager", (3, 3)), STEP, TINY, 10)
    assert (found["ratio_to_single"], found["ratio_to_matmul"]) == (0.25, 2.0)


def test_a_step_of_two_lanes_counts_two() -> None:
    times = {"arm": [0.5, 0.5], "matmul": [1.0, 1.0], "single 3": [1.0, 1.0]}
    found = rates(times, Arm("", "eager", (3, 3)), STEP, TINY, 10)
    assert found["model_steps_per_s"] == 4
    assert found["images_per_s"] == 4 * TINY.batch
    assert found["flop_per_s"] == 20


def test_ragged_lanes_are_held_against_single_models_of_their_depths() -> None:
    times = {"arm": [7.0, 7.0], "matmul": [1.0, 1.0], "single 3": [5.0] * 2, "single 2": [4.0] * 2}
    found = rates(times, Arm("", "eager", RAGGED), STEP, TINY, 10)
    assert found["ratio_to_single"] == 0.5


def test_scoring_is_a_share_of_the_rate_of_products() -> None:
    times = {"arm": [2.0, 2.0], "matmul": [1.0, 1.0]}
    found = rates(times, Arm("", "plain", (3,)), SCORE, TINY, 10)
    assert found["share_of_matmul_rate"] == 0.5
    assert found["images_per_s"] == TINY.images / 2


@pytest.fixture
def slow_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that take no time to measure."""
    limits = roofline.Limits(1e6, 1e5)
    monkeypatch.setattr(roofline, "limits", lambda device, seconds_of: limits)


@pytest.mark.parametrize("arm", [Arm(SINGLE, "plain", (3,)), Arm("ragged", "eager", RAGGED)])
def test_every_operation_has_its_numbers(arm: Arm, slow_device: None) -> None:
    entry = measure(arm, TINY, CPU)
    for name in (FORWARD, BOTH, STEP):
        assert set(entry["operations"][name]) == {*RATES, "model_steps_per_s"}
    assert set(entry["operations"][SCORE]) == {*RATES, "share_of_matmul_rate"}
    assert set(entry["matmul"]) == set(entry["operations"])
    assert all(v > 0 for o in entry["operations"].values() for k, v in o.items() if k != "spread")


def test_the_single_model_is_its_own_reference(slow_device: None) -> None:
    entry = measure(Arm(SINGLE, "plain", (3,)), TINY, CPU)
    assert {o["ratio_to_single"] for o in entry["operations"].values()} == {1.0}


def test_peak_memory_sees_what_was_freed() -> None:
    peak = HighWater(CPU)
    block: Tensor | None = torch.ones(2**24)
    del block
    assert peak.read() >= 0.9 * 2**26


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """Three arms, each in a process of its own; the second breaks."""
    single, broken = Arm(SINGLE, "plain", (3,)), Arm("shallow first", "eager", (2, 3))
    chosen = [single, broken, Arm("eager K=2", "eager", UNIFORM)]
    told: list[str] = []
    found = suite.bench(chosen, TINY, 1, lambda arm: told.append(arm.name))
    return {**found, "told": told}


def test_a_benchmark_says_where_and_when_it_was_made(result: dict[str, Any]) -> None:
    assert (result["threads"], result["torch"]) == (1, str(torch.__version__))
    assert result["device"]
    assert datetime.fromisoformat(result["date"]).tzinfo is not None


def test_every_arm_is_announced(result: dict[str, Any]) -> None:
    assert result["told"] == [SINGLE, "shallow first", "eager K=2"]


def test_an_arm_that_breaks_does_not_lose_the_others(result: dict[str, Any]) -> None:
    found = {entry["arm"]: entry for entry in result["arms"]}
    assert "UsageError: lanes of a stack must be sorted" in found["shallow first"]["failed"]
    assert "operations" in found["eager K=2"]


def test_the_products_rate_is_kept_for_each_arm(result: dict[str, Any]) -> None:
    assert set(result["matmul"]) == {SINGLE, "eager K=2"}
    assert all(m["step"]["flop_per_s"] > 0 for m in result["matmul"].values())


def test_without_a_device_cuda_is_named_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert suite.bench([], TINY, 1, lambda arm: None)["arms"] == [
        {"arm": "cuda", "absent": "no CUDA device"}
    ]


def test_without_a_compiler_compiled_arms_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(suite, "has_compiler", lambda: False)
    entry = suite.bench([Arm("c", "compiled", (3,))], TINY, 1, lambda arm: None)["arms"][0]
    assert entry == {"arm": "c", "absent": "no C++ compiler: install g++"}


def test_arms_cover_both_engines_widths_and_ragged_stacks() -> None:
    lvae = [arm for arm in arms() if arm.model == "lvae"]
    expected = {SINGLE, "eager single, memory returned", "bfloat16 K=1", "bfloat16 K=4"} | {
        f"{engine} {rest}"
        for engine in ("eager", "compiled")
        for rest in ("K=1", "K=2", "K=4", "K=8", "5-4-3-2", "3x 5-4-3-2")
    }
    assert {arm.name for arm in lvae} == expected


def test_an_arm_in_bfloat16_is_absent_where_nothing_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(suite, "multiplies_in_bfloat16", lambda _: False)
    rounded = [arm for arm in arms() if arm.bfloat16]
    for entry in suite.bench(rounded, TINY, 1, lambda arm: None)["arms"][: len(rounded)]:
        assert "emulated" in entry["absent"]


@pytest.mark.parametrize("of", [operations.of_arm, ladders.of_arm])
def test_a_rounded_arm_steps_with_shadows(of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shaded: list[Any] = []
    monkeypatch.setattr(operations, "shade", shaded.append)
    depths = (len(TINY.ladder) - 1,) if of is ladders.of_arm else (2,)
    of(Arm("rounded", "eager", depths, bfloat16=True), TINY, CPU)
    of(Arm("plain", "eager", depths), TINY, CPU)
    assert len(shaded) == 1


def test_one_single_model_alone_returns_its_memory_after_each_step() -> None:
    returning = [arm for arm in arms() if not arm.keeps_memory]
    assert [(arm.engine, arm.model) for arm in returning] == [
        ("plain", "lvae"),
        ("plain", "ladder"),
    ]


def test_the_widest_stack_is_chosen_by_the_caller() -> None:
    assert "eager K=16" in {arm.name for arm in arms(16)}


def test_quick_compiles_one_arm() -> None:
    assert [arm.name for arm in quick_arms() if arm.engine == "compiled"] == ["compiled K=4"]


def test_arms_are_chosen_by_pattern() -> None:
    names = [arm.name for arm in select(arms(), ["*K=2", SINGLE])]
    assert names == [SINGLE, "eager K=2", "compiled K=2", "ladder compiled K=2"]


def test_an_unknown_arm_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="no arm matches 'steam'"):
        select(arms(), ["steam"])
