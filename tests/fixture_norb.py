"""A small data set in small NORB's format, in memory and on disk."""

import functools
import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from repro import data
from repro.data import norb
from repro.data.images import Images
from repro.data.sources import DataSet
from repro.plan.run import Data

TRAIN, TEST = 7, 5
NAMES = tuple(file.name for file in norb.NORB.files)
TRAIN_DAT, TRAIN_CAT, TEST_DAT, TEST_CAT = NAMES


def small(mirrors: tuple[str, ...] = (), train: int = TRAIN, test: int = TEST) -> DataSet:
    return norb.data_set(train, test, mirrors)


def pairs(n: int, seed: int) -> np.ndarray:
    """Stereo pairs of smooth images, bytes [n, 2, 96, 96]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    at = rng.uniform(-0.5, 0.5, (2, n, 2, 1, 1))
    blob = np.exp(-4 * ((x - at[0]) ** 2 + (y - at[1]) ** 2))
    return (40 + 200 * blob).astype(np.uint8)


@functools.cache
def contents(train: int = TRAIN, test: int = TEST) -> dict[str, bytes]:
    """Content of the four files, written from the format's description."""
    made = {}
    for seed, (n, dat, cat) in enumerate(((train, *NAMES[:2]), (test, *NAMES[2:]))):
        classes = np.random.default_rng(seed).integers(0, 5, n).astype("<i4")
        sizes = n.to_bytes(4, "little")
        four, one = (k.to_bytes(4, "little") for k in (4, 1))
        pair = b"".join(k.to_bytes(4, "little") for k in (2, 96, 96))
        images = b"\x55\x4c\x3d\x1e" + four + sizes + pair + pairs(n, seed).tobytes()
        made[dat] = images
        made[cat] = b"\x54\x4c\x3d\x1e" + one + sizes + one + one + classes.tobytes()
    return made


def fill(folder: Path, made: Mapping[str, bytes] | None = None, suffix: str = ".gz") -> Path:
    """Write the files into a data folder; returns the data set's own folder."""
    own = folder / "norb"
    own.mkdir(parents=True, exist_ok=True)
    for name, content in (made or contents()).items():
        packed = gzip.compress(content, 1) if suffix else content
        (own / f"{name}{suffix}").write_bytes(packed)
    return own


SMALL = small()


def load(folder: Path, options: Data | None = None) -> Images:
    return data.load_set(SMALL, folder, options)
