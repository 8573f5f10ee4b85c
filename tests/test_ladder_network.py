"""The Ladder network: its parameters, costs against numpy, predictions; trained by the one loop."""

from typing import Any

import ladder_small as small
import pytest
import torch
from ladder_small import LABELLED, ROWS
from reference import LadderReference
from small import finished
from small_steps import prepared
from torch import Tensor

from repro.errors import UsageError
from repro.model.ladder_network import (
    LadderNet,
    cost,
    encode,
    initial_value,
    parameters,
    predict,
    statistics,
)
from repro.model.stack import Stack, pack
from repro.plan.run import Ladder, Run
from repro.train.log import LaneLog, Log, Row
from repro.train.loop import train as loop
from repro.train.state import State
from repro.train.step import objective_of, parts_of, step, step_function, update_of
from repro.train.tasks import task_of

VARIANTS: dict[str, Ladder] = {
    "full": small.model(),
    "both halves": small.model(cost_rows="both"),
    "logits": small.model(top_input="logits"),
    "raw estimates": small.model(estimate_norm=False),
    "no lateral": small.model(lateral=False),
    "pixels alone": small.model(cost_weights=(5.0, 0.0, 0.0, 0.0)),
    "top": small.top_only(),
    "baseline": small.baseline(),
    "joined": small.model(joined=True),
    "joined, both halves": small.model(joined=True, cost_rows="both"),
    "noisy scale": small.model(joined=True, estimate_scale="noisy"),
    "normalised passed down": small.model(passed_down="normalised"),
    "affine u": small.model(vertical_affine=True),
    "all gammas": small.model(gammas="all", leaky_slope=0.2),
    "scaled first": small.model(gammas="all", affine="scale_first"),
    "no gamma": small.model(gammas="none"),
}


# Parameters

ENCODER = 1_536_500 + 2_260 + 10  # weights, shifts, the scale at the top


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (Ladder(), 3_105_710),
        (Ladder(decoder="top", cost_weights=(*(0.0,) * 6, 0.5)), ENCODER + 100),  # a combinator
        (Ladder(decoder="none", cost_weights=(0.0,) * 7), ENCODER),
    ],
    ids=["full", "gamma", "baseline"],
)
def test_a_model_has_this_many_parameters(model: Ladder, count: int) -> None:
    assert sum(torch.Size(p.shape).numel() for p in parameters(model)) == count


def shapes_of(**fields: Any) -> dict[str, tuple[int, ...]]:
    return {p.name: p.shape for p in parameters(small.model(**fields))}


def test_parameters_run_from_layer_to_layer_and_back_and_no_product_has_a_bias() -> None:
    assert list(shapes_of().items()) == [
        *[("f1.W", (19, 13)), ("f1.beta", (13,)), ("f2.W", (13, 7)), ("f2.beta", (7,))],
        *[("f3.W", (7, 5)), ("f3.beta", (5,)), ("f3.gamma", (5,))],
        *[("g0.V", (13, 19)), ("g0.a", (10, 19)), ("g1.V", (7, 13)), ("g1.a", (10, 13))],
        *[("g2.V", (5, 7)), ("g2.a", (10, 7)), ("g3.a", (10, 5))],
    ]
    for gammas, layers in {"top": [3], "all": [1, 2, 3], "none": []}.items():
        names = [name for name in shapes_of(gammas=gammas) if name.endswith(".gamma")]
        assert names == [f"f{i}.gamma" for i in layers]
    assert shapes_of(combinator_shared=True)["g1.a"] == (10, 1)
    shared = small.net(small.model(combinator_shared=True))
    assert small.costs(shared).denoising[1].isfinite().all()


SIG = {"combinator": "sig"}


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("f1.W", {}, 19**-0.5),  # a variance of one over fan-in
        ("f3.W", {}, 7**-0.5),
        ("g0.V", {}, 13**-0.5),
        ("f1.W", {"weight_init": "uniform"}, (3 / 19) ** 0.5),  # ends at sqrt(3) deviations
        ("f1.W", {"weight_init": "glorot"}, (6 / (19 + 13)) ** 0.5),  # of two over both fans
        *((f"f{i}.beta", {}, 0) for i in (1, 2, 3)),
        ("f3.gamma", {}, 1),
        ("f1.beta", {"beta_init": 1.0}, 1),  # kzky's
        ("f3.gamma", {"gamma_init": "uniform"}, 3**0.5),
        *((f"g{i}.gamma", {"vertical_affine": True}, 1) for i in range(4)),
        *((f"g{i}.beta", {"vertical_affine": True}, 0) for i in range(4)),
        ("g1.a", {}, [0, 1, 0, 0, 0, 0, 1, 0, 0, 0]),
        ("g1.a", {**SIG, "combinator_init": "random"}, [0, *[0.025] * 4, 0, *[0.025] * 3]),
        ("g1.a", {**SIG, "combinator_init": "swapped"}, [0, 0, 1, 0, 1, 0, 0, 1, 0]),
        ("g1.a", {**SIG, "combinator_init": "lateral"}, [0, 1, 0, 0, 0, 0, 1, 0, 0]),
    ],
)
def test_a_parameter_begins_as_published(name: str, fields: Any, expected: Any) -> None:
    """Where what is drawn is 1."""
    (parameter,) = [p for p in parameters(small.model(**fields)) if p.name == name]
    value = initial_value(parameter, torch.ones(parameter.shape)).movedim(0, -1)
    torch.testing.assert_close(value, torch.tensor(expected, dtype=value.dtype).expand_as(value))


# Costs


@pytest.mark.parametrize("rows", [ROWS, 2 * LABELLED])  # equal halves are normalised in one go
@pytest.mark.parametrize("model", VARIANTS.values(), ids=VARIANTS)
def test_costs_of_three_lanes_are_the_reference_s_of_each_alone(model: Ladder, rows: int) -> None:
    net, x = small.net(model, K=3), small.pixels(3, rows)
    y, eps = small.classes(3), small.noise(3, rows)
    ours = cost(net, x, y, eps)
    for k in range(3):
        alone, noise = LadderReference.of(net, k), [e[k].numpy() for e in eps]
        supervised, denoising = alone.costs(x[k].numpy(), y[k].numpy(), noise)
        assert float(ours.supervised[k]) == pytest.approx(supervised, rel=1e-10)
        found = {i: float(c[k]) for i, c in ours.denoising.items()}
        assert found == pytest.approx({i: denoising[i] for i in model.costly}, rel=1e-9)
        total = supervised + sum(model.cost_weights[i] * denoising[i] for i in model.costly)
        assert float(ours.total(model)[k]) == pytest.approx(total, rel=1e-9)


def test_extreme_logits_cost_much_and_a_dead_unit_little_and_neither_nan() -> None:
    extreme, dead = small.net(), small.net()
    extreme.params["f3.gamma"].fill_(1e4)
    supervised = small.costs(extreme).supervised
    assert supervised.isfinite().all()
    assert supervised > 100
    dead.params["f2.W"][:, :, 0] = 0
    total = small.costs(dead).total(dead.model)
    dead.params["f2.W"][:, :, 0] = 1
    assert total < 10 * small.costs(dead).total(dead.model)


def test_gradients_are_those_of_finite_differences() -> None:
    """Through clean targets and their statistics as well: a stopped gradient would differ."""
    model = small.model(sizes=(3, 2, 2), noise=(0.3,) * 3, cost_weights=(3.0, 2.0, 0.5))
    ladder = small.net(model)
    g = torch.Generator().manual_seed(1)
    x = torch.rand(1, 7, 3, generator=g, dtype=torch.float64)
    eps = [torch.randn(1, 7, n, generator=g, dtype=torch.float64) for n in model.sizes]
    y = torch.tensor([[0, 1, 1]])

    def total(*values: Tensor) -> Tensor:
        params = dict(zip(ladder.params, values, strict=True))
        return cost(LadderNet(model, params), x, y, eps).total(model)

    leaves = [p.clone().requires_grad_() for p in ladder.params.values()]
    assert torch.autograd.gradcheck(total, leaves, eps=1e-6, atol=1e-5)


# Predictions


@pytest.mark.parametrize(("test_var", "correction"), [("unbiased", 1), ("biased", 0)])
def test_statistics_are_the_mean_and_unbiased_variance_of_the_labelled_images(test_var, correction):
    """Kzky's keep the population variance."""
    ladder, x = small.net(small.model(test_var=test_var)), small.pixels(R=LABELLED)
    mean, var = statistics(ladder, [x], LABELLED)[0]
    product = torch.bmm(x, ladder.params["f1.W"])
    torch.testing.assert_close(mean[:, 0], product.mean(1))
    torch.testing.assert_close(var[:, 0], product.var(1, correction=correction))


@pytest.mark.parametrize("sizes", [(3,), (1, 2), (1, 1, 1)])
def test_statistics_of_several_minibatches_are_averaged(sizes: tuple[int, ...]) -> None:
    ladder, x = small.net(), small.pixels(R=3 * LABELLED)
    ours = statistics(ladder, torch.split(x, [n * LABELLED for n in sizes], 1), LABELLED)
    parts = [statistics(ladder, [part], LABELLED) for part in x.split(LABELLED, 1)]
    for i, (mean, var) in enumerate(ours):
        torch.testing.assert_close(mean, torch.stack([p[i].mean for p in parts]).mean(0))
        torch.testing.assert_close(var, torch.stack([p[i].var for p in parts]).mean(0))


def test_a_prediction_is_the_clean_path_s_whatever_images_are_beside_it() -> None:
    """With a minibatch's own population statistics it is the training path without noise."""
    ladder, x = small.net(small.model(test_var="biased")), small.pixels(R=LABELLED)
    seen, logits = statistics(ladder, [x], LABELLED), encode(ladder, x, (LABELLED,)).h
    torch.testing.assert_close(predict(ladder, x, seen), logits)
    torch.testing.assert_close(predict(ladder, x[:, 3:4], seen), logits[:, 3:4])


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
    """Costs of every variant are held to those of each lane alone above."""
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
