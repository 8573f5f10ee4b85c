"""Files of tensors: safetensors, with strings beside them, under a checksum of all bytes.

The checksum is the SHA-256 of the file with zeros in its own place. It is one of the file's
strings, so that the file stays one and is replaced at once. Older versions wrote none.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from repro.errors import RecordError
from repro.store.files import write_file
from repro.store.sealed import read_bytes

KEY, BLANK = "sha256", b"0" * 64
LENGTH = 8  # bytes that say how long the header is
SEAL = re.compile(rb'"%s":"([0-9a-f]{64})"' % KEY.encode())  # in a value its quotes would be \"
REMEDY = "remove it and train again (weights: with their record; published: restore both from git)"


def write(path: Path, tensors: Mapping[str, Tensor], strings: Mapping[str, str]) -> None:
    """Whole or not at all. Raises MachineError."""
    blank = save({n: _own(t) for n, t in tensors.items()}, {**strings, KEY: BLANK.decode()})
    at, _ = _seal(blank)
    parts = memoryview(blank)[:at], _digest(blank, at), memoryview(blank)[at + len(BLANK) :]
    write_file(path, b"".join(parts))


def metadata(path: Path) -> dict[str, str]:
    """The strings; all bytes are verified. Raises RecordError."""
    return _verified(path)[0]


def read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Strings and tensors of one and the same file, on the CPU. Raises RecordError."""
    strings, content = _verified(path)
    try:
        # The file's buffers start anywhere; a product of tensors aligned otherwise may round
        # otherwise.
        return strings, {name: value.clone() for name, value in load(content).items()}
    except (ValueError, TypeError, KeyError, safetensors.SafetensorError) as e:
        raise RecordError(f"{path}: not readable ({e}): {REMEDY}") from e


def _verified(path: Path) -> tuple[dict[str, str], bytes]:
    content = read_bytes(path)
    try:
        strings = dict(json.loads(content[LENGTH : _end(content)]).get("__metadata__", {}))
    except (ValueError, TypeError, AttributeError, RecursionError) as e:
        raise RecordError(f"{path}: not readable ({e}): {REMEDY}") from e
    sealed = strings.pop(KEY, None) is not None
    at, digest = _seal(content)
    # Older versions wrote one string: where there are more, a checksum belongs to them.
    if (sealed or len(strings) > 1) and not (at and _digest(content, at) == digest):
        raise RecordError(f"{path}: damaged, its checksum differs: {REMEDY}")
    return strings, content


def _own(value: Tensor) -> Tensor:
    """On the CPU, in storage of its own, as the file format asks for."""
    value = value.detach().cpu().contiguous()
    return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value


def _end(content: bytes) -> int:
    return LENGTH + int.from_bytes(content[:LENGTH], "little")


def _seal(content: bytes) -> tuple[int, bytes]:
    """Where the checksum stands, and what it is; 0 where there is none."""
    found = SEAL.search(content, LENGTH, _end(content))
    return (found.start(1), found[1]) if found else (0, b"")


def _digest(content: bytes, at: int) -> bytes:
    whole = memoryview(content)
    found = hashlib.sha256(whole[:at])
    found.update(BLANK)
    found.update(whole[at + len(BLANK) :])
    return found.hexdigest().encode()
