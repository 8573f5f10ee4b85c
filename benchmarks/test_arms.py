"""Every operation of every arm under pytest-benchmark; see README.md of this folder."""

from __future__ import annotations

import functools

import pytest

from repro.bench.arms import Arm, Workload, arms
from repro.bench.measure import CONTESTS, waiter
from repro.bench.operations import SCORE, Operations, of_products
from repro.bench.suite import device_here
from repro.engine.predict import has_compiler

WORK = Workload()
ROUNDS = {"L_K": 3}
OPERATIONS = ("forward", "forward+backward", "step", "L_K")
CASES = [
    pytest.param(arm, operation, id=f"{arm.name} {operation}")
    for arm in arms()
    for operation in OPERATIONS
    if arm.engine != "compiled" or (operation != SCORE and has_compiler())
    if arm.model == "lvae" or operation != SCORE
]


@functools.lru_cache(maxsize=1)
def operations(arm: Arm) -> Operations:
    return CONTESTS[arm.model].of_arm(arm, WORK, device_here())


@functools.lru_cache(maxsize=1)
def products(depths: tuple[int, ...]) -> Operations:
    return of_products(depths, WORK, device_here())


@pytest.mark.parametrize(("arm", "operation"), CASES)
def test_arm(benchmark, arm, operation):
    measured(benchmark, operations(arm)[operation], arm.depths, operation, arm.model)


@pytest.mark.parametrize("operation", ["forward", "forward+backward", "L_K"])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_products_alone(benchmark, lanes, operation):
    depths = (len(WORK.latents),) * lanes
    measured(benchmark, products(depths)[operation], depths, operation)


def measured(benchmark, operation, depths, name, model="lvae"):
    wait = waiter(device_here())

    def timed():
        operation()
        wait()

    benchmark.group = f"{model} {name}"
    benchmark.pedantic(timed, rounds=ROUNDS.get(name, 5), warmup_rounds=1)
    benchmark.extra_info["lanes"] = len(depths)
    benchmark.extra_info["flop_per_s"] = (
        CONTESTS[model].flops(depths, WORK)[name] / benchmark.stats["median"]
    )
