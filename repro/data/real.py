"""Images as real values in [0, 1]: copies, dequantisation, scale. Legend: N images, X pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from repro.data.images import Bytes, Images
from repro.errors import DataError
from repro.plan.run import RealData

Reals = NDArray[np.float32]
Uniform = Callable[[str, int, tuple[int, ...]], Reals]
"""(split, copy, shape) -> draws from [0, 1); makes every draw repeatable."""


def real_valued(raw: Images, data: RealData, uniform: Uniform) -> Images:
    """Bytes as real values: every copy of the images one after the other, with its own noise.

    Both sets are divided by one number, so that a density of the test set is one of the training
    set's units. Raises DataError where that number would be 0.
    """
    train = _dequantised(raw.train, data.copies, data.dequantise, uniform, "train")
    test = _dequantised(raw.test, data.test_copies, data.dequantise, uniform, "test")
    scale = float(data.grey_scale if data.divide_by == "grey_scale" else train.max())
    if not scale > 0:
        raise DataError(
            f"{raw.name}: the largest training pixel is {scale:g}: nothing to divide by"
        )
    train /= scale
    test /= scale
    return replace(
        raw,
        train=train,
        train_labels=np.tile(raw.train_labels, data.copies),
        test=test,
        test_labels=np.tile(raw.test_labels, data.test_copies),
    )


def _dequantised(grey: Bytes, copies: int, dequantise: bool, uniform: Uniform, split: str) -> Reals:
    """[copies * N, X]: uniform noise fills each grey value's unit interval."""
    values = np.empty((copies, *grey.shape), np.float32)
    for copy, part in enumerate(values):
        part[:] = grey
        if dequantise:
            part += uniform(split, copy, grey.shape)
    return values.reshape(-1, grey.shape[1])
