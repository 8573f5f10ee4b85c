"""The files of a record: sealed with checksums when written, verified when read."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from repro.errors import RecordError
from repro.store.files import unreadable

FINAL = "final.json"
PARTS = "run.json", "env.json"
DAMAGED_NPZ = (
    *(ValueError, OSError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n\Z')  # of all that is before it, and END
END = b"\n}\n"
RESTORE = (
    "restore the file (a published one: `git checkout -- results`), or remove the record and train"
    " again"
)
PLAIN = re.compile(r"[^./\\][^/\\]*")  # a file of a record, in its own folder
LARGEST_ARRAYS = 64 * 2**20  # bytes of one npz file, unpacked; a real one has less than 2 MiB

Arrays = dict[str, np.ndarray]


def final_of(folder: Path, content: bytes | None = None) -> dict[str, Any]:
    """What final.json says, verified where it holds its own checksum: older ones have none."""
    path = folder / FINAL
    content = read_bytes(path) if content is None else content
    if seal := SEAL.search(content):
        content = content[: seal.start()] + END
        if hashlib.sha256(content).hexdigest().encode() != seal[1]:
            raise RecordError(f"{path}: checksum differs from its content: {RESTORE}")
    final = json_of(path, content)
    sums = final.get("files")
    if list(final)[-1:] != ["files"] or not isinstance(sums, dict) or not sums.keys() >= {*PARTS}:
        raise RecordError(f"{path}: does not end with checksums: {RESTORE}")
    if strange := [name for name in sums if not PLAIN.fullmatch(name)]:
        raise RecordError(f"{path}: {strange[0]!r} is no file of a record: {RESTORE}")
    return final


def verified(path: Path, sums: dict[str, str]) -> bytes:
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != sums[path.name]:
        raise RecordError(f"{path}: checksum differs from {FINAL}: {RESTORE}")
    return content


def sealed(final: bytes) -> bytes:
    """A final.json that ends with the checksum of the rest."""
    digest = hashlib.sha256(final).hexdigest()
    return final.removesuffix(END) + f',\n "sha256": "{digest}"'.encode() + END


def dump(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def npz(content: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)  # type: ignore[arg-type]
    return buffer.getvalue()


def plain_npz(content: bytes) -> Arrays:
    """Arrays without pickles, and without what only unpacks to more than a record may hold."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST_ARRAYS:
        raise ValueError(f"{size} bytes unpacked, at most {LARGEST_ARRAYS} expected")
    with np.load(io.BytesIO(content), allow_pickle=False) as z:
        return {k: z[k] for k in z.files}


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise unreadable(path, e) from e


def json_of(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise RecordError(f"{path}: not JSON ({e}): {RESTORE}") from e
    if not isinstance(value, dict):
        raise RecordError(f"{path}: expected an object: {RESTORE}")
    return value
