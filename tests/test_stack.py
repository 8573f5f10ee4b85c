"""A Run gives the same numbers alone and among others; the loop that trains stacks of them."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import small
import torch
from fixture_data import refused
from small_steps import prepared

from repro.errors import UsageError
from repro.model.layers import Params
from repro.model.stack import Stack, pack
from repro.plan.run import Data, Run
from repro.train.feed import Feed
from repro.train.log import LaneLog, Log
from repro.train.loop import train
from repro.train.minibatch import BLOCK, Minibatch
from repro.train.score import EpochScore
from repro.train.state import State, fresh
from repro.train.step import objective_of, step_function

EPOCHS, STEPS = 2, 10  # so that warm-up changes beta on the way


def of_lane(family: str, depth: int, seed: int, **fields: Any) -> Run:
    return small.run(family, depth, seed, epochs=EPOCHS, steps=STEPS, **fields)


def three(family: str) -> tuple[Run, ...]:
    """Lanes that differ in seed, warm-up and learning rate."""
    return (
        of_lane(family, 3, 1, warmup=0),
        of_lane(family, 3, 2, warmup=2, optim={"lr": 3e-3}),
        of_lane(family, 3, 3, warmup=4, optim={"lr": 3e-4}),
    )


def ragged(family: str) -> tuple[Run, ...]:
    return of_lane(family, 3, 1), of_lane(family, 2, 2, warmup=0), of_lane(family, 1, 3)


def mixed(family: str) -> tuple[Run, ...]:
    """Lanes of different depth with and without batch norm."""
    plain = {"batch_norm": False}
    return of_lane(family, 3, 1, **plain), of_lane(family, 2, 2), of_lane(family, 2, 3, **plain)


Lane = tuple[Params, list[float]]  # what one became: its parameters and its running bounds


def trained(runs: tuple[Run, ...], poisoned: int | None = None) -> list[Lane]:
    """Every lane after EPOCHS x STEPS steps in float64, in one stack."""
    stack, state, feed = prepared(*runs)
    if poisoned is not None:
        state.params["x.a.W"][poisoned, 0, 0] = math.nan
    log, step = Log([LaneLog() for _ in runs]), step_function(stack, "eager")
    small.finished(train(stack, feed, state, log, step, lambda k, _: small.score(runs[k])))
    bounds = [[float(row["L1_train_running"] or 0) for row in lane.rows] for lane in log.lanes]
    return [(stack.own(state.params, k), of) for k, of in enumerate(bounds)]


def assert_same(ours: Lane, expected: Lane) -> None:
    assert ours[0].keys() == expected[0].keys()
    for name, p in expected[0].items():
        torch.testing.assert_close(ours[0][name], p, rtol=1e-9, atol=1e-12, msg=name)
    assert ours[1] == pytest.approx(expected[1], rel=1e-9)


@functools.cache
def alone(run: Run) -> Lane:
    return trained((run,))[0]


def variants(**fields: Any) -> tuple[Run, ...]:
    return of_lane("lvae", 3, 1, **fields), of_lane("lvae", 2, 2, **fields)


FLOWS = of_lane("vae", 1, 1, flows=2, warmup=0), of_lane("vae", 1, 2, flows=2)
OTHERS = (  # of another grey scale, of heads that begin otherwise, scored by other statistics
    replace(of_lane("lvae", 3, 1), data=Data(grey_scale=255)),
    of_lane("lvae", 3, 2, head_init="uniform"),
    of_lane("lvae", 2, 3, evaluation={"statistics": "minibatches"}),
)


@pytest.mark.parametrize(
    "runs",
    [
        *(of(family) for of in (three, ragged, mixed) for family in ("vae", "lvae")),
        *(three(family)[::-1] for family in ("vae", "lvae")),
        *(variants(shared=False), variants(upward="mu"), variants(optim={"kl": "closed"})),
        *(FLOWS, OTHERS),
    ],
)
def test_a_lane_trains_as_it_would_alone(runs: tuple[Run, ...]) -> None:
    for run, ours in zip(runs, trained(runs), strict=True):
        assert_same(ours, alone(run))


@pytest.mark.parametrize(("lanes", "poisoned"), [(three, 1), (ragged, 0), (mixed, 2)])
def test_a_lane_of_nan_disturbs_nobody(lanes: Any, poisoned: int) -> None:
    runs = lanes("lvae")
    together = trained(runs, poisoned)
    assert together[poisoned][1] == []
    for k, run in enumerate(runs):
        if k != poisoned:
            assert_same(together[k], alone(run))


def test_a_lane_starts_from_its_seed_and_is_a_view_into_its_stack() -> None:
    stack = Stack((small.run(seed=1), small.run(seed=2)))
    params = stack.initial(small.PIXELS)
    assert not torch.equal(params["x.a.W"][0], params["x.a.W"][1])
    stack.lane(params, 1).params["x.a.W"].fill_(7)
    assert (params["x.a.W"][1] == 7).all()


@pytest.mark.parametrize(
    "other",
    [
        small.run("vae"),
        small.run(shared=False),
        small.run(epochs=3),
        small.run(steps=5),
        small.run(optim={"clip_norm": None}),
        small.run(evaluation={"importance_samples": 8}),
        replace(small.run(), data=Data(test_seed=1)),
        small.run(latents=(5, 2, 2)),
        small.run(depth=2, widths=(13, 10, 7)),
    ],
    ids=lambda run: run.hash[:5],
)
def test_runs_that_train_differently_cannot_share_a_stack(other: Run) -> None:
    with refused(UsageError, "stack", small.run().id):
        Stack((small.run(), other))


def test_lanes_must_come_deepest_first() -> None:
    with refused(UsageError, "deepest first"):
        Stack((small.run(depth=2), small.run(depth=3)))


def test_packing_loses_and_repeats_no_run() -> None:
    runs = [small.run(f, d, s) for f in ("vae", "lvae") for d in (1, 2, 3) for s in (1, 2, 3)]
    packed = [run for stack in pack(runs, 4) for run in stack.runs]
    assert sorted(packed, key=repr) == sorted(runs, key=repr)


SEEDS = [small.run(seed=s) for s in range(1, 12)]
NORMS = [small.run(seed=s, batch_norm=on) for s in (1, 2) for on in (True, False)]
SIZES = [small.run(depth=1), small.run(latents=(5, 2, 2)), small.run(), small.run(depth=2)]
DEPTHS = [small.run(depth=d, seed=s) for d in (1, 2) for s in (1, 2)]


@pytest.mark.parametrize(
    ("runs", "limits", "expected"),
    [
        pytest.param(SEEDS, {"most_lanes": 4}, [(3,) * 3, (3,) * 4, (3,) * 4], id="limit"),
        pytest.param(NORMS, {}, [(3, 3), (3, 3)], id="batch norm"),
        pytest.param(SIZES, {}, [(3, 1), (3, 2)], id="sizes"),
        pytest.param(DEPTHS, {"ragged": False}, [(1, 1), (2, 2)], id="depths"),
    ],
)
def test_packing_keeps_apart_what_does_not_go_together(runs, limits, expected):
    stacks = pack(runs, **{"most_lanes": 9, **limits})
    assert sorted(stack.lanes.depths for stack in stacks) == expected
    assert all(len(set(stack.lanes.norm)) == 1 for stack in stacks)


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
