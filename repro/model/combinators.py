"""Combinators g(z, u) of a Ladder network: lateral z and vertical u to the estimate z_hat.

Shapes: K lanes, R rows, Z units of a layer, P parameters of a unit. Every combinator acts on each
unit by itself; its parameters lie in one tensor a [K, P, Z], or [K, P, 1] where all units of a
layer share them. Sources: Rasmus et al. 2015 (arXiv:1507.02672v2) and their code (CuriousAI/ladder,
names in quotes); Pezeshki et al. 2016 (arXiv:1511.06430), names with capitals.
"""

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

MLP_SLOPE = 0.1  # of the leaky ReLU between the layers of an MLP combinator


class Combinator(NamedTuple):
    """`combine(z, u, a)`, how many parameters a unit has, and where they begin.

    ones: which begin at 1, the others at 0. swapped: the same when z and u exchange their roles;
    empty where they cannot. biases: which stay 0 when all others begin at random. lateral: which
    begin at 1 so that z_hat = z although more of `ones` would be; empty where there is no such way.
    """

    combine: Callable[[Tensor, Tensor, Tensor], Tensor]
    size: int
    ones: tuple[int, ...] = ()
    swapped: tuple[int, ...] = ()
    biases: tuple[int, ...] = ()
    lateral: tuple[int, ...] = ()


def gauss(z: Tensor, u: Tensor, a: Tensor) -> Tensor:
    """The paper's, "gauss": z_hat = (z - mu(u)) v(u) + mu(u). z, u: [K, R, Z]."""
    a1, a2, a3, a4, a5, a6, a7, a8, a9, a10 = parts(a)
    mu = a1 * torch.sigmoid(a2 * u + a3) + a4 * u + a5
    v = a6 * torch.sigmoid(a7 * u + a8) + a9 * u + a10
    return (z - mu) * v + mu


def sig(z: Tensor, u: Tensor, a: Tensor) -> Tensor:
    """ "sig", Pezeshki's Vanilla: linear in z, u and zu, plus a sigmoid of the same."""
    a1, a2, a3, a4, b1, c1, c2, c3, c4 = parts(a)
    zu = z * u
    return a1 + a2 * z + a3 * u + a4 * zu + b1 * torch.sigmoid(c1 + c2 * z + c3 * u + c4 * zu)


def g2(z: Tensor, u: Tensor, a: Tensor) -> Tensor:
    """ "comparison_g2", NoMult: `sig` without its two products zu."""
    a1, a2, a3, b1, c1, c2, c3 = parts(a)
    return a1 + a2 * z + a3 * u + b1 * torch.sigmoid(c1 + c2 * z + c3 * u)


def g3(z: Tensor, u: Tensor, a: Tensor) -> Tensor:
    """ "comparison_g3", NoSig: `sig` without its sigmoid."""
    a1, a2, a3, a4 = parts(a)
    return a1 + a2 * z + a3 * u + a4 * z * u


def g4(z: Tensor, u: Tensor, a: Tensor) -> Tensor:
    """ "comparison_g4": a nonlinearity of z and one of u, summed; they share one bias inside."""
    w1_z, w2_z, w3_z, w1_u, w2_u, w3_u, b1, b2 = parts(a)
    of_z = w2_z * torch.sigmoid(b1 + w1_z * z) + w3_z * z
    return of_z + w2_u * torch.sigmoid(b1 + w1_u * u) + w3_u * u + b2


def linear(z: Tensor, u: Tensor, a: Tensor) -> Tensor:
    """Pezeshki's Linear: a_0 + a_1 z + a_2 u."""
    a0, a1, a2 = parts(a)
    return a0 + a1 * z + a2 * u


COMBINATORS = {
    "gauss": Combinator(gauss, 10, ones=(1, 6), biases=(2, 4, 7, 9)),
    "sig": Combinator(sig, 9, ones=(1, 4, 6), swapped=(2, 4, 7), biases=(0, 5), lateral=(1, 6)),
    "g2": Combinator(g2, 7, ones=(1, 3, 5), swapped=(2, 3, 6), biases=(0, 4)),
    "g3": Combinator(g3, 4, ones=(1,), swapped=(2,), biases=(0,)),
    "g4": Combinator(g4, 8, ones=(0, 1, 3, 4), biases=(6, 7)),
    "linear": Combinator(linear, 3, ones=(1,), swapped=(2,), biases=(0,)),
}
MLPS = {"mlp": 2, "amlp": 3}  # inputs: (u, z), and augmented by their product


def combinator(name: str, hidden: tuple[int, ...] = ()) -> Combinator:
    """The combinator of that name; `hidden` are the widths of an MLP, empty for all others."""
    return _mlp((MLPS[name], *hidden, 1)) if name in MLPS else COMBINATORS[name]


def _mlp(widths: tuple[int, ...]) -> Combinator:
    """Pezeshki's (A)MLP: leaky ReLU between the layers, linear output.

    The parameters of one MLP unit follow each other, its bias first.
    """
    shapes = list(pairwise(widths))

    def combine(z: Tensor, u: Tensor, a: Tensor) -> Tensor:
        values, left = [u, z, u * z][: widths[0]], list(parts(a))
        for layer, (_, fan_out) in enumerate(shapes):
            if layer:
                values = [F.leaky_relu(value, MLP_SLOPE) for value in values]
            values = [_affine(values, left) for _ in range(fan_out)]
        return values[0]

    strides = [fan_in + 1 for fan_in, fan_out in shapes for _ in range(fan_out)]
    biases = (0, *accumulate(strides[:-1]))
    return Combinator(combine, sum(strides), biases=biases)


def _affine(values: list[Tensor], left: list[Tensor]) -> Tensor:
    """One unit of an MLP: takes its bias and weights off the parameters that are left."""
    total = left.pop(0)
    for value in values:
        total = total + left.pop(0) * value
    return total


def parts(a: Tensor) -> tuple[Tensor, ...]:
    """a [K, P, Z] as P tensors [K, 1, Z] that spread over rows."""
    return a.unsqueeze(2).unbind(1)
