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

LONG = 31 * small.BATCH  # images of two blocks


@dataclass
class Loop:
    """One call of `train`, and what it asked for."""

    runs: tuple[Run, ...]
    images: np.ndarray = field(default_factory=small.grey)
    scored: list[tuple[int, int]] = field(default_factory=list)
    steps: list[Minibatch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stack = Stack(self.runs)
        self.state = fresh(self.stack, small.PIXELS, small.CPU, torch.float64)
        self.log = Log([LaneLog() for _ in self.runs])
        self.feed = Feed(self.stack, torch.from_numpy(self.images), torch.float64)
        self.run_step = step_function(self.stack, "eager")

    def go(
        self,
        score: Callable[[int, int], EpochScore] | None = None,
        after_block: Callable[[], None] = lambda: None,
    ) -> dict[int, EpochScore]:
        blocks = train(self.stack, self.feed, self.state, self.log, self.step, score or self.score)
        return small.finished(blocks, after_block)

    def step(self, state: State, batch: Minibatch) -> None:
        self.steps.append(batch)
        self.run_step(state, batch)

    def score(self, k: int, epoch: int) -> EpochScore:
        self.scored.append((k, epoch))
        return small.score(self.runs[k], float(-epoch))


def short(**fields: Any) -> Run:
    """Of one layer: the loop knows no more of a model."""
    return small.run(depth=1, **fields)


class Stopped(Exception):  # noqa: N818 - a way to stop, not an error
    pass


def test_beta_rises_by_epoch_not_by_minibatch() -> None:
    loop = Loop((short(epochs=4, warmup=2),))
    loop.go()
    betas = [float(b.beta) for b in loop.steps]
    assert betas == [b for b in (0.0, 0.5, 1.0, 1.0) for _ in range(small.STEPS)]
    rows = [(row["epoch"], row["beta"], row["lr"]) for row in loop.log.lanes[0].rows]
    assert rows == [(1, 0.0, 1e-3), (2, 0.5, 1e-3), (3, 1.0, 1e-3), (4, 1.0, 1e-3)]


def test_running_bound_is_the_mean_over_the_epoch_s_steps() -> None:
    loop = Loop((short(epochs=2),))
    bounds: list[float] = []

    def step(state: State, batch: Minibatch) -> None:
        bounds.append(float(objective_of(loop.stack)(state.params, batch)))
        loop.run_step(state, batch)

    loop.step = step  # type: ignore[method-assign]
    loop.go()
    rows = loop.log.lanes[0].rows
    for row, epoch in zip(rows, np.split(np.array(bounds), 2), strict=True):
        assert row["L1_train_running"] == pytest.approx(epoch.mean(), rel=1e-10)


def test_lanes_are_scored_at_the_evaluation_epochs_alone_and_the_last_scores_returned() -> None:
    loop = Loop((short(epochs=5, scored=(1, 3, 5)), short(epochs=5, scored=(1, 3, 5), seed=2)))
    assert {k: s.L1_train for k, s in loop.go().items()} == {0: -5, 1: -5}
    assert loop.scored == [(k, epoch) for epoch in (1, 3, 5) for k in (0, 1)]


def test_scores_stand_in_the_row_of_their_epoch() -> None:
    loop = Loop((short(epochs=3, scored=(2, 3)),))
    loop.go()
    assert [row["L1_train"] for row in loop.log.lanes[0].rows] == [None, -2, -3]
    assert [row["L1_test"] for row in loop.log.lanes[0].rows] == [None, -2, -3]
    assert loop.log.lanes[0].kl_epochs == [2, 3]


def test_scoring_does_not_change_training() -> None:
    often, once = Loop((short(epochs=3, scored=(1, 2, 3)),)), Loop((short(epochs=3),))
    often.go()
    once.go()
    for name, p in once.state.params.items():
        assert torch.equal(often.state.params[name], p)


def test_the_place_is_consistent_after_every_block() -> None:
    loop = Loop((short(epochs=1),), small.grey(LONG))
    places: list[tuple[int, int, float]] = []
    loop.go(after_block=lambda: places.append((loop.log.epoch, loop.log.step, float(loop.state.t))))
    assert places == [(0, BLOCK, BLOCK), (0, 31, 31), (1, 0, 31)]


@pytest.fixture(scope="module")
def whole() -> Loop:
    """Two epochs of two blocks each, uninterrupted."""
    loop = Loop((short(epochs=2),), small.grey(LONG))
    loop.go()
    return loop


@pytest.mark.parametrize("calls", range(1, 7))
def test_training_stopped_after_any_block_continues_to_the_same_end(calls, whole):
    broken, left = Loop(whole.runs, small.grey(LONG)), calls

    def stop() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Stopped

    with pytest.raises(Stopped):
        broken.go(after_block=stop)
    assert broken.go().keys() == {0}
    assert broken.log.lanes[0].rows == whole.log.lanes[0].rows
    for name, p in whole.state.params.items():
        assert torch.equal(broken.state.params[name], p)


def poison_before(loop: Loop, lane: int, step: int) -> None:
    """Make one lane NaN just before a step, counted from 0 over all epochs."""

    def poisoned(state: State, batch: Minibatch) -> None:
        if len(loop.steps) == step:
            state.params["x.a.W"][lane, 0, 0] = math.nan
        loop.steps.append(batch)
        loop.run_step(state, batch)

    loop.step = poisoned  # type: ignore[method-assign]


@pytest.mark.parametrize(("step", "epoch"), [(0, 1), (small.STEPS, 2), (3 * small.STEPS - 1, 3)])
def test_a_diverged_lane_is_frozen_and_noted_with_its_epoch(step: int, epoch: int) -> None:
    loop = Loop((short(epochs=3), short(epochs=3, seed=2)))
    poison_before(loop, 1, step)
    loop.go()
    assert [lane.diverged_at for lane in loop.log.lanes] == [None, epoch]
    assert loop.state.alive.tolist() == [True, False]
    assert [row["epoch"] for row in loop.log.lanes[1].rows] == list(range(1, epoch))


def test_a_diverged_lane_is_not_scored() -> None:
    loop = Loop((short(epochs=2, scored=(1, 2)), short(epochs=2, scored=(1, 2), seed=2)))
    poison_before(loop, 1, small.STEPS)
    assert loop.go().keys() == {0}
    assert loop.scored == [(0, 1), (1, 1), (0, 2)]


def test_a_lane_that_diverges_after_it_was_scored_has_no_last_score() -> None:
    loop = Loop((short(epochs=4, scored=(1, 4)),))
    poison_before(loop, 0, 2 * small.STEPS)
    assert loop.go() == {}
    assert loop.log.lanes[0].diverged_at == 3


def test_training_ends_when_every_lane_has_diverged() -> None:
    loop = Loop((short(epochs=4),))
    poison_before(loop, 0, 0)
    loop.go()
    assert len(loop.steps) == small.STEPS


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_lane_whose_score_is_not_finite_has_diverged(bad: float) -> None:
    loop = Loop((short(epochs=2, scored=(1, 2)), short(epochs=2, scored=(1, 2), seed=2)))
    score: Any = lambda k, epoch: small.score(loop.runs[k], bad if k else -1.0)  # noqa: E731
    assert loop.go(score).keys() == {0}
    assert [lane.diverged_at for lane in loop.log.lanes] == [None, 1]
