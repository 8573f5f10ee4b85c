"""What training changes: parameters, moments, sums. Shapes: K lanes, P numbers of the deepest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from repro.model.layers import Params, is_rounded
from repro.model.stack import Stack


@dataclass
class State:
    """What one step changes, in place."""

    params: Params
    m: Params  # Adam's moments
    v: Params
    t: Tensor  # updates done; float64 scalar, so that 1 - beta2^t keeps its digits
    sums: Tensor  # [K] objective summed over the epoch's steps
    alive: Tensor  # [K] bool: a diverged lane is frozen
    flat: State | None = None  # the same numbers as those of one parameter, [K, P]
    shadows: Params = field(default_factory=dict)  # weights in bfloat16; see `shade`
    grads: Params = field(default_factory=dict)  # where `flat.update_by_lane` gathers a step's
    between: Tensor | None = None  # of such a state: zeros that fill up a parameter's place


Update = Callable[[State, list[Tensor], Tensor, Tensor], None]
"""(state, gradients of the negative objective, step size [K], epsilon): changes the state."""


def shade(state: State) -> None:
    """Keep a bfloat16 shadow of every weight whose products are rounded: the leaf of a step.

    An update rewrites it from the float32 weight; to round all weights anew would cost a step a
    tenth of its time. Derived, so it is never saved.
    """
    state.shadows = {n: p.bfloat16() for n, p in state.params.items() if is_rounded(n, p)}


def fresh(
    stack: Stack,
    pixels: int,
    device: torch.device,
    dtype: torch.dtype,
    mean_byte: Tensor | None = None,
) -> State:
    """The state before the first step; see `Stack.initial`."""
    params = {n: p.to(device, dtype) for n, p in stack.initial(pixels, mean_byte).items()}
    K = len(stack.runs)
    return State(
        params,
        {n: torch.zeros_like(p) for n, p in params.items()},
        {n: torch.zeros_like(p) for n, p in params.items()},
        torch.zeros((), dtype=torch.float64, device=device),
        torch.zeros(K, dtype=torch.float64, device=device),
        torch.ones(K, dtype=torch.bool, device=device),
    )
