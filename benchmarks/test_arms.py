"""The arms of `repro bench` under pytest-benchmark; see README.md of this folder.

All in one process, which keeps freed memory as training does: arms without that are left out.
"""

import functools
from dataclasses import replace

import pytest

from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Workload, arms, cuda_arms
from repro.bench.measure import waiter
from repro.bench.operations import of_arm
from repro.bench.suite import absent
from repro.machine.device import here, scoring_rows
from repro.machine.memory import keep_freed_memory
from repro.machine.precision import multiply_in, precision_on

ARMS = [arm for arm in (cuda_arms() if here().type == "cuda" else arms()) if arm.keeps_memory]
WORK = replace(Workload(), rows=scoring_rows(here()))
operations = functools.lru_cache(maxsize=1)(lambda arm: of_arm(arm, WORK.of(arm), here()))


@pytest.fixture(autouse=True, scope="module")
def conditions():
    multiply_in(precision_on(here(), None), here())
    if here().type == "cpu":
        keep_freed_memory()


@pytest.mark.parametrize("name", [FORWARD, BOTH, STEP, SCORE])
@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_arm(benchmark, arm, name):
    if (why := absent(arm, here())) or name not in operations(arm):
        pytest.skip(why or "not of this arm")
    operation, wait = operations(arm)[name], waiter(here())
    benchmark.group = f"{arm.model} {name}"
    benchmark.pedantic(lambda: (operation(), wait()), rounds=5, warmup_rounds=1)
