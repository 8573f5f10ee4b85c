"""Small arms, and benchmarks made up for tests, as `repro bench --json` prints them."""

from dataclasses import replace
from typing import Any

import pytest

from repro.bench.arms import SINGLE, Arm, known_arms
from repro.plan import profiles
from repro.plan.run import Ladder, Run

LATENTS, WIDTHS, BATCH = (5, 3, 2, 2, 2), (13, 11, 7, 5, 3), 17
SIZES, LABELLED = (784, 13, 7, 10), 20
REPEATS = 2
LVAES = Arm("lvae", "eager", (3, 3), images=131, samples=67)
RAGGED = replace(LVAES, name="ragged", depths=(3, 3, 2))
LADDERS = Arm("ladder", "eager", (3, 3), "ladder")
GRID = next(replace(a, name="grid", engine="eager") for a in known_arms() if a.model == "mnist")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published networks and minibatches, but for their sizes."""

    def run_of(*of: Any) -> Run:
        run, n = profiles.run_of(*of), len(SIZES)
        if not isinstance(m := run.model, Ladder):
            model = replace(m, latents=LATENTS[: m.depth], widths=WIDTHS[: m.depth])
            return replace(run, model=model, optim=replace(run.optim, batch=BATCH))
        net = replace(m, sizes=SIZES, noise=m.noise[:n], cost_weights=m.cost_weights[:n])
        data, optim = replace(run.labelled, labels=LABELLED), replace(run.optim, batch=LABELLED)
        return replace(run, model=net, data=data, optim=optim)

    monkeypatch.setattr("repro.bench.arms.run_of", run_of)


def named(argument: str, arms: list[Arm]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(argument, arms, ids=lambda arm: arm.name)


def entry(name: str, engine: str, depths: list[int], seconds: float) -> dict[str, Any]:
    lanes = len(depths)
    step = {
        **{"seconds": seconds, "spread": 0.02, "images_per_s": 256 * lanes / seconds},
        **{"ratio_to_single": seconds / lanes / 0.1, "ratio_to_matmul": seconds / 0.02},
        **{"flop_per_s": 5e10, "model_steps_per_s": lanes / seconds},
    }
    return {
        **{"arm": name, "engine": engine, "depths": depths, "lanes": lanes},
        "compile_seconds": 61.0 if engine == "compiled" else 0.0,
        **{"memory_bytes": 150_000_000, "memory": "highest resident size"},
        "operations": {"step": step},
    }


def saved_bench() -> dict[str, Any]:
    measured = [
        entry(SINGLE, "plain", [5], 0.1),
        entry("eager K=1", "eager", [5], 0.09),
        entry("eager K=4", "eager", [5] * 4, 0.3),
        entry("compiled K=1", "compiled", [5], 0.04),
        entry("compiled K=4", "compiled", [5] * 4, 0.12),
        entry("compiled 5-4-3-2", "compiled", [5, 4, 3, 2], 0.1),
    ]
    alone = {e["arm"]: {"seconds": 0.02 * e["lanes"], "flop_per_s": 1e11} for e in measured}
    return {
        **{"device": "Abacus 3000, 2 cores", "threads": 2, "torch": "2.13.0"},
        **{"date": "2026-02-03T04:05:06+00:00", "commit": None, "dirty": None},
        "roofline": "roofline: bound = max(FLOPs / rate, bytes / bandwidth)",
        **{"reference": SINGLE, "batch": 256, "repeats": 15, "images": 256, "samples": 64},
        "matmul": {arm: {"step": numbers} for arm, numbers in alone.items()},
        "arms": [*measured, {"arm": "cuda", "absent": "no CUDA device"}],
    }


def step_of(bench: dict[str, Any], arm: str) -> dict[str, float]:
    (found,) = (e["operations"]["step"] for e in bench["arms"] if e["arm"] == arm)
    return found  # type: ignore[no-any-return]
