"""Combinators: their formulas, sizes and beginnings."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from repro.model.combinators import COMBINATORS, Combinator, combinator

MLPS = itertools.product(("mlp", "amlp"), ((4,), (2, 2), (2, 2, 2)))
ALL = [*((name, ()) for name in COMBINATORS), *MLPS]
K, R, Z = 2, 3, 5


def values(g: Combinator, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """z, u and parameters at random, in float64."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((K, R, Z), (K, R, Z), (K, g.size, Z))
    z, u, a = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    return z, u, a


def at(name: str, z: float, u: float, a: list[float], hidden: tuple[int, ...] = ()) -> float:
    """One unit's estimate."""
    g = combinator(name, hidden)
    assert len(a) == g.size
    one = [torch.tensor(v, dtype=torch.float64).view(1, 1, 1) for v in (z, u)]
    return float(g.combine(*one, torch.tensor(a, dtype=torch.float64).view(1, -1, 1)))


def sigm(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def leaky(x: float) -> float:
    return x if x > 0 else 0.1 * x


PRIMES = [2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0]
Z0, U0 = 0.31, -0.17
FORMULAS: dict[str, Callable[[list[float]], float]] = {
    "gauss": lambda a: (
        (Z0 - (mu := a[0] * sigm(a[1] * U0 + a[2]) + a[3] * U0 + a[4]))
        * (a[5] * sigm(a[6] * U0 + a[7]) + a[8] * U0 + a[9])
        + mu
    ),
    "sig": lambda a: (
        a[0] + a[1] * Z0 + a[2] * U0 + a[3] * Z0 * U0
        + a[4] * sigm(a[5] + a[6] * Z0 + a[7] * U0 + a[8] * Z0 * U0)
    ),
    "g2": lambda a: (
        a[0] + a[1] * Z0 + a[2] * U0 + a[3] * sigm(a[4] + a[5] * Z0 + a[6] * U0)
    ),
    "g3": lambda a: a[0] + a[1] * Z0 + a[2] * U0 + a[3] * Z0 * U0,
    "g4": lambda a: (
        a[1] * sigm(a[6] + a[0] * Z0) + a[2] * Z0
        + a[4] * sigm(a[6] + a[3] * U0) + a[5] * U0 + a[7]
    ),
    "linear": lambda a: a[0] + a[1] * Z0 + a[2] * U0,
}  # fmt: skip


@pytest.mark.parametrize("name", COMBINATORS)
def test_a_combinator_is_its_formula(name: str) -> None:
    a = PRIMES[: combinator(name).size]
    assert at(name, Z0, U0, a) == pytest.approx(FORMULAS[name](a), rel=1e-12)


@pytest.mark.parametrize(("kind", "hidden", "size"), [("mlp", 4, 17), ("amlp", 2, 11)])
def test_an_mlp_is_its_formula_each_unit_s_bias_before_its_weights(kind, hidden, size):
    """An augmented one also sees the product."""
    primes = (*PRIMES, 31, 37, 41, 43, 47, 53, 59)[:size]
    a = [0.1 * p * (-1) ** i for i, p in enumerate(primes)]  # some units are below 0
    inputs, left = [1, U0, Z0, *([U0 * Z0] if kind == "amlp" else [])], iter(a)
    layer = [leaky(sum(next(left) * x for x in inputs)) for _ in range(hidden)]
    expected = sum(next(left) * x for x in (1, *layer))
    assert at(kind, Z0, U0, a, (hidden,)) == pytest.approx(expected, rel=1e-12)


def test_every_further_layer_of_an_mlp_has_its_own_parameters_and_biases() -> None:
    assert combinator("amlp", (2, 2)).biases == (0, 4, 8, 11, 14)
    assert combinator("amlp", (2, 2, 2)).size == 2 * 4 + 2 * 3 + 2 * 3 + 3


@pytest.mark.parametrize(("name", "hidden"), ALL)
def test_every_parameter_acts_on_its_own_lane_and_unit_alone(name, hidden):
    g = combinator(name, hidden)
    z, u, a = values(g)
    whole = g.combine(z, u, a.requires_grad_())
    (grad,) = torch.autograd.grad(whole.sum(), [a])
    assert (grad != 0).any(-1).all()
    for k in range(K):
        for j in range(Z):
            lane, unit = slice(k, k + 1), slice(j, j + 1)
            alone = g.combine(*(t[lane, :, unit] for t in (z, u, a)))
            torch.testing.assert_close(alone, whole[lane, :, unit])
    shared = a[..., :1]  # one column of parameters serves all units
    torch.testing.assert_close(g.combine(z, u, shared), g.combine(z, u, shared.expand_as(a)))


BEGINNINGS = {
    "gauss": lambda z, u: 0.0 * z,
    "sig": lambda z, u: z + sigm(z),
    "g2": lambda z, u: z + sigm(z),
    "g3": lambda z, u: z,
    "g4": lambda z, u: sigm(z) + sigm(u),
    "linear": lambda z, u: z,
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_published_beginning_is_and_the_swapped_one_has_z_and_u_exchanged(name: str) -> None:
    g, expected = combinator(name), BEGINNINGS[name]
    ones, swapped = ([float(i in p) for i in range(g.size)] for p in (g.ones, g.swapped))
    assert at(name, Z0, U0, ones) == pytest.approx(expected(Z0, U0))
    assert not g.swapped or at(name, Z0, U0, swapped) == pytest.approx(expected(U0, Z0))


@pytest.mark.parametrize(("name", "hidden"), ALL)
def test_biases_are_what_the_estimate_of_nothing_depends_on(name, hidden):
    """At z = u = 0, with biases 0 and the rest random, an MLP's or a linear estimate is 0."""
    g = combinator(name, hidden)
    z, _, a = values(g)
    a[:, list(g.biases)] = 0
    estimate = g.combine(0 * z, 0 * z, a)
    assert bool(estimate.any()) == (name in ("gauss", "sig", "g2", "g4"))  # with sigmoids
