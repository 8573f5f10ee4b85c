"""What training and scoring read of a data set. Legend: N images, X pixels.

Raises DataError where it holds no bytes.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from repro.data.images import Bytes, Images, binarise, refuse_other_than_bytes
from repro.errors import DataError
from repro.model import streams
from repro.plan.run import RealData, Run


def grey(run: Run, raw: Images) -> Images:
    """Grey values as they are, for a Ladder network, which divides them.

    Pixels of 0..255 undivided made the published model err 16.7% instead of 1.1%.
    """
    for part in (raw.train, raw.test):
        refuse_other_than_bytes(part, raw.name)
    train, test = (part.astype(np.uint8, copy=False) for part in (raw.train, raw.test))
    return replace(raw, train=train, test=test)


def observed(run: Run, raw: Images) -> Images:
    """Grey values, and the one binarisation of the test set that scores every Run; or real values.

    Real values are drawn once, from the same seed, so that every Run has the same.
    """
    raw = grey(run, raw)
    if isinstance(run.data, RealData):
        return real_valued(raw, run.data)
    return replace(raw, test=binarise(raw.test, run.data.grey_scale, run.data.test_seed))


def real_valued(raw: Images, data: RealData) -> Images:
    """Bytes as real values: every copy of the images one after the other, with its own noise.

    Both sets are divided by one number, so that a density of the test set is one of the training
    set's units. Raises DataError where that number would be 0.
    """
    train = _dequantised(raw.train, data.copies, data, "train")
    test = _dequantised(raw.test, data.test_copies, data, "test")
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


def _dequantised(grey: Bytes, copies: int, data: RealData, split: str) -> NDArray[np.float32]:
    """[copies * N, X]: uniform noise fills each grey value's unit interval."""
    values = np.empty((copies, *grey.shape), np.float32)
    for copy, part in enumerate(values):
        part[:] = grey
        if data.dequantise:
            named = f"dequantise/{split}", copy
            part += streams.unit(data.test_seed, *named, shape=grey.shape).numpy()
    return values.reshape(-1, grey.shape[1])
