"""Benchmarks made up for tests, as `repro bench --json` prints them."""

from typing import Any

from repro.bench.arms import SINGLE


def entry(name: str, engine: str, depths: list[int], seconds: float) -> dict[str, Any]:
    numbers = {"seconds": seconds, "spread": 0.02, "images_per_s": 256 * len(depths) / seconds}
    ratios = {"ratio_to_single": seconds / len(depths) / 0.1, "ratio_to_matmul": seconds / 0.02}
    step = {**numbers, **ratios, "flop_per_s": 5e10, "model_steps_per_s": len(depths) / seconds}
    return {
        "arm": name,
        "engine": engine,
        "depths": depths,
        "lanes": len(depths),
        "compile_seconds": 61.0 if engine == "compiled" else 0.0,
        "memory_bytes": 150_000_000,
        "memory": "highest resident size",
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
    return {
        "device": "Abacus 3000, 2 cores",
        "threads": 2,
        "torch": "2.13.0",
        "date": "2026-02-03T04:05:06+00:00",
        "commit": None,
        "dirty": None,
        "reference": SINGLE,
        "batch": 256,
        "repeats": 15,
        "images": 256,
        "samples": 64,
        "matmul": {
            e["arm"]: {"step": {"seconds": 0.02 * e["lanes"], "flop_per_s": 1e11}} for e in measured
        },
        "arms": [*measured, {"arm": "cuda", "absent": "no CUDA device"}],
    }


def step_of(bench: dict[str, Any], arm: str) -> dict[str, float]:
    numbers: dict[str, float] = next(
        e["operations"]["step"] for e in bench["arms"] if e["arm"] == arm
    )
    return numbers
