"""Files of images that a user gives: arrays of numpy, or tables of text."""

import contextlib
from collections.abc import Iterator
from errno import EACCES
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.errors import ParserError

from repro.errors import DataError
from repro.store.files import READING
from repro.store.sealed import DAMAGED_NPZ

MAGIC = (b"\x93NUMPY", b"PK")  # of .npy and .npz, whatever their names
SEPARATORS = {".csv": ",", ".amat": r"\s+"}
FORMATS = "give .npy (np.save), .npz (np.savez), .csv or .amat"
EQUAL = "give all rows as many numbers, none empty or NaN, and quotes in pairs"


def read_images(path: Path) -> np.ndarray:
    """The one array of a .npy or .npz, or the numbers of a .csv or .amat, a row an image.

    A first line of names is left out, or of numbers of columns, as pandas writes them. Text has no
    types: where all numbers are whole, they are integers. Raises DataError.
    """
    with _blaming(path):
        if path.is_fifo():
            raise DataError(f"{path}: a pipe, which can be read only once: save it to a file")
        with path.open("rb") as f:
            begin = f.read(len(MAGIC[0]))
        separator = SEPARATORS.get(path.suffix.lower())
        if begin.startswith(MAGIC) or separator is None:
            return _arrays(path, begin)
        return _table(path, separator)


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        remedy = READING[EACCES] if isinstance(e, PermissionError) else "name a file of images"
        raise DataError(f"{path}: cannot read ({e.strerror or e}): {remedy}") from e
    except DAMAGED_NPZ as e:
        why = " ".join(str(e).split()) or type(e).__name__
        remedy = EQUAL if isinstance(e, ParserError) else FORMATS
        raise DataError(f"{path}: no plain array ({why}): {remedy}") from e


def _arrays(path: Path, begin: bytes) -> np.ndarray:
    """What numpy saved. Raises DAMAGED_NPZ for anything else."""
    if not begin.startswith(MAGIC):
        raise ValueError(f"begins with {begin!r}" if begin else "empty")
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if len(loaded.files) != 1:
            names = f"several arrays ({', '.join(loaded.files)})" if loaded.files else "no array"
            raise DataError(f"{path}: {names}: save the images alone")
        array = loaded[loaded.files[0]]
        if not isinstance(array, np.ndarray):  # bytes of a file that is no .npy
            raise ValueError(f"{loaded.files[0]} in it is none")
        return array


def _table(path: Path, separator: str) -> np.ndarray:
    """[N, X]. Raises ValueError where a cell is no number, its ParserError for unequal rows."""
    with path.open(encoding="utf-8-sig") as f:
        first = f.readline().replace(",", " ").replace('"', "").split()
    skipped = int(_are_names(first))
    table = pd.read_csv(path, sep=separator, header=None, skiprows=skipped, encoding="utf-8-sig")
    for place, kind in enumerate(table.dtypes, start=1):
        if kind.kind not in "biuf":
            raise ValueError(f"column {place} holds what is no number")
    numbers = table.to_numpy(float)
    if (short := table.isna().any(axis=1)).any():
        raise ParserError(f"image {short.argmax() + 1} lacks numbers")
    with np.errstate(invalid="ignore"):
        integers = numbers.astype(np.int64)
    return integers if (integers == numbers).all() else numbers


def _are_names(words: list[str]) -> bool:
    """Of columns, whose first is 0 where pandas numbers them: past 255 that is no image."""
    numbers = words == [str(i) for i in range(len(words))] and len(words) > 256
    return bool(words) and (numbers or not any(map(_is_value, words)))


def _is_value(word: str) -> bool:
    if word.lower() in ("true", "false"):
        return True
    try:
        float(word)
    except ValueError:
        return False
    return True
