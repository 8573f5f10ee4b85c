"""A small OMNIGLOT: archives of drawings and a .mat file, right or wrong."""

import functools
import io
import itertools
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from repro.data import omniglot, originals
from repro.data.images import Bytes
from repro.data.omniglot import OMNIGLOT, REBUILT
from repro.data.sources import DataSet, File

TOPS = ("images_background", "images_evaluation")
ALPHABETS = {TOPS[0]: ("Greek", "Armenian"), TOPS[1]: ("Bengali",)}


def paper(seed: int) -> Bytes:
    """A drawing as [105, 105] of 1 (paper) and 0 (ink)."""
    return (np.random.default_rng(seed).random((105, 105)) < 0.9).astype(np.uint8)


def png(pixels: Bytes, mode: str = "1") -> bytes:
    out = io.BytesIO()
    Image.fromarray(255 * pixels).convert(mode).save(out, "PNG")
    return out.getvalue()


def name_of(top: str, alphabet: str, character: int, drawer: int) -> str:
    return f"{top}/{alphabet}/character{character:02}/{character:04}_{drawer:02}.png"


@functools.cache
def drawn(top: str) -> dict[str, bytes]:
    """The members of a right archive, in no particular order."""
    every = itertools.product(range(20, 0, -1), ALPHABETS[top], (1, 2))
    first = 1000 * TOPS.index(top)
    return {name_of(top, a, c, d): png(paper(first + i)) for i, (d, a, c) in enumerate(every)}


def packed(members: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive; a name may be there twice."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def archives() -> dict[str, bytes]:
    return {f"{top}.zip": packed(drawn(top).items()) for top in TOPS}


def mat(**changes: np.ndarray | None) -> bytes:
    """A file like `chardata.mat`; a change of None leaves the variable out."""
    from scipy.io import savemat

    rng = np.random.default_rng(3)
    content: dict[str, np.ndarray | None] = {}
    for prefix, count in (("", 5), ("test", 3)):
        content[f"{prefix}data"] = rng.random((784, count))
        content[f"{prefix}target"] = np.eye(50)[:, rng.integers(50, size=count)]
    out = io.BytesIO()
    savemat(out, {name: v for name, v in (content | changes).items() if v is not None})
    return b"MATLAB 5.0 MAT-file".ljust(116) + out.getvalue()[116:]  # without the time of day


def toy(mat_content: bytes | None = None, mirrors: tuple[str, ...] = ()) -> DataSet:
    """Both versions as small ones: the published files are those made here."""
    files = []
    for file, top in zip(REBUILT.files, TOPS, strict=True):
        drawings = originals.read(packed(drawn(top).items()), top)
        files.append(replace(file, digest=originals.digest(drawings)))
    rebuilt = replace(REBUILT, files=tuple(files), mirrors=mirrors)
    (file,) = OMNIGLOT.files
    published: File = replace(file, digest=omniglot.git_blob(mat_content or mat()))
    return replace(OMNIGLOT, files=(published,), mirrors=mirrors, instead=rebuilt)


def fill(folder: Path, contents: dict[str, bytes]) -> Path:
    """Write files into a data folder; returns the data set's own folder."""
    (folder / "omniglot").mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / "omniglot" / name).write_bytes(content)
    return folder / "omniglot"
