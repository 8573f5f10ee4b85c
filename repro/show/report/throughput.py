"""Benchmarks saved in a store, as rows for the page. What a file lacks was not measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import RecordError
from repro.show.report import rounding
from repro.store import Store

KEYS = ("device", "threads", "torch", "date", "commit", "reference")
PATTERNS = ("bench*.json", "bench*/*.json")
RATIOS = ("ratio_to_single", "ratio_to_matmul", "ratio_to_reference")
STEP = "step"  # the operation that a roofline is of
REMEDY = "save one with `repro bench --json > FILE`, or move the file away"


@dataclass(frozen=True)
class Arm:
    """One operation of one arm. Rates are a second; ratios are of times, lower is better.

    None was not measured, or does not exist: a whole grid has no single model beside it.
    """

    name: str
    operation: str
    milliseconds: float
    spread: float | None  # quartile distance over median
    model_steps: float | None
    images: float
    ratio_to_single: float | None
    ratio_to_matmul: float | None
    ratio_to_reference: float | None  # a lane against a lane of the benchmark's reference arm
    roofline: float | None  # share reached of the least time that a training step can take


@dataclass(frozen=True)
class Bench:
    """One saved benchmark; `absent`: arms without numbers, with the reason."""

    file: str
    device: str
    threads: int | None
    torch: str
    date: str
    commit: str | None
    precision: str | None
    reference: str
    method: str | None  # how it was measured, where that is not `repro bench`
    note: str | None
    arms: tuple[Arm, ...]
    absent: tuple[tuple[str, str], ...]

    @property
    def has_reference(self) -> bool:
        return any(arm.ratio_to_reference is not None for arm in self.arms)


def files(store: Store) -> list[Path]:
    """Every saved benchmark of a store, by name; comparisons of precisions are of another kind."""
    found = {path for pattern in PATTERNS for path in store.root.glob(pattern)}
    return sorted(found - set(store.root.glob(rounding.PATTERN)))


def bench_of(raw: Any, path: Path, root: Path) -> Bench:
    """What the file at `path`, below the store's `root`, was read to hold. Raises RecordError."""
    try:
        return Bench(
            file=path.relative_to(root).as_posix(),
            **{key: raw[key] for key in KEYS},
            **{key: raw.get(key) for key in ("precision", "method", "note")},
            arms=tuple(a for entry in raw["arms"] for a in _arms(entry)),
            absent=tuple(
                (entry["arm"], entry.get("absent") or f"failed: {entry.get('failed')}")
                for entry in raw["arms"]
                if "operations" not in entry
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise RecordError(f"{path}: not a benchmark ({e!r}): {REMEDY}") from e


def _arms(entry: dict[str, Any]) -> list[Arm]:
    return [
        Arm(
            name=entry["arm"],
            operation=name,
            milliseconds=1e3 * o["seconds"],
            images=float(o["images_per_s"]),
            model_steps=o.get("model_steps_per_s"),
            roofline=_number(entry.get("roofline", {}).get("fraction") if name == STEP else None),
            **{key: _number(o.get(key)) for key in ("spread", *RATIOS)},
        )
        for name, o in entry.get("operations", {}).items()
    ]


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
