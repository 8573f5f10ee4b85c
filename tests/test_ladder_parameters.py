"""The parameters of a Ladder network: which there are, and how they begin."""

from __future__ import annotations

import ladder_small as small
import pytest
import torch
from torch import Tensor

from repro.model.ladder_network import Parameter, initial_value, parameters
from repro.plan.run import Ladder


def count(model: Ladder) -> int:
    return sum(torch.Size(p.shape).numel() for p in parameters(model))


def test_the_full_model_has_3105710_parameters() -> None:
    assert count(Ladder()) == 3_105_710


def test_the_gamma_model_has_an_encoder_and_one_combinator() -> None:
    model = Ladder(decoder="top", cost_weights=(*(0.0,) * 6, 0.5))
    assert count(model) == 1_536_500 + 2_260 + 10 + 100


def test_the_baseline_has_an_encoder_alone() -> None:
    assert count(Ladder(decoder="none", cost_weights=(0.0,) * 7)) == 1_536_500 + 2_260 + 10


def test_weights_run_from_layer_to_layer_and_back() -> None:
    shapes = {p.name: p.shape for p in parameters(small.model())}
    assert [shapes[f"f{i}.W"] for i in (1, 2, 3)] == [(19, 13), (13, 7), (7, 5)]
    assert [shapes[f"g{i}.V"] for i in (0, 1, 2)] == [(13, 19), (7, 13), (5, 7)]


def test_no_product_has_a_bias_of_its_own() -> None:
    kinds = {p.name.partition(".")[2] for p in parameters(small.model())}
    assert kinds == {"W", "beta", "gamma", "V", "a"}


def beginning(name: str, model: Ladder, draw: float = 1.0) -> Tensor:
    (parameter,) = [p for p in parameters(model) if p.name == name]
    return initial_value(parameter, torch.full(parameter.shape, draw))


@pytest.mark.parametrize(("name", "fan_in"), [("f1.W", 19), ("f3.W", 7), ("g0.V", 13)])
def test_weights_begin_with_a_variance_of_one_over_fan_in(name: str, fan_in: int) -> None:
    value = beginning(name, small.model())
    torch.testing.assert_close(value, torch.full_like(value, fan_in**-0.5))


def test_uniform_weights_begin_with_the_same_variance() -> None:
    value = beginning("f1.W", small.model(weight_init="uniform"))
    torch.testing.assert_close(value, torch.full_like(value, (3 / 19) ** 0.5))


def test_shifts_begin_at_zero_and_the_scale_at_one() -> None:
    model = small.model()
    assert not any(beginning(f"f{i}.beta", model).any() for i in (1, 2, 3))
    assert (beginning("f3.gamma", model) == 1).all()


def test_kzky_s_shifts_begin_at_one_and_its_scale_is_drawn() -> None:
    model = small.model(beta_init=1.0, gamma_init="uniform")
    assert (beginning("f1.beta", model) == 1).all()
    gamma = beginning("f3.gamma", model, 0.5)
    torch.testing.assert_close(gamma, torch.full_like(gamma, 0.5 * 3**0.5))


def test_two_of_gauss_s_parameters_begin_at_one() -> None:
    a = beginning("g1.a", small.model())
    assert [i + 1 for i in range(10) if (a[i] == 1).all()] == [2, 7]
    assert a.sum() == 2 * 13


def test_a_random_beginning_leaves_biases_at_zero() -> None:
    a = beginning("g1.a", small.model(combinator="sig", combinator_init="random"))
    assert [i for i in range(9) if not a[i].any()] == [0, 5]
    assert a.max() == pytest.approx(0.025)


def test_a_reversed_beginning_exchanges_lateral_and_vertical() -> None:
    model = small.model(combinator="sig", combinator_init="swapped")
    assert beginning("g1.a", model)[:, 0].tolist() == [0, 0, 1, 0, 1, 0, 0, 1, 0]


def test_a_shared_combinator_has_one_column() -> None:
    shapes = {p.name: p.shape for p in parameters(small.model(combinator_shared=True))}
    assert shapes["g1.a"] == (10, 1)
    ladder = small.net(small.model(combinator_shared=True))
    assert small.costs(ladder).denoising[1].isfinite().all()


def test_parameters_are_declared_in_the_order_of_layers() -> None:
    names = [p.name for p in parameters(small.model()) if isinstance(p, Parameter)]
    layers = [name.partition(".")[0] for name in names]
    assert list(dict.fromkeys(layers)) == ["f1", "f2", "f3", "g0", "g1", "g2", "g3"]
