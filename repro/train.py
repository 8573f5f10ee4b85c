"""The training loop: one for every model, engine and profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from repro.engine.feed import BLOCK, Feed
from repro.engine.step import Minibatch, State
from repro.score import EpochScore
from repro.stack import Stack

Row = dict[str, float | None]


@dataclass
class LaneLog:
    """What is written down of one lane while it trains."""

    rows: list[Row] = field(default_factory=list)
    kl_epochs: list[int] = field(default_factory=list)
    kl_train: list[np.ndarray] = field(default_factory=list)  # each [ΣZ]
    kl_test: list[np.ndarray] = field(default_factory=list)
    diverged_at: int | None = None


@dataclass
class Log:
    """How far a stack has come. `step` counts within epoch `epoch` + 1."""

    lanes: list[LaneLog]
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0

    @property
    def any_alive(self) -> bool:
        return any(lane.diverged_at is None for lane in self.lanes)


def train(
    stack: Stack,
    feed: Feed,
    state: State,
    log: Log,
    step: Callable[[State, Minibatch], None],
    score: Callable[[int, int], EpochScore],
    after_block: Callable[[], None],
) -> dict[int, EpochScore]:
    """Train from where `log` stands to the last epoch; returns the final score of each lane.

    score(k, epoch) measures lane k. after_block runs whenever `state` and `log` are consistent:
    it may save them, and may raise to stop.
    """
    run = stack.runs[0]
    last: dict[int, EpochScore] = {}
    while log.epoch < run.schedule.epochs and log.any_alive:
        epoch = log.epoch + 1
        for first in range(log.step, feed.steps, BLOCK):
            for batch in feed.block(epoch, first):
                step(state, batch)
            log.step = min(first + BLOCK, feed.steps)
            after_block()
        _close_epoch(stack, state, log, feed.steps)
        if epoch in run.evaluation.epochs:
            last = _score_lanes(state, log, epoch, score)
        log.epoch, log.step = epoch, 0
        after_block()
    if not last:  # continued after the last epoch
        last = {k: score(k, log.epoch) for k in _alive(log)}
    return {k: last[k] for k in _alive(log)}  # a lane may have diverged since it was scored


def _alive(log: Log) -> list[int]:
    return [k for k, lane in enumerate(log.lanes) if lane.diverged_at is None]


def _close_epoch(stack: Stack, state: State, log: Log, steps: int) -> None:
    """Note the running mean of the training bound; freeze lanes where it is not finite."""
    epoch, means = log.epoch + 1, (state.sums / steps).tolist()
    finite = state.sums.isfinite().tolist()
    for k in _alive(log):
        run, lane = stack.runs[k], log.lanes[k]
        if not finite[k]:
            lane.diverged_at = epoch
            state.alive[k] = False
            continue
        row: Row = {"epoch": epoch, "beta": run.beta(epoch), "lr": run.optim.lr}
        empty = dict.fromkeys(["L1_train", "L1_test", *kl_names(run.model.depth)])
        lane.rows.append({**row, "L1_train_running": means[k], **empty})
    state.sums.zero_()


def _score_lanes(
    state: State, log: Log, epoch: int, score: Callable[[int, int], EpochScore]
) -> dict[int, EpochScore]:
    """Measure every living lane and write it down."""
    scores = {}
    for k in _alive(log):
        lane, s = log.lanes[k], score(k, epoch)
        if not s.finite:
            lane.diverged_at = epoch
            state.alive[k] = False
            continue
        layers = np.split(s.kl_test, np.cumsum(s.net.model.latents)[:-1])
        kl = {n: float(v.sum()) for n, v in zip(kl_names(len(layers)), layers, strict=True)}
        lane.rows[-1].update(L1_train=s.L1_train, L1_test=float(s.L1_test.double().mean()), **kl)
        lane.kl_epochs.append(epoch)
        lane.kl_train.append(s.kl_train)
        lane.kl_test.append(s.kl_test)
        scores[k] = s
    return scores


def kl_names(depth: int) -> list[str]:
    """Curve columns of the KL per layer, from the data upward."""
    return [f"KL_{i}" for i in range(1, depth + 1)]
