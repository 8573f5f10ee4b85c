"""The loop: epochs, evaluation epochs, running means, divergence, continuing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import small
import torch

from repro.model.stack import Stack
from repro.plan.run import Run
from repro.train.feed import Feed
from repro.train.log import LaneLog, Log
from repro.train.loop import train
from repro.train.minibatch import BLOCK, Minibatch
from repro.train.score import EpochScore
from repro.train.state import State, fresh
from repro.train.step import objective_of, step_function


@dataclass
class Loop:
    """One call of `train`, and what it asked for; poison: a lane that is NaN from a step on."""

    runs: tuple[Run, ...]
    images: np.ndarray = field(default_factory=small.grey)
    poison: tuple[int, int] = (0, -1)
    scored: list[tuple[int, int]] = field(default_factory=list)
    steps: list[Minibatch] = field(default_factory=list)
    bounds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stack = Stack(self.runs)
        self.state = fresh(self.stack, small.PIXELS, small.CPU, torch.float64)
        self.log = Log([LaneLog() for _ in self.runs])
        self.feed = Feed(self.stack, torch.from_numpy(self.images), torch.float64)
        self.run_step = step_function(self.stack, "eager")

    def go(self, score: Any = None, after_block: Callable[[], None] = lambda: None) -> Any:
        blocks = train(self.stack, self.feed, self.state, self.log, self.step, score or self.score)
        return small.finished(blocks, after_block)

    def step(self, state: State, batch: Minibatch) -> None:
        lane, step = self.poison
        if len(self.steps) == step:
            state.params["x.a.W"][lane, 0, 0] = math.nan
        self.steps.append(batch)
        self.bounds.append(float(objective_of(self.stack)(state.params, batch)[0]))
        self.run_step(state, batch)

    def score(self, k: int, epoch: int) -> EpochScore:
        self.scored.append((k, epoch))
        return small.score(self.runs[k], float(-epoch))


def short(seed: int = 1, **fields: Any) -> Run:
    """Of one layer: the loop knows no more of a model."""
    return small.run("lvae", 1, seed, **fields)


def test_a_row_has_beta_rate_and_the_mean_bound_of_its_epoch_s_steps() -> None:
    loop = Loop((short(epochs=4, warmup=2),))
    loop.go()
    betas = [float(b.beta) for b in loop.steps]
    assert betas == [b for b in (0.0, 0.5, 1.0, 1.0) for _ in range(small.STEPS)]
    rows = loop.log.lanes[0].rows
    found = [(row["epoch"], row["beta"], row["lr"]) for row in rows]
    assert found == [(1, 0.0, 1e-3), (2, 0.5, 1e-3), (3, 1.0, 1e-3), (4, 1.0, 1e-3)]
    for row, epoch in zip(rows, np.split(np.array(loop.bounds), 4), strict=True):
        assert row["L1_train_running"] == pytest.approx(epoch.mean(), rel=1e-10)


def test_lanes_are_scored_at_evaluation_epochs_alone_in_their_row_and_the_last_returned() -> None:
    loop = Loop((short(epochs=4, scored=(1, 3, 4)), short(2, epochs=4, scored=(1, 3, 4))))
    assert {k: s.L1_train for k, s in loop.go().items()} == {0: -4, 1: -4}
    assert loop.scored == [(k, epoch) for epoch in (1, 3, 4) for k in (0, 1)]
    for lane in loop.log.lanes:
        for name in ("L1_train", "L1_test"):
            assert [row[name] for row in lane.rows] == [-1, None, -3, -4]
        assert lane.kl_epochs == [1, 3, 4]


def test_the_place_is_consistent_after_every_block() -> None:
    """That training continues from there is held by `test_local.py`."""
    loop = Loop((short(epochs=1),), small.grey(31 * small.BATCH))
    places: list[tuple[int, int, float]] = []
    loop.go(after_block=lambda: places.append((loop.log.epoch, loop.log.step, float(loop.state.t))))
    assert places == [(0, BLOCK, BLOCK), (0, 31, 31), (1, 0, 31)]


@pytest.mark.parametrize(("step", "epoch"), [(0, 1), (small.STEPS, 2), (3 * small.STEPS - 1, 3)])
def test_a_diverged_lane_is_frozen_noted_with_its_epoch_and_scored_no_more(step, epoch):
    runs = tuple(short(seed, epochs=3, scored=(1, 2, 3)) for seed in (1, 2))
    loop = Loop(runs, poison=(1, step))
    assert loop.go().keys() == {0}
    assert [lane.diverged_at for lane in loop.log.lanes] == [None, epoch]
    assert loop.state.alive.tolist() == [True, False]
    assert [row["epoch"] for row in loop.log.lanes[1].rows] == list(range(1, epoch))
    assert loop.scored == [(k, e) for e in (1, 2, 3) for k in (0, 1) if k == 0 or e < epoch]


def test_training_ends_without_a_last_score_when_every_lane_has_diverged() -> None:
    loop = Loop((short(epochs=4, scored=(1, 4)),), poison=(0, 2 * small.STEPS))
    assert loop.go() == {}
    assert loop.log.lanes[0].diverged_at == 3
    assert (len(loop.steps), loop.scored) == (3 * small.STEPS, [(0, 1)])


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_lane_whose_score_is_not_finite_has_diverged(bad: float) -> None:
    loop = Loop(tuple(short(seed, epochs=2, scored=(1, 2)) for seed in (1, 2)))
    score: Any = lambda k, epoch: small.score(loop.runs[k], bad if k else -1.0)  # noqa: E731
    assert loop.go(score).keys() == {0}
    assert [lane.diverged_at for lane in loop.log.lanes] == [None, 1]
