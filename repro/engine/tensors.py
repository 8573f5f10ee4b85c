"""Files of tensors: safetensors, with strings beside them, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from repro.errors import RecordError
from repro.store import write_file


def write(path: Path, tensors: dict[str, Tensor], strings: dict[str, str]) -> None:
    """Raises MachineError."""
    write_file(path, save({n: _own(t) for n, t in tensors.items()}, strings))


def _own(value: Tensor) -> Tensor:
    """On the CPU, in storage of its own, as the file format asks for."""
    value = value.detach().cpu().contiguous()
    return value.clone() if value.untyped_storage().nbytes() > value.nbytes else value


def metadata(path: Path) -> dict[str, str]:
    """The strings. Raises RecordError."""
    try:
        with safetensors.safe_open(path, framework="pt") as f:
            return dict(f.metadata() or {})
    except (OSError, safetensors.SafetensorError) as e:
        raise RecordError(f"{path}: not readable ({e}): remove it and train again") from e


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors, on the CPU. Raises RecordError."""
    try:
        return load(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as e:
        raise RecordError(f"{path}: not readable ({e}): remove it and train again") from e
