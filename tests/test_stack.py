"""Lane independence: a Run gives the same numbers alone, among others, and in another order."""

import functools
import math
from dataclasses import replace
from typing import Any

import pytest
import small
import torch
from fixture_data import refused
from small_steps import prepared

from repro.errors import UsageError
from repro.model.layers import Params
from repro.model.stack import Stack, pack
from repro.plan.run import Data, Run
from repro.train.log import LaneLog, Log
from repro.train.loop import train
from repro.train.step import step_function

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
