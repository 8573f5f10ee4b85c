"""The tasks of `--engine ray` on tiny images; each step is counted, and some are fatal.

Of a stack, `<store>/<first Run>.attempt<n>` has a dot for each step of its n-th attempt;
`<store>/<first Run>.deaths` lists the steps before which its attempts are killed, and
`<store>/<first Run>.ctrl-c` is the process that is interrupted in its second epoch.
"""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import small
import small_training

from repro.machine.work import Options, Outcome
from repro.store import Store

cluster = pytest.importorskip(
    "repro.machine.ray.cluster", reason="needs Ray: requirements-extras.txt"
)
from repro.machine.ray.cluster import Job, Runs  # noqa: E402 - it needs Ray too

PROFILE = small_training.PROFILE
OPTIONS = Options(engine="eager", threads=1, checkpoint_seconds=0.0)
EPOCH = small_training.STEPS
WIDE = small_training.RUNS
SINGLE = [small.run("vae", 3, steps=EPOCH, scored=(1, 2), batch_norm=False)]
RUNS = [*WIDE, *SINGLE]  # two stacks
IDS = [run.id for run in RUNS]
STEPS = small_training.EPOCHS * EPOCH  # of one stack
own_attempt = cluster.attempt


def in_place(patch: pytest.MonkeyPatch) -> None:
    """Put the task below in place of the engine's; workers import what lies beside this file."""
    patch.setattr("repro.data.load", small.raw)
    patch.setattr(cluster, "attempt", attempt)
    patch.setenv("PYTHONPATH", str(Path(__file__).parent))
    patch.delenv("RAY_ADDRESS", raising=False)


def attempt(job: Job, runs: Runs) -> Outcome:
    stack = of_stack(job.store, runs)
    earlier = len(logs(stack))
    log, fatal = stack.with_suffix(f".attempt{earlier}"), numbers(stack, "deaths")[earlier:][:1]
    log.touch()

    def before_step(_: object, n: int) -> None:
        if n in fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        for driver in numbers(stack, "ctrl-c") if n > EPOCH else []:
            if n == EPOCH + 1:
                os.kill(driver, signal.SIGINT)
            time.sleep(0.1)
        with log.open("a") as f:
            f.write(".")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.data.load", small.raw)
        small_training.hooked(patch, before_step)
        return own_attempt(job, runs)


def of_stack(store: Store, runs: Runs) -> Path:
    """What the name of each file about a stack begins with."""
    return store.root / runs[0].id


def logs(stack: Path) -> list[Path]:
    return sorted(stack.parent.glob(f"{stack.name}.attempt*"))


def steps(store: Store, runs: Runs) -> list[int]:
    """How many steps each attempt at a stack has made, first to last."""
    return [len(log.read_text()) for log in logs(of_stack(store, runs))]


def arrange(store: Store, runs: Runs, what: str, *numbers: int) -> None:
    """What becomes of the stack of these Runs."""
    store.root.mkdir(exist_ok=True)
    of_stack(store, runs).with_suffix(f".{what}").write_text(json.dumps(numbers))


def numbers(stack: Path, what: str) -> list[int]:
    path = stack.with_suffix(f".{what}")
    return json.loads(path.read_text()) if path.exists() else []
