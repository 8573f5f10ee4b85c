"""Errors over images of what two trainings differ by. No torch."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from repro.judge.measures import array, metric
from repro.store import Record

PER_IMAGE = {"L1_test": ("L1", "L1_se"), "LK_test": ("LK", "LK_se")}  # array, standard error


def images_error(ours: Sequence[Record], other: Sequence[Record], name: str) -> float:
    """Standard error over images of the difference of two means over seeds.

    Paired where all have the same images: then the Monte-Carlo error is in it. Test errors of
    Ladder networks are not paired, and those of several seeds err on the same images; of other
    numbers the error over images is not known, 0 here.
    """
    key, se = PER_IMAGE.get(name, ("", "error_se" if name == "error_percent" else ""))
    if not se:
        return 0.0
    first, *rest = every = (*ours, *other)
    if all(same_images(first, r) for r in rest):
        values = [array(r, "per_image", key).astype(float) for r in every]
        if len({len(x) for x in values}) == 1 and len(values[0]) > 1:
            n = len(ours)
            return standard_error(np.mean(values[:n], axis=0) - np.mean(values[n:], axis=0))
    held = [[metric(r, se) for r in of if key or se in r.final] for of in (ours, other)]
    return math.hypot(*(float(np.mean(of)) for of in held if of))


def standard_error(values: Any) -> float:
    """Of a mean over images; of one image it is not known."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def same_images(a: Record, b: Record) -> bool:
    """Runs on one data set score equal images, unless their source files differed."""
    saved = all("per_image.npz" in r.files for r in (a, b))
    sources = [r.env.get("data", {}).get("hash") for r in (a, b)]
    return saved and sources[0] == sources[1] and a.run.data == b.run.data
