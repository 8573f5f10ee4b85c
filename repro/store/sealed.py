"""The files of a record: listed with their checksums when written, verified when read."""

import hashlib
import io
import json
import lzma
import re
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from repro.errors import RecordError
from repro.store.files import is_file, unreadable

SUMS, FINAL = "SHA256SUMS", "final.json"
PARTS = "run.json", "env.json", FINAL  # what every record has
DAMAGED_NPZ = (  # what a damaged archive or array makes the libraries raise
    ValueError,
    OSError,
    KeyError,
    EOFError,
    MemoryError,
    RuntimeError,
    TypeError,
    SyntaxError,
    OverflowError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
LINE = re.compile(r"([0-9a-f]{64})  (.+)\n")  # as `sha256sum` writes and checks it
AGAIN, OVER = re.compile(r"rescored([0-9]*)\.json"), re.compile(r"rescored[0-9]*_")
SEALS = "files", "sha256"  # what older versions put into final.json
SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n\Z')  # of all that is before it, and END
END = b"\n}\n"
RESTORE = (
    "restore the file (a published one: `git checkout -- results`), or remove the record and train"
    " again"
)
PLAIN = re.compile(r"[^./\\][^/\\]*")  # a file of a record, in its own folder
ACTIVE_NATS = 0.01  # a unit whose KL term is above this is active, Fig. 4
PCA_STEPS = 511  # `pca` holds projections in so many steps, finer than a printed dot
LARGEST_ARRAYS = 64 * 2**20  # bytes of one npz file, unpacked; a real one has less than 2 MiB

Arrays = dict[str, np.ndarray]


def sums_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of a record, by name. Raises RecordError.

    SHA256SUMS says what belongs to the record; before there was one, final.json did.
    """
    path = folder / SUMS
    if is_file(path):
        sums = _listed(path, read_bytes(path).decode(errors="replace"))
    else:
        path = folder / FINAL
        sums = _sealed(path, read_bytes(path))
    if strange := [name for name in sums if not PLAIN.fullmatch(name)]:
        raise RecordError(f"{path}: {strange[0]!r} is no file of a record: {RESTORE}")
    return sums


def parts_of(folder: Path, sums: dict[str, str]) -> list[dict[str, Any]]:
    """What PARTS say, and over it the last rescoring. Raises RecordError."""
    run, env, final = (json_of(folder / n, verified(folder / n, sums)) for n in PARTS)
    final = {n: value for n, value in final.items() if n not in SEALS}
    if number := rescorings(sums):
        path = folder / f"{rescored(number)}.json"
        again = json_of(path, verified(path, sums))
        env, final = {**env, "evaluated_again": again.pop("env", {})}, {**final, **again}
    return [run, env, final]


def rescoring(
    sums: dict[str, str], measured: dict[str, Any], arrays: dict[str, Arrays]
) -> dict[str, bytes]:
    """The files of one more rescoring; arrays that came out the same need none."""
    name = rescored(rescorings(sums) + 1)
    files = {f"{name}.json": dump(measured)}
    for file, content in ((f"{n}.npz", npz(a)) for n, a in arrays.items()):
        if sums.get(latest(sums, file)) != digest(content):
            files[f"{name}_{file}"] = content
    return files


def listing(sums: dict[str, str]) -> bytes:
    """SHA256SUMS. What every record has comes last: a list that was cut off lacks it."""
    names = [*(n for n in sums if n not in PARTS), *PARTS]
    return "".join(f"{sums[name]}  {name}\n" for name in names).encode()


def _listed(path: Path, text: str) -> dict[str, str]:
    lines = [LINE.fullmatch(line) for line in text.splitlines(keepends=True)]
    sums = {line[2]: line[1] for line in lines if line}
    if None in lines or not sums.keys() >= {*PARTS}:
        raise RecordError(f"{path}: is not a whole list of checksums: {RESTORE}")
    return sums


def _sealed(path: Path, content: bytes) -> dict[str, str]:
    """Of a final.json that ends with checksums and, but for the oldest, with its own."""
    body = content
    if seal := SEAL.search(content):
        body = content[: seal.start()] + END
        if digest(body).encode() != seal[1]:
            raise RecordError(f"{path}: checksum differs from its content: {RESTORE}")
    final = json_of(path, body)
    sums = final.get("files")
    if list(final)[-1:] != ["files"] or not isinstance(sums, dict):
        raise RecordError(
            f"{path}: does not end with checksums, and no {SUMS} is beside it: {RESTORE}"
        )
    sums = {**sums, FINAL: digest(content)}
    if not sums.keys() >= {*PARTS}:
        raise RecordError(f"{path}: does not end with checksums of a record: {RESTORE}")
    return sums


def rescorings(sums: dict[str, str]) -> int:
    """How often a record was scored again."""
    return max((int(m[1] or 1) for m in map(AGAIN.fullmatch, sums) if m), default=0)


def rescored(number: int) -> str:
    """What the names of files of the n-th rescoring begin with."""
    return f"rescored{number if number > 1 else ''}"


def latest(sums: dict[str, str], name: str) -> str:
    """The file with what was measured last of what the file `name` holds."""
    again = (f"{rescored(n)}_{name}" for n in range(rescorings(sums), 0, -1))
    return next((n for n in again if n in sums), name)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: digest(content) for name, content in files.items()}


def verified(path: Path, sums: dict[str, str]) -> bytes:
    content = read_bytes(path)
    if digest(content) != sums[path.name]:
        raise RecordError(f"{path}: checksum differs from the record's: {RESTORE}")
    return content


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
