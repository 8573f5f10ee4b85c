"""Benchmarks of Ladder networks: a fair single model, the products of a step, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from bench_counts import RATES, recorded
from torch.utils.flop_counter import FlopCounterMode

from repro.bench import ladders, plain_ladder
from repro.bench.arms import Arm, Workload, arms, select
from repro.bench.ladders import minibatch, stack_of
from repro.bench.measure import measure, rates
from repro.bench.operations import BOTH, FORWARD, STEP
from repro.model.layers import Params
from repro.model.stack import Stack
from repro.train.minibatch import LadderBatch
from repro.train.state import State, fresh
from repro.train.step import objective_of, step_function

torch.set_num_threads(1)  # products this small are slower on two

CPU = torch.device("cpu")
TINY = Workload(ladder=(19, 13, 7, 5), labelled=15, warmup=1, repeats=2)
DEPTHS = (3, 3)
OPERATIONS = (FORWARD, BOTH, STEP)


def arm(engine: Any = "eager", depths: tuple[int, ...] = DEPTHS) -> Arm:
    return Arm(f"ladder {engine}", engine, depths, "ladder")


def copied(params: Params, k: int, stack: Stack) -> plain_ladder.PlainLadder:
    """The plain model with lane k's parameters, in float64."""
    model = plain_ladder.PlainLadder(stack.runs[0].ladder).double()
    L = stack.model.depth
    with torch.no_grad():
        for i in range(L):
            model.W[i].weight.copy_(params[f"f{i + 1}.W"][k].T)
            model.beta[i].copy_(params[f"f{i + 1}.beta"][k])
            model.V[i].weight.copy_(params[f"g{i}.V"][k].T)
        for i in range(L + 1):
            model.g[i].a.copy_(params[f"g{i}.a"][k])
        model.gamma.copy_(params[f"f{L}.gamma"][k])
    return model


@pytest.fixture
def pair() -> tuple[Stack, State, LadderBatch]:
    """Two lanes in float64, their parameters moved; Adam's epsilon stands where torch has it."""
    runs = stack_of(DEPTHS, TINY).runs
    stack = Stack(tuple(replace(r, optim=replace(r.optim, eps_form="usual")) for r in runs))
    state = fresh(stack, TINY.ladder[0], CPU, torch.float64)
    g = torch.Generator().manual_seed(1)
    for p in state.params.values():
        p += 0.2 * torch.randn(p.shape, generator=g, dtype=torch.float64)
    batch = minibatch(stack, TINY, CPU)
    eps = [e.double() for e in batch.eps]
    return stack, state, LadderBatch(batch.x, batch.y, eps, batch.lr.double())


def inputs(batch: LadderBatch, k: int) -> tuple[Any, ...]:
    return batch.x[k].double() / 255, batch.y[k], [e[k] for e in batch.eps]


@pytest.mark.parametrize("lane", [0, 1])
def test_the_plain_ladder_network_has_the_cost_of_our_lane(pair: Any, lane: int) -> None:
    stack, state, batch = pair
    theirs = copied(state.params, lane, stack)(*inputs(batch, lane))
    ours = -objective_of(stack)(state.params, batch)[lane]
    torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=0)


def test_the_plain_training_step_is_that_of_our_lane(pair: Any) -> None:
    stack, state, batch = pair
    model = copied(state.params, 0, stack)
    adam = plain_ladder.optimiser(model, stack.runs[0].optim)
    ours = step_function(stack, "eager")
    for _ in range(3):
        plain_ladder.training_step(model, adam, *inputs(batch, 0))
        ours(state, batch)
    trained = copied(state.params, 0, stack).state_dict()
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), trained[name], rtol=1e-6, atol=1e-8)


def test_the_plain_ladder_network_has_3105710_parameters() -> None:
    model = plain_ladder.PlainLadder(stack_of((6,), Workload()).runs[0].ladder)
    assert sum(p.numel() for p in model.parameters()) == 3_105_710


def test_the_plain_ladder_network_draws_noise_of_its_own() -> None:
    stack = stack_of((3,), TINY)
    model = plain_ladder.PlainLadder(stack.runs[0].ladder)
    batch = minibatch(stack, TINY, CPU)
    x, y = batch.x[0].float() / 255, batch.y[0]
    assert model(x, y) != model(x, y)


def test_a_minibatch_has_as_many_unlabelled_rows_as_labelled_ones() -> None:
    batch = minibatch(stack_of(DEPTHS, TINY), TINY, CPU)
    assert batch.x.shape == (2, 2 * 15, 19)
    assert batch.y.shape == (2, 15)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_products_alone_are_those_of_the_operation(operation: str) -> None:
    ours = ladders.of_arm(arm(), TINY, CPU)[operation]
    twin = ladders.of_products(DEPTHS, TINY, CPU)[operation]
    assert recorded(twin) == recorded(ours)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_flops_are_what_torch_counts(operation: str) -> None:
    op = ladders.of_arm(arm(), TINY, CPU)[operation]
    op()
    with FlopCounterMode(display=False) as counter:
        op()
    assert ladders.flops(DEPTHS, TINY)[operation] == counter.get_total_flops()


@pytest.mark.parametrize("engine", ["plain", "eager"])
def test_every_operation_has_its_numbers(engine: str) -> None:
    depths = (3,) if engine == "plain" else DEPTHS
    entry = measure(arm(engine, depths), TINY, CPU)
    assert set(entry["operations"]) == set(entry["matmul"]) == set(OPERATIONS)
    for numbers in entry["operations"].values():
        assert set(numbers) == {*RATES, "model_steps_per_s"}
    assert (entry["model"], entry["lanes"]) == ("ladder", len(depths))


def test_images_are_labelled_and_unlabelled_rows() -> None:
    times = {"arm": [0.5, 0.5], "matmul": [1.0, 1.0], "single 3": [1.0, 1.0]}
    found = rates(times, arm(), STEP, TINY, 10)
    assert found["images_per_s"] == 2 * 30 / 0.5
    assert found["ratio_to_single"] == 0.25


def test_the_workload_is_the_published_network_and_minibatch() -> None:
    run = stack_of((6,), Workload()).runs[0]
    assert run.ladder.sizes == (784, 1000, 500, 250, 250, 250, 10)
    assert run.ladder.cost_weights == (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1)
    assert (run.labelled_batch, run.optim.batch) == (100, 100)


def test_arms_are_the_single_ladder_network_and_stacks_of_up_to_ten() -> None:
    found = [a.name for a in select(arms(), ["ladder*"]) if not a.bfloat16]
    assert found == [
        "ladder single",
        "ladder single, memory returned",
        "ladder eager K=1",
        *(f"ladder compiled K={K}" for K in (1, 2, 4, 10)),
    ]
