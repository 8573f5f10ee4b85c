"""Numbers read off one record: what claims and the check are made of. No torch, no training.

Bounds and KL terms are in nats per example. Each function raises RecordError for a record
that does not hold what it should.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from repro.errors import RecordError
from repro.judge.targets.target import COLLAPSED_NATS, K_TEST, TEST_IMAGES
from repro.store import Record
from repro.store.sealed import ACTIVE_NATS, FINAL, PCA_STEPS, RESTORE

PUBLISHED = "published"  # the version of a data set that the paper used


def precision(record: Record) -> str:
    """How matrix products were rounded; records older than the choice were made in float32."""
    return str(record.env.get("precision", "float32"))


def data_version(record: Record) -> str:
    """Which version of its data set a Run was trained on; records older than that name none."""
    return str(record.env.get("data", {}).get("version", PUBLISHED))


def divergence(record: Record) -> str:
    """What is said of a Run that diverged."""
    return f"diverged at epoch {record.final.get('diverged_at')}"


def metric(record: Record, name: str) -> float:
    """One finite number of final.json."""
    value = record.final.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _damaged(record, FINAL, f"{name} is {value!r}, not a finite number")
    return float(value)


def known(record: Record, read: Callable[[Record], float]) -> float:
    """A number that older records lack; NaN there."""
    try:
        return read(record)
    except RecordError:
        return math.nan


def mc_error(record: Record) -> float:
    """Monte-Carlo error of L_K: by the jackknife, or of older records by the delta method.

    NaN of a single sample, which shows none.
    """
    if record.final.get("K") == 1:
        return math.nan
    better = "LK_jackknife_error"
    known = record.final.get(better) is not None
    return metric(record, better if known else "LK_mc_error")


def by_delta_method(record: Record) -> bool:
    """Whether its Monte-Carlo error of L_K is of the older kind, too small by about 2."""
    return "LK_mc_error" in record.final and record.final.get("LK_jackknife_error") is None


def scoring(record: Record) -> tuple[Any, Any]:
    """K of L_K and on how many images: bounds that differ in them cannot be compared."""
    return record.final.get("K"), record.final.get("LK_images")


def scored_otherwise(record: Record) -> str:
    """How L_K was measured, where that is with another K than published, or on few images."""
    k, images = scoring(record)
    published = K_TEST, TEST_IMAGES.get(record.run.data.name, images)
    return "" if (k, images) == published else f"L_{k} on {images} images"


def array(record: Record, file: str, name: str) -> Any:
    """One array of an npz file."""
    arrays = record.arrays(file)
    if name not in arrays:
        raise _damaged(record, f"{file}.npz", f"holds no {name}")
    return arrays[name]


def of_layers(record: Record, name: str) -> Any:
    """[L]: one finite number a layer of final.json."""
    values = record.final.get(name)
    if not isinstance(values, list) or len(values) != record.run.model.depth:
        raise _damaged(record, FINAL, f"{name} is {values!r}, not one number a layer")
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise _damaged(record, FINAL, f"{name} is {values!r}, not finite numbers")
    return np.array(values, dtype=float)


def kl_layers(record: Record) -> Any:
    """[L]: KL term of each layer on the test set."""
    return of_layers(record, "kl_layers")


def active_layers(record: Record) -> int:
    """How many layers are not collapsed."""
    return int(np.sum(kl_layers(record) >= COLLAPSED_NATS))


def active_at(record: Record, epoch: int | None = None) -> Any:
    """[ΣZ]: whether each unit is active at the evaluated epoch next to one; None: the last."""
    epochs = array(record, "kl_units", "epochs")
    if not len(epochs):
        raise _damaged(record, "kl_units.npz", "holds no evaluated epoch")
    at = np.argmax(epochs) if epoch is None else np.argmin(np.abs(epochs - epoch))
    return array(record, "kl_units", "test")[at] > ACTIVE_NATS


def gap_of_bounds(record: Record) -> Any:
    """[N]: L_K - L_1 of each image that L_K covers, L_1 from the same draws where it was saved."""
    arrays = record.arrays("per_image")
    lk = array(record, "per_image", "LK").astype(float)
    return lk - arrays.get("L1_of_LK", array(record, "per_image", "L1"))[: len(lk)]


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


def curve_of_k(record: Record) -> tuple[list[int], list[float], list[float], float | None] | None:
    """Some k, mean L_k over the images of L_K at each, its standard error over these, and the last
    without its bias, no bound.

    None of a record that is older than the curve, or of a single sample.
    """
    raw = record.final.get("LK_curve")
    if not isinstance(raw, dict) or not {"k", "bound", "se"} <= set(raw) or len(raw["k"]) < 2:
        return None
    if not all(isinstance(b, float) and math.isfinite(b) for b in raw["bound"]):
        return None
    return raw["k"], raw["bound"], raw["se"], record.final.get("LK_corrected")


def numbers(record: Record) -> dict[str, Any]:
    """What final.json holds, and what follows from the values of single images."""
    whole, beside = whole_set(record), l1_beside_lk(record)
    found = dict(record.final)
    if found.get("K") == 1:
        found |= dict.fromkeys({"LK_mc_error", "LK_jackknife_error"} & set(found))
    if beside is not None:
        found["L1_beside_LK"] = beside
    if whole is not None:
        found["LK_whole"], found["LK_whole_error"] = whole
    if images := found.get("AIS_images"):
        LK = array(record, "per_image", "LK")[:images]
        found["LK_beside_AIS"] = float(LK.mean(dtype=float)) if len(LK) == images else None
    return found


def _both(record: Record) -> tuple[Any, Any] | None:
    """L_1 and L_K of the images that have both, [n] each; None where one is not finite."""
    if "per_image.npz" not in record.files:
        return None
    L1, LK = (array(record, "per_image", name).astype(float) for name in ("L1", "LK"))
    L1 = L1[: len(LK)]
    usable = len(L1) == len(LK) and len(LK) and np.isfinite(L1).all() and np.isfinite(LK).all()
    return (L1, LK) if usable else None


def train_test_gap(record: Record) -> float:
    """L_1 of the training images less that of the test images."""
    return metric(record, "L1_train") - metric(record, "L1_test")


def rise_since(share: float, record: Record) -> float:
    """How far L_1 of the test images rises to the end, from that share of the epochs on.

    From the evaluated epoch with beta = 1 that is nearest.
    """
    columns = record.curve()[["epoch", "beta", "L1_test"]].to_numpy(float)
    scored = columns[np.isfinite(columns[:, 2])]
    if not len(scored):
        raise _damaged(record, "curve.csv", "holds no evaluated epoch")
    epoch, _, bound = scored[scored[:, 1] == scored[:, 1].max()].T
    at = np.argmin(np.abs(epoch - share * record.run.schedule.epochs))
    return float(bound[-1] - bound[at])


def shares_of_kl(record: Record) -> Any:
    """[L]: share of each layer in the KL; negative terms count as 0."""
    kl = np.maximum(kl_layers(record), 0.0)
    return kl / max(kl.sum(), COLLAPSED_NATS)


def effective_layers(record: Record) -> float:
    """exp(entropy) of the shares of KL: 1 when one layer holds all, L when all hold the same."""
    share = shares_of_kl(record)
    positive = share[share > 0]
    return float(np.exp(-np.sum(positive * np.log(positive))))


def projections(record: Record, layer: int) -> Any:
    """[N, 2]: the saved samples z_layer on their two principal components."""
    low, high, z = (array(record, "pca", f"{name}{layer}") for name in ("low", "high", "z"))
    return low + (high - low) * (z / PCA_STEPS)


def _damaged(record: Record, name: str, problem: str) -> RecordError:
    return RecordError(
        f"{record.folder / name}: {problem}: {RESTORE}; of a Run in runs/,"
        f" `repro evaluate {record.run.id} --profile {record.profile}` makes it anew"
    )
