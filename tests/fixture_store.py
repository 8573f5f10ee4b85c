"""A store of synthetic records: plausible numbers, the same on every machine, written fast."""

import functools
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from repro.plan import profiles
from repro.plan.run import Run
from repro.store import Record, Store
from repro.store.sealed import Arrays

IMAGES = 500  # of pca.npz and predictions.npz; a trained record holds all 10,000
STEPS = 511
_MADE = tempfile.TemporaryDirectory()  # records of this process, copied wherever they are wanted

# L_1 on the test set at the end of training, by depth 1..5, and its per-layer KL at depth 5.
L1 = {
    "vae": (-89.1, -89.0, -89.2, -89.3, -89.2),
    "vae_bn": (-88.6, -88.0, -87.9, -88.0, -88.1),
    "vae_bn_wu": (-88.3, -87.6, -87.4, -87.5, -87.5),
    "lvae_bn_wu": (-88.3, -86.9, -86.1, -85.6, -85.3),
    "lvae_wu": (-99.0, -96.9, -98.1, -97.6, -98.3),
}
LOWER = {"mnist": 0.0, "omniglot": 18.0, "norb": 0.0}  # by how many nats, on another data set
KL = {
    "vae": (20.9, 3.6, 0.03, 0.02, 0.02),
    "vae_bn": (18.8, 4.9, 1.3, 0.05, 0.03),
    "vae_bn_wu": (16.9, 5.8, 2.1, 0.6, 0.04),
    "lvae_bn_wu": (11.7, 6.2, 3.4, 2.2, 2.9),
    "lvae_wu": (14.7, 1.2, 0.04, 0.02, 0.01),
}
# Of Ladder networks: test errors in percent at the end, and costs C_0..C_6.
ERROR = {"full": 1.1, "bottom": 1.2, "gamma": 3.1, "baseline": 21.0}
COSTS = (0.005, 0.06, 0.9, 0.4, 0.13, 0.04, 0.03)


def build(
    root: Path, profile: str = "quick", seeds: int = 1, runs: list[Run] | None = None
) -> Store:
    """A store under `root` with a finished record of every Run (default: the profile's)."""
    store = Store(root)
    wanted = profiles.runs(profiles.profile(profile), seeds=seeds) if runs is None else runs
    for run in wanted:
        store.copy(_made_once(profile, run))
    return store


@functools.cache
def _made_once(profile: str, run: Run) -> Record:
    return write(Store(Path(_MADE.name)), profile, run)


def write(
    store: Store,
    profile: str,
    run: Run,
    images: Arrays | None = None,
    env: dict[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """The synthetic record of one Run, with some values of its final.json and env.json changed.

    images: of per_image.npz, where they matter.
    """
    usual, env = environment(), env or {}
    data = {**usual["data"], "name": run.data.name, **env.get("data", {})}
    env = {**usual, **env, "data": data}
    curve, final, arrays = (_ladder if run.labels else _hierarchy)(run, images)
    done = {"state": "done", "diverged_at": None}
    return store.write(profile, run, env, {**done, **final, **changes}, curve, arrays)


def diverge(store: Store, profile: str, run: Run, epoch: int) -> Record:
    """A record of a Run that met NaN in `epoch`: no metrics, a curve that ends before it."""
    curve, measured, _ = (_ladder if run.labels else _hierarchy)(run)
    known = {"denoising": []} if run.labels else {n: measured[n] for n in ("K", "LK_images")}
    final = {"state": "diverged", "diverged_at": epoch, **dict.fromkeys(measured), **known}
    return store.write(profile, run, environment(), final, curve[curve.epoch < epoch], {})


def seeds(store: Store, profile: str, run: Run) -> list[Record]:
    """The records that differ from `run` in their seed alone, by seed."""
    stem = run.id.rpartition("-s")[0]
    found = [r for r in store.records(profile) if r.run.id.rpartition("-s")[0] == stem]
    return sorted(found, key=lambda r: r.run.seed)


def environment() -> dict[str, Any]:
    return {
        "commit": "0" * 40,
        "dirty": False,
        "versions": {"python": "3.11.0", "torch": "2.8.0", "numpy": "2.0.0"},
        "device": "cpu",
        "threads": 2,
        "engine": "eager",
        "wall_seconds": 60.0,
        "stack_width": 1,
        "data": {"name": "mnist", "source": "synthetic", "hash": "0" * 64},
        "started": "2020-01-01T00:00:00Z",
        "finished": "2020-01-01T00:01:00Z",
    }


def _generator(run: Run) -> np.random.Generator:
    digest = hashlib.sha256(run.id.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


Parts = tuple[pd.DataFrame, dict[str, Any], dict[str, Arrays]]  # curve, final.json, arrays


# Hierarchies


def _hierarchy(run: Run, images: Arrays | None = None) -> Parts:
    rng, variant = _generator(run), run.variant.partition("@")[0].partition("_ft")[0]
    units = _kl_units(run, KL[variant], rng)
    bound = _bound_curve(run, L1[variant], rng)
    arrays = {
        "kl_units": units,
        "per_image": _per_image(run, rng, float(bound["L1_test"].iloc[-1])),
        "pca": _pca(run, rng),
        "samples": _samples(rng),
    }
    arrays["per_image"] = arrays["per_image"] if images is None else images
    final = _final(run, units, bound, arrays["per_image"])
    return _full_curve(run, units, bound), final, arrays


def _bound_curve(run: Run, L1: tuple[float, ...], rng: np.random.Generator) -> pd.DataFrame:
    """L_1 at the evaluation epochs: a steep rise that flattens, worse while beta is small."""
    epochs = np.array(run.evaluation.epochs, dtype=float)
    end = L1[run.model.depth - 1] - 60 / run.schedule.epochs**0.75
    end += rng.normal(0, 0.08) - LOWER[run.data.name]
    test = end - 30 * (epochs**-0.7 - run.schedule.epochs**-0.7)
    beta = np.array([run.beta(int(e)) for e in epochs])
    test -= 300 * (1 - beta) ** 2 * epochs**-0.2
    gap = 0.6 * epochs / epochs[-1] + rng.normal(0, 0.02, len(epochs))
    return pd.DataFrame({"epoch": epochs.astype(int), "L1_train": test + gap, "L1_test": test})


def _full_curve(run: Run, units: Arrays, bound: pd.DataFrame) -> pd.DataFrame:
    epochs = np.arange(1, run.schedule.epochs + 1)
    curve = pd.DataFrame({"epoch": epochs, "beta": [run.beta(int(e)) for e in epochs]})
    curve["lr"] = run.optim.lr
    curve["L1_train_running"] = np.interp(epochs, bound["epoch"], bound["L1_train"]) - 0.5
    for i in range(1, run.model.depth + 1):
        bound = bound.assign(**{f"KL_{i}": units["test"][:, units["layer"] == i].sum(axis=1)})
    return curve.merge(bound, on="epoch", how="left")


def _final(run: Run, units: Arrays, bound: pd.DataFrame, images: Arrays) -> dict[str, Any]:
    last, layer = units["test"][-1], units["layer"]
    per_layer = [last[layer == i] for i in range(1, run.model.depth + 1)]
    L1, LK = images["L1"], images["LK"]
    return {
        "L1_train": float(bound["L1_train"].iloc[-1]),
        "L1_test": float(bound["L1_test"].iloc[-1]),
        "L1_se": float(L1.std(ddof=1) / len(L1) ** 0.5),
        "LK_test": float(LK.mean()),
        "K": run.evaluation.importance_samples,
        "LK_images": run.evaluation.lk_images or 10_000,
        "LK_se": float(LK.std(ddof=1) / len(LK) ** 0.5),
        "LK_mc_error": 0.02,
        "kl_layers": [float(v.sum()) for v in per_layer],
        "active_units": [int((v > 0.01).sum()) for v in per_layer],
        "negative_units": [int((v < 0).sum()) for v in per_layer],
    }


def _per_image(run: Run, rng: np.random.Generator, l1_test: float) -> Arrays:
    l1 = l1_test + rng.normal(0, 15, run.evaluation.test_images or 10_000)
    l1 += l1_test - l1.mean()
    lk = l1[: run.evaluation.lk_images or 10_000]
    lk = lk - lk.mean() + l1_test + 3
    return {"L1": l1.astype(np.float32), "LK": lk.astype(np.float32)}


def _kl_units(run: Run, KL: tuple[float, ...], rng: np.random.Generator) -> Arrays:
    """Many weakly active units that are pruned as the few active ones grow."""
    epochs = np.array(run.evaluation.epochs, dtype=float)
    age = (epochs / epochs[-1])[:, None]
    columns = []
    for i, width in enumerate(run.hierarchy.latents):
        share = np.exp(-np.arange(width) / max(1.0, width / 6))
        grown = np.where(KL[i] > 0.1, KL[i], 0.0) * share / share.sum()
        early = 0.15 * rng.random(width) * np.exp(-6 * age) * (i < 3)
        noise = rng.normal(0, 0.003 if run.model.family == "vae" else 0.0, (len(epochs), width))
        columns.append(rng.permutation(grown * age**0.2 + early + noise, axis=1))
    test = np.concatenate(columns, axis=1)
    return {
        "epochs": epochs.astype(np.int64),
        "test": test.astype(np.float32),
        "train": (1.01 * test).astype(np.float32),
        "layer": np.repeat(np.arange(1, len(columns) + 1), run.hierarchy.latents),
    }


def _pca(run: Run, rng: np.random.Generator) -> Arrays:
    """A heap of points in every layer."""
    arrays: Arrays = {"labels": rng.integers(0, 10, IMAGES).astype(np.uint8)}
    for i in range(1, run.model.depth + 1):
        z = rng.normal(0, 0.6, (IMAGES, 2))
        low, high = z.min(axis=0), z.max(axis=0)
        arrays[f"low{i}"], arrays[f"high{i}"] = low.astype(np.float32), high.astype(np.float32)
        arrays[f"z{i}"] = np.round(STEPS * (z - low) / (high - low)).astype(np.uint16)
    return arrays


def _samples(rng: np.random.Generator) -> Arrays:
    """A hundred images of 28x28 random pixels; those that stand for the data are binary."""
    prior, mean, drawn = rng.integers(256, size=(3, 100, 784), dtype=np.uint8)
    true = np.where(drawn < mean, 255, 0).astype(np.uint8)
    return {"true": true, "reconstruction": mean, "prior": prior, "shape": np.array([28, 28])}


# Ladder networks


def _ladder(run: Run, _: object = None) -> Parts:
    """Error and costs fall towards their end; costs without an estimate stay empty."""
    rng, epochs = _generator(run), np.arange(1, run.schedule.epochs + 1)
    end = ERROR.get(run.variant, 1.5) * (1 + 0.1 * rng.normal())
    fall = 4 * np.exp(-epochs / (0.3 * len(epochs) + 1))
    curve = pd.DataFrame({"epoch": epochs, "lr": [run.lr(int(e)) for e in epochs]})
    curve["cost_running"] = 1 + fall
    curve["error_percent"] = end * (1 + fall)
    curve["cross_entropy"] = 0.01 * (1 + fall)
    for i in range(run.model.depth + 1):
        known = i in run.ladder.estimated
        curve[f"C_{i}"] = COSTS[i] * (1 + 0.2 * fall) if known else np.nan
    last = curve.iloc[-1]
    error, costs = float(last["error_percent"]), last.filter(like="C_")
    final = {
        "error_percent": error,
        "errors": round(100 * error),
        "test_images": run.evaluation.test_images or 10_000,
        "error_se": (error * (100 - error) / 10_000) ** 0.5,
        "cross_entropy": float(last["cross_entropy"]),
        "denoising": [None if np.isnan(cost) else float(cost) for cost in costs],
        "labels": run.labels,
    }
    return curve, final, _ladder_arrays(run, rng)


def _ladder_arrays(run: Run, rng: np.random.Generator) -> dict[str, Arrays]:
    labels, curves = run.labels, {"u": np.array([-2.0, 0.0, 2.0])}
    for i in run.ladder.estimated:
        z = np.linspace(-0.5, 1.5, 61) if i == 0 else np.linspace(-3, 3, 61)
        middle = 0.4 * z + 0.2 * curves["u"][:, None] + 0.05 * rng.normal()
        curves[f"z{i}"] = z
        curves[f"g{i}"] = np.stack([middle - 0.1, middle, middle + 0.1], axis=2)
    rows = np.sort(rng.permutation(60_000)[:labels]).astype(np.int32)
    return {
        "labels": {"row": rows, "class": (np.arange(labels) % 10).astype(np.uint8)},
        "predictions": {"predicted": rng.integers(0, 10, IMAGES).astype(np.uint8)},
        "combinators": curves,
    }
