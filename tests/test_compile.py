"""What the compiler makes of a step: one graph of every objective, whole sums on CUDA alone."""

from typing import Any

import ladder_small
import pytest
import small
import torch
from small_steps import prepared

from repro.model.stack import Stack
from repro.train.state import shade
from repro.train.step import leaves_of, objective_of, step_function

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
