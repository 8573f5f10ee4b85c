"""Layer sizes, parameter counts and initial values: the paper's, and the released code's."""

import math
from itertools import pairwise
from typing import Any

import pytest
import small
import torch
from torch import Tensor

from repro.model.stack import Stack
from repro.plan.layers import layers
from repro.plan.layers import parameters as counted
from repro.plan.run import LATENTS, WIDTHS, Model


def stage(name: str, below: int, width: int, units: int = 0) -> list[tuple[str, int, int]]:
    """Two hidden layers and, where there are units, both heads."""
    hidden = [(f"{name}.a", below, width), (f"{name}.b", width, width)]
    return hidden + ([(f"{name}.head", width, 2 * units)] if units else [])


def column(letter: str, *rows: tuple[int, int, int]) -> list[tuple[str, int, int]]:
    """A stage a layer, from the data upward: what lies below, width and units of each."""
    return [part for i, row in enumerate(rows, start=1) for part in stage(f"{letter}{i}", *row)]


OUTPUT = [*stage("x", 64, 512), ("x.out", 512, 784)]
GENERATIVE = OUTPUT + column("p", (32, 256, 64), (16, 128, 32), (8, 64, 16), (4, 32, 8))
WIDER_GENERATIVE = OUTPUT + column("p", (32, 512, 64), (16, 256, 32), (8, 128, 16), (4, 64, 8))
BOTTOM_UP = column("q", (784, 512, 64), (64, 256, 32), (32, 128, 16), (16, 64, 8), (8, 32, 4))
UPWARD = column("d", (784, 512, 64), (512, 256, 32), (256, 128, 16), (128, 64, 8), (64, 32, 4))
UPWARD_MU = [(n.replace("q", "d"), i, o) for n, i, o in BOTTOM_UP]
DOWNWARD = [(n.replace("p", "r"), i, o) for n, i, o in GENERATIVE if n.startswith("p")]

SIZES = {
    "vae": ({"family": "vae", "batch_norm": False}, [*BOTTOM_UP, *GENERATIVE], 1_702_648),
    "vae_bn": ({"family": "vae"}, [*BOTTOM_UP, *GENERATIVE], 1_707_104),
    "lvae": ({"family": "lvae"}, [*UPWARD, *GENERATIVE], 1_859_424),
    "lvae-mu": ({"family": "lvae", "upward": "mu"}, [*UPWARD_MU, *GENERATIVE], 1_707_104),
    "lvae-separate": (
        {"family": "lvae", "shared": False},
        [*UPWARD, *DOWNWARD, *WIDER_GENERATIVE],
        2_320_704,
    ),
}


@pytest.mark.parametrize(("fields", "expected", "parameters"), SIZES.values(), ids=SIZES)
def test_every_layer_has_the_paper_s_size(fields, expected, parameters):
    """As a training begins with them, and as claims count them."""
    model = small.run(latents=LATENTS, widths=WIDTHS, **fields).hierarchy
    declared = [(d.name, d.fan_in, d.fan_out) for d in layers(model, 784)]
    assert sorted(declared) == sorted(expected)
    assert sum(p.numel() for p in initial(**fields).values()) == counted(model, 784) == parameters


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_a_shallower_model_is_the_bottom_of_the_deepest(family: Any) -> None:
    models = [Model(family=family, latents=LATENTS[:d], widths=WIDTHS[:d]) for d in range(1, 6)]
    declared = [set(layers(m, 784)) for m in models]
    assert all(shallow < deep for shallow, deep in pairwise(declared))


def initial(**fields: Any) -> dict[str, Tensor]:
    run = small.run(latents=LATENTS, widths=WIDTHS, **fields)
    return Stack((run,)).initial(784)


@pytest.mark.parametrize(
    ("name", "gain", "fan_in", "fan_out"),
    [
        ("d1.a.W", math.sqrt(2), 784, 512),
        ("d1.b.W", math.sqrt(2), 512, 512),
        ("d1.head.W", 1, 512, 64),
        ("d2.a.W", math.sqrt(2), 512, 256),
        ("p1.head.W", 1, 256, 64),
        ("x.a.W", math.sqrt(2), 64, 512),
        ("x.out.W", 1, 512, 784),
    ],
)
def test_initial_weights_have_the_code_s_deviation(name, gain, fan_in, fan_out):
    W = initial()[name][0].double()
    std = gain * math.sqrt(2 / (fan_in + fan_out))
    n = W.numel()
    assert abs(float(W.mean())) < 5 * std / math.sqrt(n)
    assert float(W.std()) == pytest.approx(std, rel=5 / math.sqrt(2 * n))


def test_initial_weights_are_normal_and_uniform_heads_alone_fill_their_bounds() -> None:
    W = initial()["d1.head.W"].double()
    kurtosis = float((W**4).mean() / (W**2).mean() ** 2)
    assert kurtosis == pytest.approx(3, abs=5 * math.sqrt(24 / W.numel()))
    params, bound = initial(head_init="uniform"), math.sqrt(6 / (512 + 64))
    W, hidden = (params[f"d1.{name}.W"].double() for name in ("head", "a"))
    assert 0.999 * bound < W.abs().max() <= bound
    assert float(W.std()) == pytest.approx(math.sqrt(2 / (512 + 64)), rel=0.01)
    assert float(hidden.abs().max()) > 4 * float(hidden.std())


@pytest.mark.parametrize("plain", [{}, {"batch_norm": False}, {"head_batch_norm": False}], ids=str)
@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_scales_start_at_one_and_shifts_at_zero_or_one_of_a_variance_that_nothing_normalises(
    family: Any, plain: dict[str, Any]
) -> None:
    for name, p in Stack((small.run(family, **plain),)).initial(small.PIXELS).items():
        if name.endswith(".head.beta") and plain:
            assert (p.unflatten(-1, (2, -1)) == torch.tensor([[0], [1]])).all(), name
        elif not name.endswith(".W"):
            assert (p == (1 if name.endswith(".gamma") else 0)).all(), name


def test_equal_shaped_layers_start_differently() -> None:
    params = Stack((small.run("lvae", latents=(5, 5), widths=(13, 13)),)).initial(13)
    hidden = [p for name, p in params.items() if name.endswith(".b.W")]
    assert not any(torch.equal(a, b) for a, b in pairwise(hidden))
