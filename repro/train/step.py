"""One training step of a stack: objective, gradients, clipping, Adam. Every engine runs this body.

An objective goes up, as bounds do. Shapes: K lanes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from repro.model.layers import Params
from repro.model.stack import Stack
from repro.plan.run import Optim
from repro.train.compiler import fresh_compiler, options_of_objective
from repro.train.flat import flatten, update_by_lane, update_flat
from repro.train.minibatch import LadderBatch, Minibatch
from repro.train.state import State, Update
from repro.train.tasks import task_of
from repro.train.tasks.task import Objective

Rates = Callable[[Optim, Tensor, Tensor], tuple[Tensor, Tensor]]


def objective_of(stack: Stack) -> Objective:
    """The function from parameters and minibatch to each lane's training objective, [K]."""
    return task_of(stack.runs[0]).objective(stack)


def update_of(stack: Stack) -> Update:
    """The function that clips gradients of the *negative* objective and applies Adam, per lane."""
    optim = stack.runs[0].optim

    def update(state: State, grads: list[Tensor], rate: Tensor, eps: Tensor) -> None:
        grads = [g.to(p.dtype) for g, p in zip(grads, state.params.values(), strict=True)]
        factor = _norm_factor(grads, len(rate), optim.clip_norm)
        for (name, p), g in zip(state.params.items(), grads, strict=True):
            k, m, v = p.shape[0], state.m[name], state.v[name]
            lane = (k, *(1,) * (p.dim() - 1))
            if optim.clip_norm is not None:
                g = g * factor[:k].view(lane)
            if optim.clip_value is not None:
                g = g.clamp(-optim.clip_value, optim.clip_value)
            new_m = m + (1 - optim.beta1) * (g - m)
            new_v = v + (1 - optim.beta2) * (g * g - v)
            change = rate[:k].view(lane) * new_m / (new_v.sqrt() + eps)
            alive = state.alive[:k].view(lane)
            m.copy_(new_m)
            v.copy_(new_v)
            p.sub_(change.where(alive, 0))
            if name in state.shadows:
                state.shadows[name].copy_(p)

    return update


def _norm_factor(grads: list[Tensor], K: int, clip_norm: float | None) -> Tensor:
    """min(n, clip)/(n + 1e-7) for each lane's total gradient norm n, [K]."""
    square = grads[0].new_zeros(K)
    if clip_norm is None:
        return square
    for g in grads:
        own = g.square().flatten(1).sum(1)
        square = square + torch.nn.functional.pad(own, (0, K - g.shape[0]))
    norm = square.sqrt()
    return norm.clamp(max=clip_norm) / (norm + 1e-7)


def rate_and_eps(optim: Optim, lr: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Step size [K] and epsilon as they stand beside the uncorrected m and sqrt(v).

    Usual form: lr (m / fix1) / (sqrt(v / fix2) + eps), so eps is multiplied by sqrt(fix2). The
    released code adds eps to the uncorrected sqrt(v). t: updates done, this one included.
    """
    fix1, fix2 = 1 - optim.beta1**t, 1 - optim.beta2**t
    eps = optim.eps * (fix2.sqrt() if optim.eps_form == "usual" else torch.ones_like(fix2))
    return (lr * (fix2.sqrt() / fix1)).to(lr.dtype), eps.to(lr.dtype)


def leaves_of(state: State) -> Params:
    """What a step differentiates: the parameters, or their shadows where there are any."""
    weights = {**state.params, **state.shadows}
    return {n: p.detach().requires_grad_() for n, p in weights.items()}


def step(
    objective: Objective,
    update: Update,
    optim: Optim,
    state: State,
    batch: Minibatch | LadderBatch,
    rates: Rates = rate_and_eps,
) -> None:
    """One update of every lane; lanes share no number, so the sum of losses separates."""
    leaves = leaves_of(state)
    gain = objective(leaves, batch)
    grads = torch.autograd.grad(-gain.sum(), list(leaves.values()), materialize_grads=True)
    with torch.no_grad():
        state.t += 1
        state.sums += gain
        update(state, list(grads), *rates(optim, batch.lr, state.t))


COMPILED = ("compiled", "graph")  # engines whose body is compiled
CAPTURED = ("captured", "graph")  # engines that record the body once and replay it


def parts_of(stack: Stack, engine: str) -> tuple[Objective, Update, Rates]:
    """What a step is made of, as an engine runs it; what is compiled is so when first called.

    Of the compiled steps of a process the last one alone is at hand.
    """
    objective, update = objective_of(stack), update_of(stack)
    rates: Rates = rate_and_eps
    if engine in COMPILED:
        fresh_compiler()
        objective = torch.compile(objective, dynamic=False, options=options_of_objective())
    if engine in CAPTURED:
        update = update_flat(update)
    if engine in COMPILED:
        update = torch.compile(update, dynamic=False)
    if engine == "compiled":
        update = update_by_lane(update)
    if engine == "graph":  # elsewhere these few numbers are not worth it
        rates = torch.compile(rate_and_eps, dynamic=False)
    return objective, update, rates


def step_function(stack: Stack, engine: str) -> Callable[[State, Minibatch | LadderBatch], None]:
    """The body of a step as an engine runs it: compiled or not, parameters apart or all at once."""
    (objective, update, rates), optim = parts_of(stack, engine), stack.runs[0].optim

    def run(state: State, batch: Minibatch | LadderBatch) -> None:
        if engine != "eager":
            flatten(state)  # before its first step, which is compiled for that layout
        step(objective, update, optim, state, batch, rates)

    return run
