"""One training step: clipping, Adam, freezing; the same body compiled, and on CUDA."""

import math
from typing import Any

import ladder_small
import pytest
import small
import torch
from small_steps import assert_near, prepared
from torch import Tensor

from repro.model.stack import Stack
from repro.plan.run import Run
from repro.train.flat import flatten
from repro.train.minibatch import each
from repro.train.state import State, fresh, shade
from repro.train.step import (
    leaves_of,
    objective_of,
    parts_of,
    rate_and_eps,
    step_function,
    update_of,
)

UNCLIPPED = {"clip_norm": None, "clip_value": None}


def updated(run: Run, grads: list[dict[str, Tensor]]) -> State:
    """The state after given gradients of the negative bound, from fresh parameters."""
    stack, state, _ = prepared(run)
    update = update_of(stack)
    lr = torch.full((1,), run.optim.lr, dtype=torch.float64)
    for g in grads:
        state.t += 1
        update(state, list(g.values()), *rate_and_eps(run.optim, lr, state.t))
    return state


def gradients(run: Run, scale: float = 0.01, n: int = 5) -> list[dict[str, Tensor]]:
    shapes = {name: p.shape for name, p in prepared(run)[1].params.items()}
    g = torch.Generator().manual_seed(4)
    return [
        {name: scale * torch.randn(shape, generator=g).double() for name, shape in shapes.items()}
        for _ in range(n)
    ]


@pytest.mark.parametrize("eps", [1e-4, 1e-8])
def test_five_updates_are_those_of_adam(eps: float) -> None:
    run = small.run(optim={**UNCLIPPED, "eps": eps})
    grads = gradients(run)
    _, start, _ = prepared(run)
    leaves = {n: p.clone().requires_grad_() for n, p in start.params.items()}
    adam = torch.optim.Adam(leaves.values(), lr=run.optim.lr, betas=(0.9, 0.999), eps=eps)
    for g in grads:
        for name, p in leaves.items():
            p.grad = g[name]
        adam.step()
    for name, p in updated(run, grads).params.items():
        torch.testing.assert_close(p, leaves[name].detach(), rtol=1e-10, atol=1e-12)


def test_the_code_s_form_has_its_epsilon_before_the_correction() -> None:
    run = small.run(optim={**UNCLIPPED, "eps_form": "code"})
    grads = gradients(run)
    _, start, _ = prepared(run)
    p = start.params["x.a.W"]
    m = v = torch.zeros_like(p)
    for t, g in enumerate(grads, start=1):
        g_t = g["x.a.W"]
        m, v = 0.9 * m + 0.1 * g_t, 0.999 * v + 0.001 * g_t**2
        rate = 1e-3 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        p = p - rate * m / (v.sqrt() + 1e-4)
    torch.testing.assert_close(updated(run, grads).params["x.a.W"], p, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("fields", "scale"),
    [
        *(({"clip_value": None}, scale) for scale in (1e-9, 0.3)),
        *((fields, 1e-3) for fields in ({}, {"clip_norm": None})),
    ],
)
def test_gradients_are_scaled_to_a_norm_of_at_most_four_and_then_clipped_by_element(fields, scale):
    """Adam's first moment after one step is a tenth of what it saw."""
    run = small.run(optim=fields)
    (grad,) = gradients(run, scale, 1)
    if run.optim.clip_value:
        grad["x.out.beta"][0, :3] = torch.tensor([30.0, -40.0, 0.5])
    n = float(torch.cat([g.flatten() for g in grad.values()]).norm())
    factor = min(n, 4.0) / (n + 1e-7) if run.optim.clip_norm else 1.0
    limit = 0.9 if run.optim.clip_value else math.inf
    for name, m in updated(run, [grad]).m.items():
        expected = (factor * grad[name]).clamp(-limit, limit)
        torch.testing.assert_close(m / 0.1, expected, rtol=1e-10, atol=0)


def test_the_step_follows_the_gradient_of_the_mean_bound_and_adds_the_bound_to_the_sum() -> None:
    stack, state, feed = prepared(small.run(optim=UNCLIPPED))
    batch = next(iter(feed.block(1, 0)))
    leaves = {n: p.clone().requires_grad_() for n, p in state.params.items()}
    elbo = objective_of(stack)(leaves, batch)
    grads = torch.autograd.grad(elbo.sum(), list(leaves.values()))
    step_function(stack, "eager")(state, batch)
    torch.testing.assert_close(state.sums, elbo.detach())
    assert float(state.t) == 1
    for (name, m), g in zip(state.m.items(), grads, strict=True):
        torch.testing.assert_close(m, -0.1 * g, msg=name)


def test_a_lane_that_is_not_alive_keeps_its_parameters() -> None:
    stack, state, feed = prepared(small.run(seed=1), small.run(seed=2))
    state.alive[0] = False
    before = {n: p.clone() for n, p in state.params.items()}
    step_function(stack, "eager")(state, next(iter(feed.block(1, 0))))
    for name, p in state.params.items():
        assert torch.equal(p[0], before[name][0]), name
        assert name.endswith(".beta") or not torch.equal(p[1], before[name][1]), name


# What is compiled

IWAE = {"mc_samples": 2, "importance_samples": 3}
RAGGED = (small.run("lvae", 2), small.run("lvae", 1, batch_norm=False))
OBJECTIVES: dict[str, Any] = {
    "vae": (small.run("vae", 2, batch_norm=False),),
    "vae-iw": (small.run("vae", 2, optim=IWAE),),
    "vae-flows": (small.run("vae", 1, flows=2),),
    "lvae-ragged": RAGGED,
    **{case.id: (ladder_small.run(ladder=case.values[0]),) for case in ladder_small.COMPILED},
}
ROUNDED: dict[str, Any] = {
    "lvae-rounded": (small.run("lvae", 2), small.run("lvae", 1)),
    "ladder-rounded": (ladder_small.run(ladder=ladder_small.shallow()),),
}


@pytest.mark.parametrize("case", [*OBJECTIVES, *ROUNDED])
def test_an_objective_is_one_graph(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stack, state, feed = prepared(*{**OBJECTIVES, **ROUNDED}[case], dtype=torch.float32)
    if case in ROUNDED:
        monkeypatch.setattr("repro.model.layers.SMALL", 0)
        shade(state)
    torch._dynamo.reset()
    batch = next(iter(feed.block(1, 0)))
    explained = torch._dynamo.explain(objective_of(stack))(leaves_of(state), batch)
    assert (explained.graph_count, explained.break_reasons) == (1, [])


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_only_the_objective_on_cuda_has_whole_sums(kind, monkeypatch):
    given: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
    monkeypatch.setattr(torch, "compile", lambda f, **options: given.append(options) or f)
    step_function(Stack((small.run(),)), "graph")
    objective, *others = [options.get("options") for options in given]
    assert objective == ({"split_reductions": False} if kind == "cuda" else None)
    assert others == [None, None]  # the update and its rates


@pytest.mark.slow
def test_a_compiled_update_of_a_ragged_stack_is_the_eager_one() -> None:
    runs = small.run("lvae", 2), small.run("lvae", 1)
    (stack, ours, _), (_, expected, _) = prepared(*runs), prepared(*runs)
    lr, g = torch.ones(2).double() / 500, torch.Generator().manual_seed(4)
    _, compiled, _ = parts_of(stack, "compiled")
    flatten(ours)
    for scale in (0.01, 1.0):  # the second is clipped
        grads = [scale * torch.randn(p.shape, generator=g).double() for p in ours.params.values()]
        for state, update in ((ours, compiled), (expected, update_of(stack))):
            state.t += 1
            with torch.no_grad():
                update(state, list(grads), *rate_and_eps(stack.runs[0].optim, lr, state.t))
    assert_near(ours, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_a_step_on_cuda_is_a_step_on_the_cpu(family: str) -> None:
    runs, cuda = (small.run(family), small.run(family, 2, 2)), torch.device("cuda")
    stack, state, feed = prepared(*runs, dtype=torch.float32)
    there = fresh(stack, small.PIXELS, cuda, torch.float32)
    batch = next(iter(feed.block(1, 0)))
    step_function(stack, "eager")(state, batch)
    step_function(stack, "eager")(there, each(lambda t: t.to(cuda), batch))
    for name, p in state.params.items():
        torch.testing.assert_close(there.params[name].cpu(), p, rtol=1e-4, atol=1e-5, msg=name)
    torch.testing.assert_close(there.sums.cpu(), state.sums, rtol=1e-4, atol=1e-4)
