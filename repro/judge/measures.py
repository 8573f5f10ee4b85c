"""Numbers read off one record: what claims and the check are made of. No torch, no training.

Bounds and KL terms are in nats per example. Each function raises RecordError for a record
that does not hold what it should.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from repro.errors import RecordError
from repro.judge.targets.target import ACTIVE_NATS, COLLAPSED_NATS
from repro.store import Record
from repro.store.sealed import FINAL, RESTORE

PUBLISHED = "published"  # the version of a data set that the paper used
PCA_STEPS = 511  # projections are saved in this many steps between their low and high


def precision(record: Record) -> str:
    """How matrix products were rounded; records older than the choice were made in float32."""
    return str(record.env.get("precision", "float32"))


def data_version(record: Record) -> str:
    """Which version of its data set a Run was trained on; records older than that name none."""
    return str(record.env.get("data", {}).get("version", PUBLISHED))


def metric(record: Record, name: str) -> float:
    """One finite number of final.json."""
    value = record.final.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _damaged(record, FINAL, f"{name} is {value!r}, not a finite number")
    return float(value)


def mc_error(record: Record) -> float:
    """Monte-Carlo error of L_K: by the jackknife, or of older records by the delta method."""
    better = "LK_jackknife_error"
    return metric(record, better if better in record.final else "LK_mc_error")


def array(record: Record, file: str, name: str) -> Any:
    """One array of an npz file."""
    arrays = record.arrays(file)
    if name not in arrays:
        raise _damaged(record, f"{file}.npz", f"holds no {name}")
    return arrays[name]


def kl_layers(record: Record) -> Any:
    """[L]: KL term of each layer on the test set."""
    values = record.final.get("kl_layers")
    if not isinstance(values, list) or len(values) != record.run.model.depth:
        raise _damaged(record, FINAL, f"kl_layers is {values!r}, not one number a layer")
    return np.array(values, dtype=float)


def active_layers(record: Record) -> int:
    """How many layers are not collapsed."""
    return int(np.sum(kl_layers(record) >= COLLAPSED_NATS))


def active_shares(record: Record) -> Any:
    """[2]: share of all units that is active, at most during warm-up and in the end."""
    epochs = array(record, "kl_units", "epochs")
    active = np.mean(array(record, "kl_units", "test") > ACTIVE_NATS, axis=1)
    warming = active[epochs <= record.run.schedule.warmup_epochs]
    return np.array([max(warming, default=0.0), active[np.argmax(epochs)]])


def gap_of_bounds(record: Record) -> float:
    """L_K - L_1 over the images that L_K covers: the first ones of the test set."""
    lk, l1 = array(record, "per_image", "LK"), array(record, "per_image", "L1")
    return float(np.mean(lk, dtype=float) - np.mean(l1[: len(lk)], dtype=float))


def l1_beside_lk(record: Record) -> float | None:
    """L_1 of the very images that L_K covers: the first ones of a test set are easier.

    None where the values of single images are not saved.
    """
    images = _both(record)
    return None if images is None else float(images[0].mean())


def whole_set(record: Record) -> tuple[float, float] | None:
    """L_K of the whole test set with its standard error, where L_K is of its first images only.

    By regression of L_K on L_1, which all images have (double sampling, Cochran 1977, ch. 12); the
    error is of residuals and slope. 0 where L_K covers all; None where it cannot be made.
    """
    images = _both(record)
    if images is None:
        return None
    x, y = images
    every = array(record, "per_image", "L1").astype(float)
    n, N = len(x), len(every)
    if n == N:
        return float(y.mean()), 0.0
    if n < 3 or not np.ptp(x) or not np.isfinite(every).all():
        return None
    dx, shift = x - x.mean(), every.mean() - x.mean()
    squares = dx @ dx
    slope = dx @ y / squares
    residual = y - y.mean() - slope * dx
    var = residual @ residual / (n - 2) * ((1 - n / N) / n + shift**2 / squares)
    return float(y.mean() + slope * shift), math.sqrt(var)


def numbers(record: Record) -> dict[str, Any]:
    """What final.json holds, and what follows from the values of single images."""
    whole, beside = whole_set(record), l1_beside_lk(record)
    found = dict(record.final)
    if beside is not None:
        found["L1_beside_LK"] = beside
    if whole is not None:
        found["LK_whole"], found["LK_whole_error"] = whole
    return found


def _both(record: Record) -> tuple[Any, Any] | None:
    """L_1 and L_K of the images that have both, [n] each; None where one is not finite."""
    if "per_image.npz" not in record.files:
        return None
    L1, LK = (array(record, "per_image", name).astype(float) for name in ("L1", "LK"))
    L1 = L1[: len(LK)]
    usable = len(L1) == len(LK) and len(LK) and np.isfinite(L1).all() and np.isfinite(LK).all()
    return (L1, LK) if usable else None


def over_fitting(record: Record) -> Any:
    """[2]: widest train - test gap once beta is full, and fall of the test bound from its best."""
    curve = record.curve().dropna(subset=["L1_train", "L1_test"])
    rows = curve[curve["beta"] == curve["beta"].max()]
    if rows.empty:
        raise _damaged(record, "curve.csv", "holds no evaluated epoch")
    gap = (rows["L1_train"] - rows["L1_test"]).max()
    return np.array([gap, rows["L1_test"].max() - rows["L1_test"].iloc[-1]])


def effective_layers(share: Any) -> float:
    """exp(entropy) of shares [L]: 1 when one layer holds all, L when all hold the same."""
    positive = share[share > 0]
    return float(np.exp(-np.sum(positive * np.log(positive))))


def between_class_share(points: Any, labels: Any) -> float:
    """Share of the variance of points [N, 2] that lies between the means of their classes [N]."""
    centred = points - points.mean(axis=0)
    total = float(np.sum(centred**2))
    classes = [centred[labels == c] for c in np.unique(labels)]
    between = sum(len(c) * float(np.sum(c.mean(axis=0) ** 2)) for c in classes)
    return between / total if total else 0.0


def class_shares(record: Record) -> Any:
    """[L]: between-class share of each layer's two principal components."""
    labels = array(record, "pca", "labels")
    layers = range(1, record.run.model.depth + 1)
    return np.array([between_class_share(projections(record, i), labels) for i in layers])


def projections(record: Record, layer: int) -> Any:
    """[N, 2]: the saved samples z_layer on their two principal components."""
    low, high, z = (array(record, "pca", f"{name}{layer}") for name in ("low", "high", "z"))
    return low + (high - low) * (z / PCA_STEPS)


def _damaged(record: Record, name: str, problem: str) -> RecordError:
    return RecordError(
        f"{record.folder / name}: {problem}: {RESTORE}; of a Run in runs/,"
        f" `repro evaluate {record.run.id}` makes it anew"
    )
