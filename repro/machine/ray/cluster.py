"""Trains Runs on a Ray cluster: every stack is a task, which trains it as `local` does.

Only Runs and outcomes travel. Records, checkpoints and locks lie in the store's folder, which
every node must see; Ray retries the task of a worker that died, wherever there is room, and the
next attempt finds the checkpoint there.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from repro.data.sources import directory
from repro.errors import MachineError
from repro.machine import arrange, local
from repro.machine.provenance import software
from repro.machine.ray import nodes
from repro.machine.saved.starting import generations
from repro.machine.saved.stopping import Stopper
from repro.machine.watch.progress import named, notice
from repro.machine.work import Options, Outcome, Work
from repro.plan.profiles import with_starts
from repro.plan.run import Run
from repro.store import Store, locks, states

PATIENCE_SECONDS = 100.0  # a file server frees the locks of a dead node after 90 s
Runs = Sequence[Run]


@dataclass(frozen=True)
class Job:
    """What every task is told. Paths mean the same on every node."""

    store: Store
    profile: str
    options: Options
    token: Path  # the driver's file in the store, which a worker must see
    software: dict[str, Any]  # commit and versions of the driver
    deadline: float | None  # Unix time


def train(
    runs: list[Run], store: Store, profile: str, options: Options, address: str | None = None
) -> Outcome:
    """As `local.train`, on the cluster at `address`, else $RAY_ADDRESS, else this machine.

    Raises as `local.train`, and MachineError where the cluster cannot be used.
    """
    limit = options.budget_seconds
    deadline = None if limit is None else time.time() + limit
    missing = with_starts(runs, lambda run: states.recorded(store, profile, run))
    outcome = Outcome()
    if not missing:
        return outcome
    store = Store(store.root.resolve())
    with locks.lock(store.folder(profile), *(run.id for run in missing)):
        pass  # who holds one of them is named before anything starts
    with nodes.connected(address), nodes.token(store.folder(profile)) as token:
        options = replace(options, data_dir=directory(options.data_dir).resolve())
        job, stopper = Job(store, profile, options, token, software(), deadline), Stopper(None)
        with stopper.interruptible():
            for generation in generations(missing):
                _train(job, generation, outcome, stopper.interrupted.is_set)
                outcome.leave(store, profile, missing)
                if any(run.id in outcome.unfinished for run in generation):
                    break
    return outcome


def plan(job: Job, runs: Runs) -> tuple[list[tuple[Run, ...]], Outcome]:
    """The stacks that a worker like this one trains, and of what Runs it is noted why not."""
    nodes.refuse_stranger(job.token, job.software)
    work = Work(job.store, job.profile, job.options)
    return [s.runs for s, _ in arrange.stacks(work, list(runs))], work.outcome


def attempt(job: Job, runs: Runs) -> Outcome:
    """One stack, on a worker, from its start or its checkpoint to its records."""
    nodes.refuse_stranger(job.token, job.software)
    left = None if job.deadline is None else job.deadline - time.time()
    if left is not None and left <= 0:
        return Outcome(unfinished=[run.id for run in runs])
    options = replace(
        job.options, budget_seconds=left, patience_seconds=PATIENCE_SECONDS, placed_by="ray"
    )
    return _whole(job, runs, local.train(list(runs), job.store, job.profile, options))


def _whole(job: Job, runs: Runs, told: Outcome) -> Outcome:
    """With the Runs that were recorded by an attempt that died before it could say so."""
    known = {*told.done, *told.diverged, *told.failed, *told.unfinished}
    for run in runs:
        if run.id not in known and (record := job.store.find(job.profile, run.id)):
            (told.diverged if record.diverged else told.done).append(run.id)
    return told


def _train(job: Job, runs: Runs, outcome: Outcome, stop: Callable[[], bool]) -> None:
    """Runs that can train at once. A worker makes the stacks: its device and memory count."""
    share = nodes.share(1, job.options.threads or 1)
    ((_, planned),) = nodes.results({nodes.send(plan, job, runs, share=share): runs}, stop)
    if isinstance(planned, nodes.Lost):
        raise MachineError(f"no stacks could be made: {planned.reason}")
    stacks, part = planned
    outcome.add(part)
    if not stacks:
        return
    share = nodes.share(len(stacks), job.options.threads)
    notice(f"{len(stacks)} stacks on {share}")
    job = replace(job, options=replace(job.options, threads=share.threads))
    tasks = {nodes.send(attempt, job, stack, share=share): stack for stack in stacks}
    with contextlib.closing(nodes.results(tasks, stop)) as ended:
        for stack, result in ended:
            if isinstance(result, nodes.Lost):
                part = Outcome()
                part.fail(job.store, job.profile, stack, result.reason)
                result = _whole(job, stack, part)
            outcome.add(result)
            state = "failed" if result.failed else "stopped" if result.unfinished else "finished"
            notice(f"{named(stack)}: {state}")
