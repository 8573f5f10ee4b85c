"""What training changes: parameters, moments, sums. Shapes: K lanes, P numbers of the deepest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.layers import Params
from repro.stack import Stack


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
    between: Tensor | None = None  # of such a state: zeros that fill up a parameter's place


Update = Callable[[State, list[Tensor], Tensor, Tensor], None]
"""(state, gradients of the negative objective, step size [K], epsilon): changes the state."""


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
