"""Ladder networks through the one loop: steps, lanes, divergence."""

from typing import Any

import ladder_small as small
import pytest
import torch
from small import CPU, finished

from repro.errors import UsageError
from repro.model.ladder_network import LadderNet, cost
from repro.model.stack import Stack, pack
from repro.plan.run import Ladder, Run
from repro.train.ladder_feed import LadderFeed
from repro.train.log import LaneLog, Log, Row
from repro.train.loop import train as loop
from repro.train.state import State, fresh
from repro.train.step import objective_of, parts_of, step, step_function, update_of
from repro.train.tasks import task_of


def prepared(*runs: Run) -> tuple[Stack, State, LadderFeed]:
    stack = Stack(runs)
    state = fresh(stack, small.SIZES[0], CPU, torch.float64)
    return stack, state, LadderFeed(stack, small.images(), torch.float64)


def trained(*runs: Run) -> tuple[State, Log]:
    """Every lane after all epochs, scored as training does it."""
    stack, state, feed = prepared(*runs)
    log = Log([LaneLog() for _ in runs])
    images, score = small.images(), task_of(runs[0]).score

    def measure(k: int, epoch: int) -> Any:
        own = {n: p.float() for n, p in state.params.items()}
        return score(stack, own, k, images, epoch)

    finished(loop(stack, feed, state, log, step_function(stack, "eager"), measure))
    return state, log


# Steps


@pytest.mark.parametrize("model", small.VARIANTS)
def test_the_objective_is_minus_the_cost_of_pixels_in_0_to_1_and_moves_all(model: Ladder) -> None:
    """Within three steps, as the first cannot reach the decoder's weights."""
    stack, state, feed = prepared(small.run(ladder=model))
    batches = list(feed.block(1, 0))[:3]
    x, y, eps, _ = batches[0]
    expected = cost(LadderNet(model, state.params), x.double() / 255, y, eps).total(model)
    torch.testing.assert_close(objective_of(stack)(state.params, batches[0]), -expected)
    before = {n: p.clone() for n, p in state.params.items()}
    for batch in batches:
        step_function(stack, "eager")(state, batch)
    assert [n for n, p in state.params.items() if torch.equal(p, before[n])] == []


def test_the_falling_rate_is_the_one_that_adam_uses() -> None:
    """In epoch 4 of 4 half the rate, and so half the step; the curve alone would prove nothing."""
    changes = []
    for decay_from in (None, 0.5):
        stack, state, feed = prepared(small.run(epochs=4, decay_from=decay_from))
        before = state.params["f1.W"].clone()
        step_function(stack, "eager")(state, next(iter(feed.block(4, 0))))
        changes.append(state.params["f1.W"] - before)
    torch.testing.assert_close(changes[1], changes[0] / 2)


def numbers(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.items() if value is not None}


def test_training_lowers_cost_and_error() -> None:
    _, log = trained(small.run(epochs=12, optim={"lr": 0.02}))
    first, last = (numbers(log.lanes[0].rows[i]) for i in (0, -1))
    assert last["cost_running"] < 0.7 * first["cost_running"]
    assert last["error_percent"] < 10


@pytest.mark.slow
@pytest.mark.parametrize("model", small.COMPILED)
def test_compiled_steps_give_the_same_numbers(model: Ladder) -> None:
    """An update knows no model: `test_step.py` compiles it."""
    runs = [small.run(seed, ladder=model) for seed in (1, 2)]
    ours, expected = (prepared(*runs)[1] for _ in range(2))
    stack, _, feed = prepared(*runs)
    for state, engine in ((ours, "compiled"), (expected, "eager")):
        objective, _, rates = parts_of(stack, engine)
        for batch in list(feed.block(1, 0))[:5]:
            step(objective, update_of(stack), runs[0].optim, state, batch, rates)
    for name, p in expected.params.items():
        torch.testing.assert_close(ours.params[name], p, rtol=1e-8, atol=1e-10)


# Lanes


@pytest.mark.parametrize("model", [small.VARIANTS[i] for i in (0, 3, 5)])
def test_three_seeds_train_in_a_stack_as_alone(model: Ladder) -> None:
    """Costs of every variant are held to those alone in `test_ladder_network.py`."""
    runs = [small.run(seed, ladder=model) for seed in (1, 2, 3)]
    state, log = trained(*runs)
    for k, run in enumerate(runs):
        alone, its_log = trained(run)
        for name, p in alone.params.items():
            torch.testing.assert_close(state.params[name][k : k + 1], p, rtol=1e-9, atol=1e-11)
        for ours, expected in zip(log.lanes[k].rows, its_log.lanes[0].rows, strict=True):
            assert numbers(ours) == pytest.approx(numbers(expected), rel=1e-4)


def test_seeds_share_a_stack_and_variants_and_other_models_do_not() -> None:
    vae = Run("vae", evaluation=small.run(epochs=2000).evaluation)
    models = small.model(), small.baseline()
    ladders = [small.run(seed, ladder=model) for model in models for seed in (1, 2)]
    assert sorted(len(s.runs) for s in pack([*ladders, vae], 8)) == [1, 2, 2]
    with pytest.raises(UsageError, match="differ beyond lane fields"):
        Stack((small.run(), vae))
