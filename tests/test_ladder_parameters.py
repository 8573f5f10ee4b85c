"""The parameters of a Ladder network: which there are, and how they begin."""

from typing import Any

import ladder_small as small
import pytest
import torch
from torch import Tensor

from repro.model.combinators import combinator
from repro.model.ladder_network import Parameter, initial_value, parameters
from repro.plan.run import Ladder

ENCODER = 1_536_500 + 2_260 + 10  # weights, shifts, the scale at the top


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (Ladder(), 3_105_710),
        (Ladder(decoder="top", cost_weights=(*(0.0,) * 6, 0.5)), ENCODER + 100),
        (Ladder(decoder="none", cost_weights=(0.0,) * 7), ENCODER),
    ],
    ids=["full", "gamma", "baseline"],
)
def test_a_model_has_this_many_parameters(model: Ladder, count: int) -> None:
    """The Gamma model: an encoder and one combinator."""
    assert sum(torch.Size(p.shape).numel() for p in parameters(model)) == count


def shapes_of(model: Ladder) -> dict[str, tuple[int, ...]]:
    return {p.name: p.shape for p in parameters(model)}


def test_weights_run_from_layer_to_layer_and_back() -> None:
    shapes = shapes_of(small.model())
    assert [shapes[f"f{i}.W"] for i in (1, 2, 3)] == [(19, 13), (13, 7), (7, 5)]
    assert [shapes[f"g{i}.V"] for i in (0, 1, 2)] == [(13, 19), (7, 13), (5, 7)]


def test_no_product_has_a_bias_of_its_own() -> None:
    kinds = {name.partition(".")[2] for name in shapes_of(small.model())}
    assert kinds == {"W", "beta", "gamma", "V", "a"}


@pytest.mark.parametrize(("gammas", "layers"), [("top", [3]), ("all", [1, 2, 3]), ("none", [])])
def test_every_layer_can_have_a_gamma_and_none_can(gammas: Any, layers: list[int]) -> None:
    names = [n for n in shapes_of(small.model(gammas=gammas)) if n.endswith(".gamma")]
    assert names == [f"f{i}.gamma" for i in layers]


def named(name: str, model: Ladder) -> Parameter:
    (parameter,) = [p for p in parameters(model) if p.name == name]
    return parameter


def beginning(name: str, model: Ladder, draw: float = 1.0) -> Tensor:
    parameter = named(name, model)
    return initial_value(parameter, torch.full(parameter.shape, draw))


@pytest.mark.parametrize(
    ("name", "weight_init", "expected"),
    [
        ("f1.W", "normal", 19**-0.5),
        ("f3.W", "normal", 7**-0.5),
        ("g0.V", "normal", 13**-0.5),
        ("f1.W", "uniform", (3 / 19) ** 0.5),
        ("f1.W", "glorot", (6 / (19 + 13)) ** 0.5),
    ],
)
def test_weights_begin_with_a_variance_of_one_over_fan_in(name, weight_init, expected):
    """Glorot's: of two over both fans. A uniform draw ends at sqrt(3) deviations."""
    model = small.model(weight_init=weight_init)
    value = beginning(name, model)
    torch.testing.assert_close(value, torch.full_like(value, expected))
    assert named(name, model).uniform == (weight_init != "normal")


SIG = {"combinator": "sig"}
VERTICAL = [
    (f"g{i}.{name}", {"vertical_affine": True}, value)
    for i in range(4)
    for name, value in (("gamma", 1), ("beta", 0))
]


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        *((f"f{i}.beta", {}, 0) for i in (1, 2, 3)),
        ("f3.gamma", {}, 1),
        ("f1.beta", {"beta_init": 1.0}, 1),  # kzky's
        ("f3.gamma", {"gamma_init": "uniform"}, 3**0.5),
        *VERTICAL,
        ("g1.a", {}, [0, 1, 0, 0, 0, 0, 1, 0, 0, 0]),
        ("g1.a", {**SIG, "combinator_init": "random"}, [0, *[0.025] * 4, 0, *[0.025] * 3]),
        ("g1.a", {**SIG, "combinator_init": "swapped"}, [0, 0, 1, 0, 1, 0, 0, 1, 0]),
    ],
)
def test_a_parameter_begins_as_published(name: str, fields: Any, expected: Any) -> None:
    value = beginning(name, small.model(**fields)).movedim(0, -1)
    torch.testing.assert_close(value, torch.tensor(expected, dtype=value.dtype).expand_as(value))


def test_parmesan_s_combinator_begins_as_its_lateral_input() -> None:
    a = beginning("g1.a", small.model(combinator="sig", combinator_init="lateral"))
    assert a[:, 0].tolist() == [0, 1, 0, 0, 0, 0, 1, 0, 0]
    z, u = torch.randn(2, 1, 5, 13, generator=torch.Generator().manual_seed(1)).unbind()
    torch.testing.assert_close(combinator("sig").combine(z, u, a.unsqueeze(0)), z)


def test_a_shared_combinator_has_one_column() -> None:
    model = small.model(combinator_shared=True)
    assert shapes_of(model)["g1.a"] == (10, 1)
    assert small.costs(small.net(model)).denoising[1].isfinite().all()


def test_parameters_are_declared_in_the_order_of_layers() -> None:
    layers = [name.partition(".")[0] for name in shapes_of(small.model())]
    assert list(dict.fromkeys(layers)) == ["f1", "f2", "f3", "g0", "g1", "g2", "g3"]
