"""A store of synthetic records: plausible numbers, the same on every machine, written fast."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import fixture_ladder
import numpy as np
import pandas as pd
from fixture_ladder import generator

from repro.plan import profiles
from repro.plan.run import Run
from repro.store import Record, Store
from repro.store.sealed import Arrays

IMAGES = 500  # of pca.npz; a trained record holds all 10,000
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
    if run.labels:
        return fixture_ladder.write(store, profile, run, env, **changes)
    rng = generator(run)
    units = kl_units(run, rng)
    bound = bound_curve(run, rng)
    arrays = {
        "kl_units": units,
        "per_image": per_image(run, rng, float(bound["L1_test"].iloc[-1])),
        "pca": pca(run, rng),
        "samples": samples(rng),
    }
    arrays["per_image"] = arrays["per_image"] if images is None else images
    final = {**final_values(run, units, bound, arrays["per_image"]), **changes}
    curve = full_curve(run, units, bound)
    return store.write(profile, run, env, final, curve, arrays)


def diverge(store: Store, profile: str, run: Run, epoch: int) -> Record:
    """A record of a Run that met NaN in `epoch`: no metrics, a curve that ends before it."""
    if run.labels:
        return fixture_ladder.diverge(store, profile, run, environment(), epoch)
    metrics = ("L1_train", "L1_test", "L1_se", "LK_test", "LK_se", "LK_mc_error")
    final: dict[str, Any] = dict.fromkeys(metrics)
    final |= {
        "state": "diverged",
        "diverged_at": epoch,
        "K": run.evaluation.importance_samples,
        "LK_images": lk_images(run),
        "kl_layers": None,
        "active_units": None,
        "negative_units": None,
    }
    rng = generator(run)
    units = kl_units(run, rng)
    curve = full_curve(run, units, bound_curve(run, rng))
    return store.write(profile, run, environment(), final, curve[curve.epoch < epoch], {})


def seeds(store: Store, profile: str, run: Run) -> list[Record]:
    """The records that differ from `run` in their seed alone, by seed."""
    stem = run.id.rpartition("-s")[0]
    found = [r for r in store.records(profile) if r.run.id.rpartition("-s")[0] == stem]
    return sorted(found, key=lambda r: r.run.seed)


def variant(run: Run) -> str:
    """The variant of the grid that a Run is an ablation of, or its own."""
    return run.variant.partition("@")[0].partition("_ft")[0]


def lk_images(run: Run) -> int:
    return run.evaluation.lk_images or 10000


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


def bound_curve(run: Run, rng: np.random.Generator) -> pd.DataFrame:
    """L_1 at the evaluation epochs: a steep rise that flattens, worse while beta is small."""
    epochs = np.array(run.evaluation.epochs, dtype=float)
    end = L1[variant(run)][run.model.depth - 1] - 60 / run.schedule.epochs**0.75
    end += rng.normal(0, 0.08) - LOWER[run.data.name]
    test = end - 30 * (epochs**-0.7 - run.schedule.epochs**-0.7)
    beta = np.array([run.beta(int(e)) for e in epochs])
    test -= 300 * (1 - beta) ** 2 * epochs**-0.2
    gap = 0.6 * epochs / epochs[-1] + rng.normal(0, 0.02, len(epochs))
    return pd.DataFrame({"epoch": epochs.astype(int), "L1_train": test + gap, "L1_test": test})


def full_curve(run: Run, units: Arrays, bound: pd.DataFrame) -> pd.DataFrame:
    epochs = np.arange(1, run.schedule.epochs + 1)
    curve = pd.DataFrame({"epoch": epochs, "beta": [run.beta(int(e)) for e in epochs]})
    curve["lr"] = run.optim.lr
    running = np.interp(epochs, bound["epoch"], bound["L1_train"]) - 0.5
    curve["L1_train_running"] = running
    for i in range(1, run.model.depth + 1):
        bound = bound.assign(**{f"KL_{i}": units["test"][:, units["layer"] == i].sum(axis=1)})
    return curve.merge(bound, on="epoch", how="left")


def final_values(run: Run, units: Arrays, bound: pd.DataFrame, images: Arrays) -> dict[str, Any]:
    last, layer = units["test"][-1], units["layer"]
    per_layer = [last[layer == i] for i in range(1, run.model.depth + 1)]
    return {
        "state": "done",
        "diverged_at": None,
        "L1_train": float(bound["L1_train"].iloc[-1]),
        "L1_test": float(bound["L1_test"].iloc[-1]),
        "L1_se": float(images["L1"].std(ddof=1) / len(images["L1"]) ** 0.5),
        "LK_test": float(images["LK"].mean()),
        "K": run.evaluation.importance_samples,
        "LK_images": lk_images(run),
        "LK_se": float(images["LK"].std(ddof=1) / len(images["LK"]) ** 0.5),
        "LK_mc_error": 0.02,
        "kl_layers": [float(v.sum()) for v in per_layer],
        "active_units": [int((v > 0.01).sum()) for v in per_layer],
        "negative_units": [int((v < 0).sum()) for v in per_layer],
    }


def per_image(run: Run, rng: np.random.Generator, l1_test: float) -> Arrays:
    l1 = l1_test + rng.normal(0, 15, run.evaluation.test_images or 10000)
    l1 += l1_test - l1.mean()
    lk = l1[: lk_images(run)] - l1[: lk_images(run)].mean() + l1_test + 3
    return {"L1": l1.astype(np.float32), "LK": lk.astype(np.float32)}


def kl_units(run: Run, rng: np.random.Generator) -> Arrays:
    """Many weakly active units that are pruned as the few active ones grow."""
    epochs = np.array(run.evaluation.epochs, dtype=float)
    age = (epochs / epochs[-1])[:, None]
    columns, layers = [], []
    for i, width in enumerate(run.model.latents):
        total = KL[variant(run)][i]
        share = np.exp(-np.arange(width) / max(1.0, width / 6))
        grown = np.where(total > 0.1, total, 0.0) * share / share.sum()
        early = 0.15 * rng.random(width) * np.exp(-6 * age) * (i < 3)
        noise = rng.normal(0, 0.003 if run.model.family == "vae" else 0.0, (len(epochs), width))
        columns.append(rng.permutation(grown * age**0.2 + early + noise, axis=1))
        layers += [i + 1] * width
    test = np.concatenate(columns, axis=1)
    return {
        "epochs": epochs.astype(np.int64),
        "test": test.astype(np.float32),
        "train": (1.01 * test).astype(np.float32),
        "layer": np.array(layers, dtype=np.int64),
    }


def pca(run: Run, rng: np.random.Generator) -> Arrays:
    """Classes lie apart in the layers that the model uses, and on one heap in the others."""
    labels = rng.integers(0, 10, IMAGES).astype(np.uint8)
    arrays: Arrays = {"labels": labels}
    for i in range(1, run.model.depth + 1):
        apart = 0.5 * i * (KL[variant(run)][i - 1] > 0.1)
        angle = 2 * np.pi * labels / 10
        z = apart * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        z += rng.normal(0, 0.6, z.shape)
        low, high = z.min(axis=0), z.max(axis=0)
        arrays[f"low{i}"], arrays[f"high{i}"] = low.astype(np.float32), high.astype(np.float32)
        arrays[f"z{i}"] = np.round(STEPS * (z - low) / (high - low)).astype(np.uint16)
    return arrays


def samples(rng: np.random.Generator) -> Arrays:
    """A hundred soft rings on 28x28 pixels; their binarised forms stand for the data."""
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    radius = rng.uniform(0.3, 0.7, (2, 100, 1, 1))
    rings = np.exp(-(((np.hypot(y, x) - radius) / 0.15) ** 2)).reshape(2, 100, 784)
    true = rings[0] > rng.random((100, 784))
    return {
        "true": (255 * true).astype(np.uint8),
        "reconstruction": (255 * rings[0]).astype(np.uint8),
        "prior": (255 * rings[1]).astype(np.uint8),
        "shape": np.array([28, 28]),
    }
