"""small NORB (LeCun, Huang and Bottou 2004): toys from two cameras, for research use only.

Its files are "binary matrices": magic number, number of dimensions, then the size of each, and
of at least three, all little-endian 32-bit integers; then the elements, the last index fastest.
Each split has 24,300 stereo pairs of 96x96 bytes and their classes. The first camera's images are
scaled to 32x32 as they are read, so that no file is ever in memory whole.

Its authors publish no hash of the files: what is verified is that header and size are those of the
format, and gzip's own checksum. The SHA-256 of what was read goes into the record.
"""

import functools
import math
from pathlib import Path

import numpy as np

from repro.data.images import Bytes, Images
from repro.data.sources import DamageError, DataSet, File, Stream, blaming, content_hash, opened
from repro.plan.run import Data, RealData

PAIRS = 24_300
CAMERAS = 2
FULL, SIDE = 96, 32
CLASSES = 5
BYTES, INTEGERS = 0x1E3D4C55, 0x1E3D4C54
KINDS = {BYTES: "bytes", INTEGERS: "32-bit integers"}
STEMS = ("smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing")


def header(magic: int, shape: tuple[int, ...]) -> bytes:
    """How a file begins: a shape of fewer than three dimensions is filled up with ones."""
    sizes = (*shape, *(1,) * (3 - len(shape)))
    return np.array((magic, len(shape), *sizes), "<u4").tobytes()


def describe(found: bytes) -> str:
    """A header in words."""
    magic, dimensions, *sizes = np.frombuffer(found, "<u4").tolist()
    kind = KINDS.get(magic, "unknown")
    return f"magic 0x{magic:08X} ({kind}), {dimensions} dimensions of {tuple(sizes)}"


def data_set(train: int = PAIRS, test: int = PAIRS, mirrors: tuple[str, ...] = ()) -> DataSet:
    """Four files: images and classes of each split, of that many stereo pairs."""
    files = []
    for stem, pairs in zip(STEMS, (train, test), strict=True):
        files.append(_file(f"{stem}-dat.mat", BYTES, (pairs, CAMERAS, FULL, FULL), 1))
        files.append(_file(f"{stem}-cat.mat", INTEGERS, (pairs,), 4))
    decode = functools.partial(_decode, (train, test))
    images = (train, test), (SIDE, SIDE)
    return DataSet("norb", tuple(files), mirrors, decode, *images, on_request=True)


def _file(name: str, magic: int, shape: tuple[int, ...], width: int) -> File:
    start = header(magic, shape)
    return File(name, len(start) + width * math.prod(shape), None, start, describe)


def _decode(
    pairs: tuple[int, int], which: DataSet, data: Data, folder: Path, source: str
) -> Images:
    parts: list[Bytes] = []
    hashes = []
    real = data if isinstance(data, RealData) else RealData()
    readers = (functools.partial(_images, resample=real.resample), _classes) * len(pairs)
    for i, (file, reader) in enumerate(zip(which.files, readers, strict=True)):
        with blaming(file, which, folder) as path, opened(file, path) as stream:
            parts.append(reader(stream, pairs[i // 2]))
            hashes.append(stream.end())
    train, train_labels, test, test_labels = parts
    splits = train, train_labels, test, test_labels
    return Images(which.name, *splits, which.shape, source, content_hash(which, hashes))


def _images(stream: Stream, pairs: int, resample: str) -> Bytes:
    """[pairs, 32 * 32]: every pair's first image, scaled down."""
    from PIL import Image

    scaling = Image.Resampling[resample.upper()]
    small = np.empty((pairs, SIDE, SIDE), np.uint8)
    for row in small:
        pair = np.frombuffer(stream.take(CAMERAS * FULL * FULL), np.uint8)
        first = Image.fromarray(pair[: FULL * FULL].reshape(FULL, FULL))
        row[:] = np.asarray(first.resize((SIDE, SIDE), scaling))
    return small.reshape(pairs, SIDE * SIDE)


def _classes(stream: Stream, pairs: int) -> Bytes:
    """[pairs]. Raises DamageError for one that does not exist."""
    classes = np.frombuffer(stream.take(4 * pairs), "<i4")
    if classes.min() < 0 or classes.max() >= CLASSES:
        worst = classes.min() if classes.min() < 0 else classes.max()
        raise DamageError(f"class {worst}, expected 0..{CLASSES - 1}")
    return classes.astype(np.uint8)


NORB = data_set(
    mirrors=(
        "https://cs.nyu.edu/~ylclab/data/norb-v1.0-small",
        "http://www.cs.nyu.edu/~ylclab/data/norb-v1.0-small",
    )
)
