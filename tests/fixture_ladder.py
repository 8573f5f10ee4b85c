"""Synthetic records of Ladder networks: plausible numbers, the same on every machine."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from repro.plan.run import Run
from repro.store import Record, Store
from repro.store.sealed import Arrays

IMAGES = 500  # of predictions.npz; a trained record holds all 10,000
ERROR = {"full": 1.1, "bottom": 1.2, "gamma": 3.1, "baseline": 21.0}  # in percent, at the end
COSTS = (0.005, 0.06, 0.9, 0.4, 0.13, 0.04, 0.03)


def write(store: Store, profile: str, run: Run, env: dict[str, Any], **changes: Any) -> Record:
    """The synthetic record of one Run, with some values of its final.json changed."""
    rng = generator(run)
    curve = full_curve(run, rng)
    last = curve.iloc[-1]
    error = float(last["error_percent"])
    final = {
        "state": "done",
        "diverged_at": None,
        "error_percent": error,
        "errors": round(100 * error),
        "test_images": run.evaluation.test_images or 10_000,
        "error_se": (error * (100 - error) / 10_000) ** 0.5,
        "cross_entropy": float(last["cross_entropy"]),
        "denoising": [
            float(last[f"C_{i}"]) if i in run.ladder.estimated else None
            for i in range(run.model.depth + 1)
        ],
        "labels": run.labels,
    }
    return store.write(profile, run, env, {**final, **changes}, curve, arrays_of(run, rng))


def diverge(store: Store, profile: str, run: Run, env: dict[str, Any], epoch: int) -> Record:
    """A record of a Run that met NaN in `epoch`."""
    names = ("error_percent", "errors", "test_images", "error_se", "cross_entropy", "labels")
    final = {"state": "diverged", "diverged_at": epoch, **dict.fromkeys(names), "denoising": []}
    curve = full_curve(run, generator(run))
    return store.write(profile, run, env, final, curve[curve.epoch < epoch], {})


def generator(run: Run) -> np.random.Generator:
    digest = hashlib.sha256(run.id.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def full_curve(run: Run, rng: np.random.Generator) -> pd.DataFrame:
    """Error and costs fall towards their end; costs without an estimate stay empty."""
    epochs = np.arange(1, run.schedule.epochs + 1)
    end = ERROR.get(run.variant, 1.5) * (1 + 0.1 * rng.normal())
    fall = 4 * np.exp(-epochs / (0.3 * len(epochs) + 1))
    curve = pd.DataFrame({"epoch": epochs, "lr": [run.lr(int(e)) for e in epochs]})
    curve["cost_running"] = 1 + fall
    curve["error_percent"] = end * (1 + fall)
    curve["cross_entropy"] = 0.01 * (1 + fall)
    for i in range(run.model.depth + 1):
        known = i in run.ladder.estimated
        curve[f"C_{i}"] = COSTS[i] * (1 + 0.2 * fall) if known else np.nan
    return curve


def arrays_of(run: Run, rng: np.random.Generator) -> dict[str, Arrays]:
    labels = run.labels
    curves: Arrays = {"u": np.array([-2.0, 0.0, 2.0])}
    for i in run.ladder.estimated:
        z = np.linspace(-0.5, 1.5, 61) if i == 0 else np.linspace(-3, 3, 61)
        middle = 0.4 * z + 0.2 * curves["u"][:, None] + 0.05 * rng.normal()
        curves[f"z{i}"] = z
        curves[f"g{i}"] = np.stack([middle - 0.1, middle, middle + 0.1], axis=2)
    return {
        "labels": {
            "row": np.sort(rng.permutation(60_000)[:labels]).astype(np.int32),
            "class": (np.arange(labels) % 10).astype(np.uint8),
        },
        "predictions": {"predicted": rng.integers(0, 10, IMAGES).astype(np.uint8)},
        "combinators": curves,
    }
