"""Small arms, and benchmarks made up for tests, as `repro bench --json` prints them."""

from typing import Any

import pytest

from repro.bench.arms import SINGLE, Arm, Workload

TINY = Workload(
    latents=(5, 3, 2), widths=(13, 11, 7), pixels=19, batch=17, images=131, samples=67,
    all_images=73, all_samples=5, ladder=(19, 13, 7, 5), labelled=15,
    warmup=1, repeats=2, scoring_repeats=2,
)  # fmt: skip
LVAES, RAGGED = Arm("lvae", "eager", (3, 3)), Arm("ragged", "eager", (3, 3, 2))
LADDERS = Arm("ladder", "eager", (3, 3), "ladder")
GRID = Arm("grid", "eager", (*(3,) * 4, *(2,) * 4, *(1,) * 3), "mnist")


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
        **{"reference": SINGLE, "batch": 256, "repeats": 15, "images": 256, "samples": 64},
        "matmul": {arm: {"step": numbers} for arm, numbers in alone.items()},
        "arms": [*measured, {"arm": "cuda", "absent": "no CUDA device"}],
    }


def step_of(bench: dict[str, Any], arm: str) -> dict[str, float]:
    (found,) = (e["operations"]["step"] for e in bench["arms"] if e["arm"] == arm)
    return found  # type: ignore[no-any-return]
