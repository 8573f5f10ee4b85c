"""The idx format of MNIST and the data sets that imitate it: unsigned bytes, big-endian sizes."""

import functools
import math
from pathlib import Path

import numpy as np

from repro.data.images import Bytes, Images
from repro.data.sources import DamageError, DataSet, File, content_hash, read
from repro.plan.run import Data

SIDE = 28
CLASSES = 10
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def header(shape: tuple[int, ...]) -> bytes:
    """Two zeros, 8 for unsigned bytes, the number of dimensions, then each of them."""
    return bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes()


def parse(content: bytes, shape: tuple[int, ...]) -> Bytes:
    """The array of an idx file, which must have this shape. Raises DamageError."""
    expected = header(shape)
    start, size = len(expected), len(expected) + math.prod(shape)
    if len(content) < start:
        problem = f"ends inside its header, after {len(content)} bytes"
    elif content[:4] != expected[:4]:
        problem = f"magic number {content[:4].hex()}, expected {expected[:4].hex()}"
    elif content[:start] != expected:
        found = np.frombuffer(content, ">u4", count=len(shape), offset=4)
        problem = f"shape {tuple(found.tolist())}, expected {shape}"
    elif len(content) != size:
        problem = f"{len(content)} bytes, expected {size}"
    else:
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
    raise DamageError(problem)


def data_set(
    name: str,
    train: int,
    test: int,
    hashes: tuple[str, ...],
    mirrors: tuple[str, ...],
    layouts: tuple[str, ...] = (),
) -> DataSet:
    """A data set in MNIST's four files; `hashes` (SHA-256 of the content) in the order of NAMES.

    layouts: other folders of them, see `File`.
    """
    shapes = [(train, SIDE, SIDE), (train,), (test, SIDE, SIDE), (test,)]
    sizes = [len(header(s)) + math.prod(s) for s in shapes]
    files = tuple(File(*f, layouts=layouts) for f in zip(NAMES, sizes, hashes, strict=True))
    decode = functools.partial(_decode, shapes)
    return DataSet(name, files, mirrors, decode, (train, test), (SIDE, SIDE))


def _decode(
    shapes: list[tuple[int, ...]], which: DataSet, _: Data, folder: Path, source: str
) -> Images:
    def parsed(file: File, content: bytes) -> Bytes:
        array = parse(content, shapes[NAMES.index(file.name)])
        if array.ndim == 1 and array.max() >= CLASSES:
            raise DamageError(f"label {array.max()}, expected 0..{CLASSES - 1}")
        return array

    train, train_labels, test, test_labels = read(which, folder, parsed)
    splits = train.reshape(-1, SIDE**2), train_labels, test.reshape(-1, SIDE**2), test_labels
    return Images(which.name, *splits, which.shape, source, content_hash(which))
