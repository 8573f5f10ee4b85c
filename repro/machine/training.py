"""One stack, from its start or checkpoint to its records."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress as Bar

from repro.machine import engines, precision, provenance
from repro.machine.cuda.graph import Blocks, Captured, captured_on
from repro.machine.saved import checkpoint, recording, starting
from repro.machine.saved.keeper import Keeper
from repro.machine.watch.progress import Progress
from repro.machine.work import Work
from repro.model.stack import Stack
from repro.train import flat, loop, tasks
from repro.train.log import LaneLog, Log
from repro.train.state import State, shade
from repro.train.step import CAPTURED, step_function
from repro.train.tasks.task import Score


def train_stack(
    work: Work, stack: Stack, pinned: checkpoint.Pinned, path: Path, bar: Bar
) -> Generator[None, None, None]:
    """Train as `pinned` says, checkpoint at `path`, score, record; yields after every block."""
    torch.set_num_threads(pinned.threads)
    precision.multiply_in(pinned.precision, work.device)
    images, source = work.data.images(stack.runs[0])  # lanes may binarise them differently
    if path.exists():
        state, log = checkpoint.load_checkpoint(path, work.device)
        work.data.refuse_other(stack.runs[0], log.data, path)
    else:
        state = starting.begin(stack, work.folder, images.train, work.device)
        log = Log([LaneLog() for _ in stack.runs], data=source["hash"])
    log.code = provenance.continued(
        log.code, {**work.software, "device": provenance.device_name(work.device)}
    )
    if pinned.precision == precision.BFLOAT16:
        shade(state)
    if pinned.engine != "eager":
        flat.flatten(state)  # even if it is scored before its next step: rounding goes by alignment
    task = tasks.task_of(stack.runs[0])
    feed = task.feed(stack, images)
    step = engines.made(pinned.engine, lambda: _step(work, stack, pinned))
    if pinned.engine in CAPTURED:
        feed = Blocks(feed)

    def score(k: int, epoch: int) -> Score:
        own, _ = work.data.images(stack.runs[k])
        return task.score(stack, state.params, k, own, epoch)

    events = work.options.tensorboard
    with Progress(stack, feed.steps, pinned.engine, bar, path, events) as progress:
        progress.file.update(data_dir=work.data.named)
        seconds = work.options.checkpoint_seconds
        keeper = Keeper(stack, state, log, pinned, path, progress, work.stopper, seconds)
        blocks = loop.train(stack, feed, state, log, step, score)
        last = yield from keeper.after_each(blocks)
        keeper.save()
        progress.scoring()
        with work.stopper.saved():
            recording.record_stack(work, keeper, last, source)
    path.unlink(missing_ok=True)


def _step(work: Work, stack: Stack, pinned: checkpoint.Pinned) -> Callable[[State, Any], None]:
    step = step_function(stack, pinned.engine)
    return Captured(step, captured_on(work.device)) if pinned.engine in CAPTURED else step
