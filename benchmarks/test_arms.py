"""Every operation of every arm under pytest-benchmark; see README.md of this folder."""

from __future__ import annotations

import functools

import pytest

from repro.bench.arms import Arm, Workload, arms, cuda_arms
from repro.bench.measure import CONTESTS, scored, waiter
from repro.bench.operations import SCORE, Operations, of_products, per_call
from repro.machine.cost import has_compiler
from repro.machine.device import here
from repro.train.step import COMPILED

WORK = Workload()
ROUNDS = {"L_K": 3}
OPERATIONS = ("forward", "forward+backward", "step", "L_K")


def names_of(arm):
    """Operations that the arm has here."""
    if arm.scoring:
        return (SCORE,)
    if arm.engine in COMPILED and not has_compiler():
        return ()
    scores = arm.model == "lvae" and arm.engine in ("plain", "eager")
    return OPERATIONS if scores else OPERATIONS[:-1]


CASES = [
    pytest.param(arm, operation, id=f"{arm.name} {operation}")
    for arm in (cuda_arms() if here().type == "cuda" else arms())
    for operation in names_of(arm)
]


@functools.lru_cache(maxsize=1)
def operations(arm: Arm) -> Operations:
    return CONTESTS[arm.model].of_arm(arm, scored(arm, WORK), here())


@functools.lru_cache(maxsize=1)
def products(depths: tuple[int, ...]) -> Operations:
    return of_products(depths, WORK, here())


@pytest.mark.parametrize(("arm", "operation"), CASES)
def test_arm(benchmark, arm, operation):
    measured(benchmark, operations(arm)[operation], arm, operation)


@pytest.mark.parametrize("operation", ["forward", "forward+backward", "L_K"])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_products_alone(benchmark, lanes, operation):
    arm = Arm("products", "eager", (len(WORK.latents),) * lanes)
    measured(benchmark, products(arm.depths)[operation], arm, operation)


def measured(benchmark, operation, arm, name):
    wait = waiter(here())

    def timed():
        operation()
        wait()

    benchmark.group = f"{arm.model} {name}"
    benchmark.pedantic(timed, rounds=ROUNDS.get(name, 5), warmup_rounds=1)
    count = CONTESTS[arm.model].flops(arm.depths, scored(arm, WORK))[name] * per_call(arm)
    benchmark.extra_info["lanes"] = arm.lanes
    benchmark.extra_info["flop_per_s"] = count / benchmark.stats["median"]
