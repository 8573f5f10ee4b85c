"""The 105x105 originals of OMNIGLOT: read from an archive, checked, scaled down to 28x28.

An archive is never extracted. Its members are read one by one into memory, each cut off at
MEMBER_BYTES, and their names only say what they are: a name that is no original's, or leaves
the archive's folder, is refused. Legend: N drawings.
"""

import functools
import hashlib
import io
import re
import zipfile
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from repro.data.images import Bytes
from repro.data.sources import DamageError
from repro.store.sealed import DAMAGED_NPZ

SIDE, SMALL = 105, 28
DRAWERS = 20
MEMBERS = 40_000  # of an archive, folders included; the larger one has 20,274
MEMBER_BYTES = 4096  # of a drawing's file; the largest has 522
NAME = re.compile(r"([^/\\]+)/character(\d\d)/\d{4}_(\d\d)\.png")
LITTER = ("__MACOSX/", ".DS_Store")  # what packers leave in an archive
BATCH = 2000  # drawings scaled at once
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Drawings(NamedTuple):
    """Drawings of an archive by alphabet, character, drawer.

    alphabets: their names, sorted. alphabet [N]: place in that list. character, drawer [N]: from 1.
    pixels [N, 105, 14]: the bits of each row, 1 = paper, 0 = ink.
    """

    alphabets: list[str]
    alphabet: Bytes
    character: Bytes
    drawer: Bytes
    pixels: Bytes

    def names(self) -> list[str]:
        """One for each drawing: alphabet/character/drawer."""
        columns = zip(self.alphabet, self.character, self.drawer, strict=True)
        return [f"{self.alphabets[a]}/{c}/{d}" for a, c, d in columns]


@functools.lru_cache(maxsize=2)  # an archive is decoded once to be verified and used
def read(content: bytes, top: str) -> Drawings:
    """The drawings of an archive whose folder is `top`.

    Raises DamageError for a name, size or image that is not an original's, a drawing that is
    there twice, and a character that was not drawn once by each of the 20 drawers.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = _members(archive, top)
            rows = [pixels(archive, info) for _, info in members]
        keys = [key for key, _ in members]
        _refuse_gaps(keys)
        alphabets = sorted({alphabet for alphabet, _, _ in keys})
        place = {name: i for i, name in enumerate(alphabets)}
        columns = [[place[a] for a, _, _ in keys], [c for _, c, _ in keys], [d for *_, d in keys]]
        alphabet, character, drawer = (np.array(c, np.uint8) for c in columns)
    except DAMAGED_NPZ as e:
        raise DamageError(f"truncated or damaged archive ({e})") from e
    return Drawings(alphabets, alphabet, character, drawer, np.stack(rows))


def digest(drawings: Drawings) -> str:
    """SHA-256 of what is drawn, whatever packed it: alphabets and numbers, then the pixels."""
    found = hashlib.sha256("\n".join(drawings.alphabets).encode())
    for column in drawings[1:]:
        found.update(np.ascontiguousarray(column).tobytes())
    return found.hexdigest()


def scaled(pixels: Bytes) -> Bytes:
    """28x28 grey values [N, 784] of drawings [N, 105, 14], row by row: ink covers 0..255.

    Area averaging, exact in integers: a small pixel is 3.75 x 3.75 large ones, so with weights in
    quarters of a large pixel its ink is a whole number of 225ths.
    """
    A = _quarters().astype(np.float32)  # its products stay whole numbers far below 2^24
    small = np.empty((len(pixels), SMALL, SMALL), np.uint8)
    for first in range(0, len(pixels), BATCH):
        paper = np.unpackbits(pixels[first : first + BATCH], axis=2, count=SIDE)
        ink = np.rint(A @ (1 - paper).astype(np.float32) @ A.T).astype(np.int32)
        small[first : first + BATCH] = (2 * 255 * ink + 225) // 450  # to the nearest; never a tie
    return small.reshape(len(pixels), -1)


def _quarters() -> np.ndarray:
    """[28, 105]: how many quarters of large pixel j lie in small pixel i."""
    i, j = np.arange(SMALL)[:, None], np.arange(SIDE)
    step = 4 * SIDE // SMALL  # 15
    overlap = np.minimum(4 * (j + 1), step * (i + 1)) - np.maximum(4 * j, step * i)
    quarters: np.ndarray = np.maximum(overlap, 0)
    return quarters


Key = tuple[str, int, int]


def _members(archive: zipfile.ZipFile, top: str) -> list[tuple[Key, zipfile.ZipInfo]]:
    """The drawings of an archive by alphabet, character and drawer, sorted."""
    infos = archive.infolist()
    if len(infos) > MEMBERS:
        raise DamageError(f"{len(infos)} members, more than the {MEMBERS} that are read")
    found: dict[Key, zipfile.ZipInfo] = {}
    for info in infos:
        key = _key(info, top)
        if key in found:
            raise DamageError(f"member {info.filename!r} is there twice")
        if key:
            found[key] = info
    return sorted(found.items(), key=lambda item: item[0])


def _key(info: zipfile.ZipInfo, top: str) -> Key | None:
    """Alphabet, character and drawer of a member; None for a folder. Raises DamageError."""
    name, path = info.filename, PurePosixPath(info.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise DamageError(f"member {name!r} would leave its folder")
    if info.is_dir() or name.startswith(LITTER[0]) or path.name == LITTER[1]:
        return None
    match = NAME.fullmatch(name.removeprefix(f"{top}/")) if name.startswith(f"{top}/") else None
    if match is None:
        raise DamageError(f"member {name!r} is no drawing: expected {top}/A/characterNN/ID_NN.png")
    if info.compress_type not in PACKED or info.flag_bits & 1:
        raise DamageError(f"member {name!r} is encrypted, or packed by an unusual method")
    if info.file_size > MEMBER_BYTES:
        raise DamageError(f"member {name!r} has {info.file_size} bytes, more than {MEMBER_BYTES}")
    return match[1], int(match[2]), int(match[3])


def _refuse_gaps(keys: list[Key]) -> None:
    """Each character by drawers 1 to 20. Raises DamageError naming the first that is not."""
    drawers: dict[tuple[str, int], list[int]] = {}
    for alphabet, character, drawer in keys:
        drawers.setdefault((alphabet, character), []).append(drawer)
    for (alphabet, character), found in drawers.items():
        if found != list(range(1, DRAWERS + 1)):
            where = f"{alphabet}, character {character}"
            raise DamageError(f"{where}: drawers {found}, expected 1 to {DRAWERS}")
    if not drawers:
        raise DamageError("holds no drawing")


def pixels(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Bytes:
    """The bits of one drawing, [105, 14]. Raises DamageError."""
    from PIL import Image

    with archive.open(info) as member:
        png = member.read(MEMBER_BYTES + 1)  # the size in the archive's index may be a lie
    if len(png) > MEMBER_BYTES:
        raise DamageError(f"member {info.filename!r} has more than {MEMBER_BYTES} bytes")
    try:
        image = Image.open(io.BytesIO(png), formats=("PNG",))
        if image.size != (SIDE, SIDE) or image.mode != "1":
            shape = f"{image.size[0]}x{image.size[1]} pixels of mode {image.mode}"
            raise DamageError(f"member {info.filename!r}: {shape}, expected 105x105 of mode 1")
        bits = np.frombuffer(image.tobytes(), np.uint8)  # raw: each row padded to whole bytes
    except (OSError, SyntaxError, ValueError, IndexError, Image.DecompressionBombError) as e:
        raise DamageError(f"member {info.filename!r}: no readable PNG ({e})") from e
    return bits.reshape(SIDE, -1)
