"""OMNIGLOT (Lake, Salakhutdinov and Tenenbaum): 1,623 characters, each by 20 drawers; MIT licence.

Two versions under one name. The paper used the 28x28 images of Burda et al., `chardata.mat`.
Where that file is not to be had, the images are rebuilt from the 105x105 originals: another
down-scaling, and 45 test images more, so that results on them are called other data.

Grey values are bytes, the share of ink in 255ths: both versions hold probabilities of ink from 0 to
1, so a Bernoulli draw is at byte/255, and full ink is certain. (Rounding to bytes moves a
probability of `chardata.mat` by at most 1/510.) "Classes" are the 50 alphabets.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from repro.data import originals
from repro.data.images import Bytes, Images
from repro.data.sources import DamageError, DataSet, File, content_hash, read
from repro.plan.run import Data

SIDE, ALPHABETS = 28, 50
COUNTS, REBUILT_COUNTS = (24_345, 8_070), (24_345, 8_115)
TRAIN_DRAWERS = 15  # drawers 1 to 15 train, 16 to 20 test
MAT_BYTES = 1 << 25  # the most that is read; its size is not stated anywhere
ARCHIVE_BYTES = 1 << 24


def git_blob(content: bytes) -> str:
    """The name that git gives a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def chardata(which: DataSet, _: Data, folder: Path, source: str) -> Images:
    """The images of `chardata.mat`, whose columns are images in column-major order.

    Raises DataError where it is no such file.
    """

    def parsed(_: File, content: bytes) -> tuple[Bytes, Bytes, Bytes, Bytes]:
        return *_of_mat(content, ""), *_of_mat(content, "test")

    (splits,) = read(which, folder, parsed)
    return Images(which.name, *splits, which.shape, source, content_hash(which))


def rebuilt(which: DataSet, _: Data, folder: Path, source: str) -> Images:
    """28x28 images made of the originals, in an order by which the first are a fair sample.

    Sorted by alphabet, a profile that scores the first images would score the first alphabets.
    Raises DataError.
    """
    parts = read(which, folder, lambda f, c: originals.read(c, f.name.removesuffix(".zip")))
    originals.read.cache_clear()
    names = sorted(name for part in parts for name in part.alphabets)
    labels = [np.array([names.index(a) for a in p.alphabets], np.uint8)[p.alphabet] for p in parts]
    drawings = (name for part in parts for name in part.names())
    order = np.argsort([hashlib.sha256(name.encode()).hexdigest() for name in drawings])
    grey = np.concatenate([originals.scaled(p.pixels) for p in parts])[order]
    label, drawer = (np.concatenate(x)[order] for x in (labels, [p.drawer for p in parts]))
    train = drawer <= TRAIN_DRAWERS
    split = grey[train], label[train], grey[~train], label[~train]
    return Images(which.name, *split, which.shape, source, content_hash(which), "rebuilt")


def _of_mat(content: bytes, prefix: str) -> tuple[Bytes, Bytes]:
    """Grey values [N, 784], row by row, and alphabets [N] of one part. Raises DamageError."""
    from scipy.io import loadmat

    names = [f"{prefix}data", f"{prefix}target"]
    try:
        found = loadmat(io.BytesIO(content), variable_names=names)
    except Exception as e:  # whatever a damaged file makes scipy raise
        raise DamageError(f"no readable .mat file ({type(e).__name__})") from e
    share, one_hot = (_matrix(found, n, rows) for n, rows in zip(names, (784, 50), strict=True))
    if share.shape[1] != one_hot.shape[1]:
        raise DamageError(f"{share.shape[1]} images, but {one_hot.shape[1]} alphabets")
    if not (share.min() >= 0 and share.max() <= 1):
        raise DamageError(f"{names[0]} lies in [{share.min():g}, {share.max():g}], not in [0, 1]")
    images = np.rint(255 * share).astype(np.uint8).T.reshape(-1, SIDE, SIDE)
    return images.transpose(0, 2, 1).reshape(-1, SIDE**2), one_hot.argmax(0).astype(np.uint8)


def _matrix(found: dict[str, Any], name: str, rows: int) -> np.ndarray:
    matrix = found.get(name)
    if matrix is None or matrix.ndim != 2 or matrix.shape[0] != rows or not matrix.shape[1]:
        shape = "missing" if matrix is None else f"of shape {matrix.shape}"
        raise DamageError(f"{name} is {shape}, expected {rows} rows")
    return np.asarray(matrix)


def archive(name: str, digest: str) -> File:
    """An archive of originals, known by its drawings: `name`.zip with the folder `name`."""

    def identify(content: bytes) -> str:
        return originals.digest(originals.read(content, name))

    return File(f"{name}.zip", ARCHIVE_BYTES, digest, identify=identify, packed=False)


REBUILT = DataSet(
    name="omniglot",
    files=(
        archive(
            "images_background", "ca2b5898a0b3967f98fdccbef2426fb6297a8899d765df2fef878b1fd2cede6b"
        ),
        archive(
            "images_evaluation", "c89b35c94f43e0b3c2da2916b07927af3ada7145335cfe053cf1c439b336ae81"
        ),
    ),
    mirrors=(
        "https://github.com/brendenlake/omniglot/raw/master/python",
        "https://raw.githubusercontent.com/brendenlake/omniglot/master/python",
    ),
    decode=rebuilt,
    counts=REBUILT_COUNTS,
    shape=(SIDE, SIDE),
)

OMNIGLOT = DataSet(
    name="omniglot",
    files=(
        File(
            "chardata.mat",
            MAT_BYTES,
            "016a3536ffe5e1d38e42563a18d7a78bfaf643ec",
            identify=git_blob,
            packed=False,
        ),
    ),
    mirrors=(
        "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT",
        "https://raw.githubusercontent.com/yburda/iwae/master/datasets/OMNIGLOT",
    ),
    decode=chardata,
    counts=COUNTS,
    shape=(SIDE, SIDE),
    instead=REBUILT,
)
