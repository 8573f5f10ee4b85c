"""The arms of `repro bench` under pytest-benchmark; see README.md of this folder."""

import functools

import pytest

from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Workload, arms, cuda_arms
from repro.bench.measure import waiter
from repro.bench.operations import of_arm
from repro.machine import toolchain
from repro.machine.device import here
from repro.train.step import COMPILED

operations = functools.lru_cache(maxsize=1)(lambda arm: of_arm(arm, Workload().of(arm), here()))


@pytest.mark.parametrize("name", [FORWARD, BOTH, STEP, SCORE])
@pytest.mark.parametrize(
    "arm", cuda_arms() if here().type == "cuda" else arms(), ids=lambda arm: arm.name
)
def test_arm(benchmark, arm, name):
    if (arm.engine in COMPILED and toolchain.compiler_fault()) or name not in operations(arm):
        pytest.skip("not here, or not of this arm")
    operation, wait = operations(arm)[name], waiter(here())
    benchmark.group = f"{arm.model} {name}"
    benchmark.pedantic(lambda: (operation(), wait()), rounds=5, warmup_rounds=1)
