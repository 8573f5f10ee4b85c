"""Errors over images of what two trainings differ by. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from repro.judge.measures import array, metric
from repro.store import Record

PER_IMAGE = {"L1_test": ("L1", "L1_se"), "LK_test": ("LK", "LK_se")}  # array, standard error


def images_error(ours: Sequence[Record], other: Sequence[Record], name: str) -> float:
    """Standard error over images of the difference of two means over seeds.

    Paired where every pair has the same images: then the Monte-Carlo error is in it. Test errors
    of Ladder networks are not paired; of other numbers the error over images is not known, 0 here.
    """
    if name not in PER_IMAGE:
        if name != "error_percent":
            return 0.0
        held = [
            [metric(r, "error_se") for r in of if "error_se" in r.final] for of in (ours, other)
        ]
        return math.hypot(*(math.hypot(*of) / len(of) for of in held if of))
    key, se = PER_IMAGE[name]
    pairs = list(zip(ours, other, strict=False))
    if len(ours) == len(other) and all(same_images(a, b) for a, b in pairs):
        each = [[array(r, "per_image", key).astype(float) for r in pair] for pair in pairs]
        if len({len(x) for pair in each for x in pair}) == 1 and len(each[0][0]) > 1:
            return standard_error(np.mean([x - y for x, y in each], axis=0))
    whole = (np.mean([metric(r, se) for r in of]) for of in (ours, other))
    return math.hypot(*map(float, whole))


def standard_error(values: Any) -> float:
    """Of a mean over images; of one image it is not known."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def same_images(a: Record, b: Record) -> bool:
    """Runs on one data set score equal images, unless their source files differed."""
    saved = all("per_image.npz" in r.files for r in (a, b))
    sources = [r.env.get("data", {}).get("hash") for r in (a, b)]
    return saved and sources[0] == sources[1] and a.run.data == b.run.data
