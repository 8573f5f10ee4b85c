"""One stack, from its start or checkpoint to its records."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress as Bar

from repro.machine.cuda.graph import Blocks, Captured, captured_on
from repro.machine.engines import made
from repro.machine.precision import BFLOAT16, multiply_in
from repro.machine.provenance import environment
from repro.machine.saved.checkpoint import Pinned, load_checkpoint
from repro.machine.saved.keeper import Keeper
from repro.machine.saved.recording import record_lane, recorded, refuse_other_data
from repro.machine.saved.starting import begin, ended
from repro.machine.watch.progress import Progress
from repro.machine.work import Work
from repro.model.stack import Stack
from repro.train import loop
from repro.train.log import LaneLog, Log
from repro.train.minibatch import Batches
from repro.train.state import State, shade
from repro.train.step import CAPTURED, step_function
from repro.train.tasks import task_of
from repro.train.tasks.task import Score


def train_stack(
    work: Work, stack: Stack, pinned: Pinned, path: Path, bar: Bar
) -> Generator[None, None, None]:
    """Train as `pinned` says, checkpoint at `path`, score, record; yields after every block."""
    torch.set_num_threads(pinned.threads)
    multiply_in(pinned.precision, work.device)
    images, source = work.data.images(stack.runs[0])  # lanes may binarise them differently
    if path.exists():
        state, log = load_checkpoint(path, work.device)
        refuse_other_data(log.data, source, path)
    else:
        state = begin(stack, work.folder, images.train, work.device)
        log = Log([LaneLog() for _ in stack.runs], data=source["hash"])
    if pinned.precision == BFLOAT16:
        shade(state)
    task = task_of(stack.runs[0])
    feed: Batches = task.feed(stack, images)
    step = made(pinned.engine, lambda: _step(work, stack, pinned))
    if pinned.engine in CAPTURED:
        feed = Blocks(feed)

    def score(k: int, epoch: int) -> Score:
        own, _ = work.data.images(stack.runs[k])
        return task.score(stack, state.params, k, own, epoch)

    events = work.options.tensorboard
    with Progress(stack, feed.steps, pinned.engine, bar, path, events) as progress:
        seconds = work.options.checkpoint_seconds
        keeper = Keeper(stack, state, log, pinned, path, progress, work.stopper, seconds)
        blocks = loop.train(stack, feed, state, log, step, score)
        last = yield from keeper.after_each(blocks)
        keeper.save()
        progress.scoring()
        _record(work, keeper, last, source)
    path.unlink(missing_ok=True)


def _step(work: Work, stack: Stack, pinned: Pinned) -> Callable[[State, Any], None]:
    step = step_function(stack, pinned.engine)
    return Captured(step, captured_on(work.device)) if pinned.engine in CAPTURED else step


def _record(work: Work, keeper: Keeper, last: dict[int, Score], source: Any) -> None:
    """Write the records of a trained stack that are not there yet."""
    stack, log, outcome = keeper.stack, keeper.log, work.outcome
    env = _environment(work, stack, keeper.pinned, source)
    for k, run in enumerate(stack.runs):
        if recorded(work.store, work.profile, run):
            outcome.settle(run.id)
            continue
        env["wall_seconds"] = round(log.seconds, 1)
        trained = ended(stack, keeper.state, k, last.get(k))
        images, _ = work.data.images(run)
        record_lane(work.store, work.profile, run, log.lanes[k], trained, images, env)
        (outcome.done if trained else outcome.diverged).append(run.id)
        outcome.settle(run.id)
        if k + 1 < len(stack.runs):
            work.stopper.stop_if_asked(keeper.save)


def _environment(work: Work, stack: Stack, pinned: Pinned, source: Any) -> dict[str, Any]:
    placed, stepped = work.options.placed_by, pinned.stepped_down
    return {
        **environment(work.device),
        **({"placed_by": placed} if placed else {}),
        "engine": pinned.engine,
        **({"stepped_down": stepped} if stepped else {}),
        "precision": pinned.precision,
        "stack_width": len(stack.runs),
        "stacks_at_once": work.at_once,
        "data": source,
    }
