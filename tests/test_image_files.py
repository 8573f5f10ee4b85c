"""Files of images that `repro score` reads, and what it says of the others."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixture_data import refused
from PIL import Image

from repro.cli.shared.images import read_images
from repro.errors import DataError

GREY = np.arange(5 * 19, dtype=np.uint8).reshape(5, 19)
BITS = GREY % 2
SHARES = GREY / 256
WIDE = np.zeros((2, 784), np.uint8)
NUMBERED = ",".join(map(str, range(784)))
PANDAS = pd.DataFrame(BITS).add_prefix("p").to_csv(index=False).encode()
NAMED = {"fmt": "%d", "comments": ""}  # columns with a header


def written(save: Callable[..., object], *given: object, **named: object) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *given, **named)
    return buffer.getvalue()


def text(array: np.ndarray, separator: str = ",", **options: object) -> bytes:
    return written(np.savetxt, array, delimiter=separator, **options)


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        z.writestr(name, content)
    return buffer.getvalue()


READ = {
    "npy": ("x.npy", written(np.save, GREY), GREY),
    "npy of another name": ("x.dat", written(np.save, GREY), GREY),
    "npz": ("x.npz", written(np.savez, images=GREY), GREY),
    "packed npz": ("x.npz", written(np.savez_compressed, GREY), GREY),
    "csv": ("x.csv", text(GREY, fmt="%d"), GREY),
    "csv of whole floats": ("x.csv", text(GREY), GREY),
    "csv of real values": ("x.CSV", text(SHARES), SHARES),
    "csv with names": ("x.csv", text(GREY, header="a,b", **NAMED), GREY),
    "csv of pandas": ("x.csv", PANDAS, BITS),
    "csv with numbered columns": ("x.csv", text(WIDE, header=NUMBERED, **NAMED), WIDE),
    "csv of booleans": ("x.csv", text(BITS.astype(bool), fmt="%s"), BITS),
    "csv with a mark": ("x.csv", b"\xef\xbb\xbf" + text(BITS, fmt="%d"), BITS),
    "csv in quotes": ("x.csv", b'"1","0"\n"0","1"\n', np.eye(2)),
    "amat": ("x.amat", text(BITS, " "), BITS),
    "amat of real values": ("x.amat", text(SHARES, "  "), SHARES),
}


@pytest.mark.parametrize(("name", "content", "expected"), READ.values(), ids=READ)
def test_images_are_read(tmp_path: Path, name: str, content: bytes, expected) -> None:
    (tmp_path / name).write_bytes(content)
    found = read_images(tmp_path / name)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype.kind == ("f" if expected is SHARES else "iu"[found.dtype == np.uint8])


PNG = written(Image.fromarray(GREY).save, "PNG")
PICKLED = written(np.save, np.array([{"a": 1}], dtype=object), allow_pickle=True)
NOT_READ = {
    "none": ("x.npy", None, "cannot read"),
    "nonsense": ("x.npy", b"nonsense", "no plain array"),
    "empty": ("x.npy", b"", "empty"),
    "cut off": ("x.npy", b"\x93NUMPY\x01\x00", "no plain array"),
    "cut off zip": ("x.npz", written(np.savez, GREY)[:-40], "no plain array"),
    "damaged zip": ("x.npz", written(np.savez, GREY).replace(b"\x10\x11", b"\x11\x11"), "CRC"),
    "pickled": ("x.npy", PICKLED, "np.save"),
    "pickled in npz": ("x.npz", written(np.savez, a=np.array([{}])), "np.save"),
    "several": ("x.npz", written(np.savez, a=GREY, b=GREY), "several arrays (a, b)"),
    "a table in a zip": ("x.zip", archive("x.csv", b"1,0\n"), "x.csv in it is none"),
    "nonsense in npz": ("x.npz", archive("a.npy", b"nonsense"), "a in it is none"),
    "no array": ("x.npz", written(np.savez), "(none)"),
    "png": ("x.png", PNG, "PNG"),
    "png called csv": ("x.csv", PNG, "no plain array"),
    "empty csv": ("x.csv", b"", "no plain array"),
    "a letter among the first numbers": ("x.csv", b"0,O,1\n0,1,1\n", "column 2 holds what"),
    "words": ("x.csv", b"1,2\n3,word\n", "column 2 holds what is no number"),
    "semicolons": ("x.csv", b"1;2\n3;4\n", "column 1"),
    "unequal rows": ("x.amat", b"1 0\n1 0 1\n", "no plain array"),
}


@pytest.mark.parametrize(("name", "content", "said"), NOT_READ.values(), ids=NOT_READ)
def test_other_files_are_refused_with_the_formats_that_are_read(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    several = said.startswith(("several", "(none"))
    with refused(DataError, str(path), said, "alone" if several else ".npz (np.savez), .csv"):
        read_images(path)
