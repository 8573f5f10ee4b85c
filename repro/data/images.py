"""What a data set is once loaded, and what may be given as images. Legend: N, M images, X pixels.

Bytes are integers 0 to 255, in whatever integer type; real values would be another scale, and an
answer from them wrong without a word. So each function says which it takes, and refuses the rest.
"""

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.errors import DataError, UsageError

Bytes = NDArray[np.uint8]
Pixels = NDArray[Any]  # bytes, or real values
GREY_SCALES = (255, 256)
MOST = 2**31 - 1  # images, or samples


@dataclass(frozen=True)
class Images:
    """A data set in memory, split as published.

    train [N, X], test [M, X]: grey values 0..255, row-major pixels of images of `shape`; as
    training and scoring read them, the test set may be binary, or both sets real-valued.
    train_labels [N], test_labels [M]: classes, never used in training.
    source: "local folder" or the hosts it was fetched from. content_hash: see `sources`.
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

    images: integers 0 to 255 of any integer type and shape. A uniform integer below `grey_scale` is
    below the byte with exactly that probability. The seed fixes the result, so that every Run is
    scored on the same binary test images. Raises UsageError for what is no bytes (real values,
    booleans, other ranges), or binary already, and for a scale at which a byte would not be a
    probability.
    """
    if whole(grey_scale, "grey scale {}") not in GREY_SCALES:
        raise UsageError(
            f"grey scale {grey_scale}: choose 255 (as IWAE) or 256 (as the LVAE's data)"
        )
    grey, rng = grey_bytes(images), np.random.default_rng(whole(seed, "seed {}"))
    return (rng.integers(grey_scale, size=grey.shape, dtype=np.uint8) < grey).astype(np.uint8)


def grey_bytes(images: Any) -> Bytes:
    """Integers 0 to 255 as uint8, in their shape; binary images are refused. Raises UsageError."""
    array = array_of(images)
    if not array.size:
        raise UsageError(f"images of {found(array)}: give at least one")
    if are_binary(array):
        raise UsageError(
            f"images of {found(array)}, are already binary: leave --binarise out, or the call"
        )
    if not are_bytes(array):
        raise UsageError(f"images of {found(array)}, are no bytes: give {_as_bytes(array)}")
    return array.astype(np.uint8, copy=False)


def refuse_other_than_bytes(images: Pixels, where: str) -> None:
    """Raises DataError where a data set holds real values, or 0 and 1, in place of bytes."""
    if not images.size or not are_bytes(images) or are_binary(images):
        raise DataError(
            f"{where}: images of {found(images)}, are no grey values: store bytes 0..255,"
            " of binary images 0 and 255"
        )


def array_of(images: Any) -> Pixels:
    """What numpy makes of images: real numbers. Raises UsageError."""
    try:
        array = np.asarray(images)
    except (TypeError, ValueError, RuntimeError) as e:  # unequal rows, a tensor on a GPU
        why = " ".join(str(e).split())
        raise UsageError(f"images of type {type(images).__name__}: {why}: give an array") from e
    if array.dtype.kind not in "biuf":
        raise UsageError(f"images of type {array.dtype}: give real numbers")
    if np.ma.is_masked(images):
        raise UsageError("images with masked pixels: fill them, or remove those images")
    return array


def flattened(images: Any, pixels: int) -> NDArray[np.float32]:
    """[N, X] or [N, height, width] of real numbers as finite float32 [N, X]. Raises UsageError."""
    array = array_of(images)
    refuse_other_shapes(array, pixels)
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite
        flat = array.reshape(len(array), pixels).astype(np.float32, order="C")
    if not np.isfinite(flat).all():
        raise UsageError(
            f"images of {found(array)}, hold values that are not finite: remove those images"
        )
    return flat


def refuse_other_shapes(array: Pixels, pixels: int) -> None:
    """Raises UsageError for no image, or images of another size."""
    if array.ndim not in (2, 3) or not len(array) or math.prod(array.shape[1:]) != pixels:
        raise UsageError(
            f"images of shape {array.shape}: give [N, {pixels}], or [N, height, width] of as many"
        )


def are_bytes(array: Pixels) -> bool:
    """Whether they are integers 0 to 255."""
    if array.dtype == np.uint8:
        return True
    return array.dtype.kind in "iu" and bool(array.min() >= 0 and array.max() <= 255)


def are_binary(array: Pixels) -> bool:
    """Whether they hold 0 and 1 alone; black images are binary as booleans only."""
    if array.dtype.kind == "b":
        return True
    return bool(array.max() == 1) and bool(((array == 0) | (array == 1)).all())


def to_binary(array: Pixels) -> str:
    """The way from these images to binary ones, in words."""
    draw = "`--binarise` or `repro.data.images.binarise`"
    return f"give {'them' if are_bytes(array) else _as_bytes(array)} to {draw}"


def found(array: Pixels) -> str:
    """Type and range in words; the shape of no image at all."""
    if not array.size:
        return f"shape {array.shape}"
    if array.dtype.kind not in "iuf":
        return f"type {array.dtype}"
    return f"type {array.dtype}, from {array.min():g} to {array.max():g}"


def _as_bytes(array: Pixels) -> str:
    """What to give in place of images that are no bytes."""
    low, high = array.min(), array.max()
    if low >= 0 and high <= 1:
        return "bytes, dtype uint8: np.rint(255 * images).astype(np.uint8)"
    if low >= 0 and high <= 255:
        return "bytes, dtype uint8: np.rint(images).astype(np.uint8)"
    return "bytes, dtype uint8, 0 to 255"


def whole(number: Any, said: str, least: int = 0, most: int = 2**63 - 1) -> int:
    """A whole number of Python's or numpy's; `said`: what it is, with {} in its place.

    Raises UsageError for another, or one out of range.
    """
    try:
        value = operator.index(number)
    except TypeError as e:
        raise UsageError(f"{said.format(repr(number))}: give a whole number") from e
    if not least <= value <= most:
        limit = f"least {least}" if value < least else f"most {most}"
        raise UsageError(f"{said.format(value)}: give at {limit}")
    return value
