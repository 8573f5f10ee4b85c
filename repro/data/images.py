"""What a data set is once loaded: grey values. Legend: N, M images, X pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import UsageError

Bytes = NDArray[np.uint8]
Pixels = NDArray[Any]  # bytes, or real values
GREY_SCALES = (255, 256)


@dataclass(frozen=True)
class Images:
    """A data set in memory, split as published.

    train [N, X], test [M, X]: grey values 0..255, row-major pixels of images of `shape`; as
    training and scoring read them, the test set may be binary, or both sets real-valued.
    train_labels [N], test_labels [M]: classes, never used in training.
    source: "local folder" or the hosts it was fetched from. content_hash: see `Contents`.
    version: "published", or what else than the paper's own data this is.
    """

    name: str
    train: Pixels
    train_labels: Bytes
    test: Pixels
    test_labels: Bytes
    shape: tuple[int, int]
    source: str
    content_hash: str
    version: str = "published"


def binarise(images: Bytes, grey_scale: int, seed: int) -> Bytes:
    """Draw each pixel from Bernoulli(byte / grey_scale), once: [N, X] bytes to [N, X] in {0, 1}.

    A uniform integer below `grey_scale` is below the byte with exactly that probability. The
    seed fixes the result, so that every Run is scored on the same binary test images.
    Raises UsageError for a scale at which a byte would not be a probability.
    """
    if grey_scale not in GREY_SCALES:
        raise UsageError(f"grey scale {grey_scale}: choose 255 (as IWAE) or 256 (as the paper)")
    threshold = np.random.default_rng(seed).integers(grey_scale, size=images.shape, dtype=np.uint8)
    return (threshold < images).astype(np.uint8)
