"""What the compiler makes of a step: one graph of every objective, whole sums on CUDA alone."""

from typing import Any

import ladder_small
import pytest
import small
import torch
from test_graph import prepared

from repro.model.stack import Stack
from repro.plan.run import Run
from repro.train.step import objective_of, step_function

IWAE = {"mc_samples": 2, "importance_samples": 3}
OBJECTIVES: list[Any] = [
    pytest.param((small.run("vae", 2, batch_norm=False),), id="vae"),
    pytest.param((small.run("vae", 2, optim=IWAE),), id="vae-iw"),
    pytest.param((small.run("vae", 1, flows=2),), id="vae-flows"),
    pytest.param((small.run("lvae", 2), small.run("lvae", 1, batch_norm=False)), id="lvae-ragged"),
    *(
        pytest.param((ladder_small.run(ladder=case.values[0]),), id=f"ladder-{case.id}")
        for case in ladder_small.COMPILED
    ),
]


@pytest.mark.parametrize("runs", OBJECTIVES)
def test_an_objective_is_one_graph(runs: tuple[Run, ...]) -> None:
    stack, state, feed = prepared(runs, torch.float32)
    batch = next(iter(feed.block(1, 0)))
    torch._dynamo.reset()
    explained = torch._dynamo.explain(objective_of(stack))(state.params, batch)
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
