"""The arms of `repro bench` under pytest-benchmark; see README.md of this folder.

All in one process, which keeps freed memory as training does: arms without that are left out.
"""

import functools
from dataclasses import replace

import pytest
from torch.utils.benchmark import timer

from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, arms, cuda_arms
from repro.bench.operations import of_arm
from repro.bench.suite import absent
from repro.machine.device import here
from repro.machine.memory import keep_freed_memory
from repro.machine.precision import multiply_in, precision_on

KNOWN = cuda_arms() if here().type == "cuda" else arms()
ARMS = [
    replace(arm, images=10_000) if arm.scoring else arm  # as published
    for arm in KNOWN
    if arm.keeps_memory
]
operations = functools.lru_cache(maxsize=1)(lambda arm: of_arm(arm, here()))


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
    operation = operations(arm)[name]
    benchmark.group = f"{arm.model} {name}"
    benchmark.pedantic(lambda: (operation(), timer()), rounds=5, warmup_rounds=1)
