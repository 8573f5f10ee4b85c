"""Benchmarks that `repro bench --json` left in a store, as rows for the page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import RecordError
from repro.store import Store

PATTERNS = ("bench*.json", "bench*/*.json")
REMEDY = "save one with `repro bench --json > FILE`, or move the file away"


@dataclass(frozen=True)
class Arm:
    """One operation of one arm. Rates are a second; ratios are of times, lower is better."""

    name: str
    operation: str
    milliseconds: float
    spread: float  # quartile distance over median
    model_steps: float | None
    images: float
    ratio_to_single: float
    ratio_to_matmul: float


@dataclass(frozen=True)
class Bench:
    """One saved benchmark; `absent`: arms without numbers, with the reason."""

    file: str
    device: str
    threads: int
    torch: str
    date: str
    commit: str | None
    arms: tuple[Arm, ...]
    absent: tuple[tuple[str, str], ...]


def files(store: Store) -> list[Path]:
    """Every saved benchmark of a store, by name."""
    return sorted({path for pattern in PATTERNS for path in store.root.glob(pattern)})


def read(path: Path, name: str) -> Bench:
    """One file. Raises RecordError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Bench(
            file=name,
            **{key: raw[key] for key in ("device", "threads", "torch", "date", "commit")},
            arms=tuple(a for entry in raw["arms"] for a in _arms(entry)),
            absent=tuple(
                (entry["arm"], entry.get("absent") or f"failed: {entry.get('failed')}")
                for entry in raw["arms"]
                if "operations" not in entry
            ),
        )
    except (OSError, ValueError) as e:
        raise RecordError(f"{path}: {e}: {REMEDY}") from e
    except (KeyError, TypeError, AttributeError) as e:
        raise RecordError(f"{path}: not a benchmark ({e!r}): {REMEDY}") from e


def _arms(entry: dict[str, Any]) -> list[Arm]:
    return [
        Arm(
            name=entry["arm"],
            operation=name,
            milliseconds=1e3 * o["seconds"],
            spread=float(o["spread"]),
            model_steps=o.get("model_steps_per_s"),
            images=float(o["images_per_s"]),
            ratio_to_single=float(o["ratio_to_single"]),
            ratio_to_matmul=float(o["ratio_to_matmul"]),
        )
        for name, o in entry.get("operations", {}).items()
    ]
