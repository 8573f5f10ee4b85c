"""Parameters and moments side by side, so that clipping and Adam are one pass over all of them.

A step of many small parameters is bound on a device by how many kernels it starts, and most of the
parameters are small; and on a CPU a compiler takes minutes for a pass over each of them, seconds
for one. Shapes: K lanes (K_i have a parameter), P numbers of the deepest lane.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.model.layers import Params
from repro.train.state import State, Update

ALIGNMENT = 64  # numbers; a parameter begins where fast products can read it


def flatten(state: State) -> None:
    """Move parameters and moments into one [K, P] each; the state's own become views of them."""
    if state.flat is None:
        params, m, v = ({"all": _moved(p)} for p in (state.params, state.m, state.v))
        state.flat = State(params, m, v, state.t, state.sums, state.alive)
        if state.shadows:
            shadows = {n: p.bfloat16() for n, p in state.params.items()}
            state.flat.shadows = {"all": _moved(shadows)}
            state.shadows = {n: shadows[n] for n in state.shadows}
        state.flat.between = params["all"].new_zeros(len(params["all"]), ALIGNMENT)


def _moved(part: Params) -> Tensor:
    K, names = max(p.shape[0] for p in part.values()), sorted(part, key=lambda n: -len(part[n]))
    whole = part[names[0]].new_zeros(K, sum(map(_width, part.values())))
    start = 0
    for name in names:
        p = part[name]
        view = whole[: p.shape[0], start : start + p[0].numel()].view(p.shape)
        part[name] = view.copy_(p)
        start += _width(p)
    return whole


def _width(p: Tensor) -> int:
    return -(-p[0].numel() // ALIGNMENT) * ALIGNMENT


def update_flat(update: Update) -> Update:
    """The same update, given all parameters of a flattened state as if they were one."""

    def of(state: State, grads: list[Tensor], rate: Tensor, eps: Tensor) -> None:
        flat = state.flat
        assert flat is not None, "flatten the state first"
        assert flat.between is not None
        update(flat, [gathered(grads, flat.between)], rate, eps)

    return of


def gathered(grads: list[Tensor], between: Tensor) -> Tensor:
    """Gradients [K_i, ...] of all parameters as one [K, P]; 0 where a lane has none.

    They lie as `flatten` lays their parameters: those of most lanes first. between: zeros
    [K, ALIGNMENT], which a compiler copies along with the gradients.
    """
    K, blocks = len(between), []
    for k in sorted({g.shape[0] for g in grads}, reverse=True):
        parts = []
        for g in grads:
            if g.shape[0] == k:
                parts += [g.flatten(1), between[:k, : _width(g) - g[0].numel()]]
        block = torch.cat(parts, 1)
        blocks.append(block if k == K else F.pad(block, (0, 0, 0, K - k)))
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)


def update_by_lane(update: Update) -> Update:
    """The same update, given each lane's row as if it were one parameter of a single lane.

    So one compiled body does for all. Inductor's C++ fails where several lanes are clipped at once.
    """

    def of(state: State, grads: list[Tensor], rate: Tensor, eps: Tensor) -> None:
        flat = state.flat
        assert flat is not None, "flatten the state first"
        if not state.grads:
            state.grads = {n: torch.zeros_like(p) for n, p in state.params.items()}
            flat.grads = {"all": _moved(state.grads)}
        torch._foreach_copy_(list(state.grads.values()), grads)
        for k in range(len(rate)):
            lane = _lane(flat, k)
            update(lane, list(lane.grads.values()), rate[k : k + 1], eps)

    return of


def _lane(flat: State, k: int) -> State:
    """Views of one lane of a flattened state."""
    at = slice(k, k + 1)
    parts = (flat.params, flat.m, flat.v, flat.shadows, flat.grads)
    params, m, v, shadows, grads = ({n: t[at] for n, t in part.items()} for part in parts)
    own = flat.t, flat.sums[at], flat.alive[at]
    return State(params, m, v, *own, shadows=shadows, grads=grads)
