"""The training loop: one for every model, engine and profile."""

import math
from collections.abc import Callable, Generator
from typing import Any

from repro.model.stack import Stack
from repro.train.log import Log
from repro.train.minibatch import BLOCK, Batches
from repro.train.state import State
from repro.train.tasks import task_of
from repro.train.tasks.task import Score


def train(
    stack: Stack,
    feed: Batches,
    state: State,
    log: Log,
    step: Callable[[State, Any], None],
    score: Callable[[int, int], Score],
) -> Generator[None, None, dict[int, Score]]:
    """Train from where `log` stands to the last epoch; returns the final score of each lane.

    score(k, epoch) measures lane k. Yields after every block, whenever `state` and `log` are
    consistent: there they may be saved, other stacks may have their turn, and training may end.
    """
    run = stack.runs[0]
    last: dict[int, Score] = {}
    while log.epoch < run.schedule.epochs and log.alive:
        epoch = log.epoch + 1
        for first in range(log.step, feed.steps, BLOCK):
            for batch in feed.block(epoch, first):
                step(state, batch)
            log.step = min(first + BLOCK, feed.steps)
            yield
        _close_epoch(stack, state, log, feed.steps)
        if epoch in run.evaluation.epochs:
            last = _score_lanes(state, log, score)
        log.epoch, log.step = epoch, 0
        yield
    if not last:  # continued after the last epoch
        last = {k: score(k, log.epoch) for k in log.alive}
    return {k: last[k] for k in log.alive}  # a lane may have diverged since it was scored


def _close_epoch(stack: Stack, state: State, log: Log, steps: int) -> None:
    """Note the running mean of the objective; freeze lanes where it is not finite."""
    row, means = task_of(stack.runs[0]).row, (state.sums / steps).tolist()
    for k in log.alive:
        if math.isfinite(means[k]):
            log.lanes[k].rows.append(row(stack.runs[k], log.epoch + 1, means[k]))
        else:
            _freeze(state, log, k)
    state.sums.zero_()


def _score_lanes(state: State, log: Log, score: Callable[[int, int], Score]) -> dict[int, Score]:
    """Measure every living lane and write it down."""
    scores, epoch = {}, log.epoch + 1
    for k in log.alive:
        s = score(k, epoch)
        if s.finite:
            s.write(log.lanes[k], epoch)
            scores[k] = s
        else:
            _freeze(state, log, k)
    return scores


def _freeze(state: State, log: Log, k: int) -> None:
    log.lanes[k].diverged_at = log.epoch + 1
    state.alive[k] = False
