"""The tasks of `--engine ray` on tiny images; each step is counted, and some are fatal.

Of a stack, `<store>/<first Run>.attempt<n>` has a dot for each step of its n-th attempt;
`<store>/<first Run>.deaths` lists the steps before which its attempts are killed, and
`<store>/<first Run>.ctrl-c` is the process that is interrupted in its second epoch.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import small
from small_training import hooked

from repro.engine import cluster
from repro.engine.cluster import Job, Runs
from repro.engine.outcome import Outcome

own_plan, own_attempt = cluster.plan, cluster.attempt  # the tests put those below in their place
SECOND_EPOCH = small.BLOCKS * small.BLOCK  # steps before it


def plan(job: Job, runs: Runs) -> Any:
    return own_plan(job, runs)


def attempt(job: Job, runs: Runs) -> Outcome:
    log = begin(job.root / runs[0].id)
    fatal = dict(enumerate(numbers(log, "deaths"))).get(int(log.suffix[len(".attempt") :]))

    def before_step(_: object, n: int) -> None:
        if n == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        for driver in numbers(log, "ctrl-c") if n > SECOND_EPOCH else []:
            if n == SECOND_EPOCH + 1:
                os.kill(driver, signal.SIGINT)
            time.sleep(0.1)
        with log.open("a") as f:
            f.write(".")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.data.load", small.raw)
        hooked(patch, before_step)
        return own_attempt(job, runs)


def begin(stack: Path) -> Path:
    log = stack.with_suffix(f".attempt{len(steps(stack))}")
    log.touch()
    return log


def numbers(stack: Path, what: str) -> list[int]:
    path = stack.with_suffix(f".{what}")
    return json.loads(path.read_text()) if path.exists() else []


def steps(stack: Path) -> list[int]:
    """How many steps each attempt at a stack has made, first to last."""
    logs = stack.parent.glob(f"{stack.name}.attempt*")
    return [len(log.read_text()) for log in sorted(logs)]
