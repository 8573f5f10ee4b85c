"""Benchmarks saved in a store, as tables for the page. What a file lacks was not measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import RecordError
from repro.show.layout import Table
from repro.show.report import rounding
from repro.store import Store

KEYS = ("device", "threads", "torch", "date", "commit")
PATTERNS = ("bench*.json", "bench*/*.json")
STEP = "step"  # the operation that a roofline is of
REMEDY = "save one with `repro bench --json > FILE`, or move the file away"
COLUMNS = (
    *("arm", "operation", "ms", "spread, %", "model steps/s", "images/s", "× single"),
    *("× products", "roofline, %"),
)


@dataclass(frozen=True)
class Bench:
    """One saved benchmark; `absent`: arms without numbers, with the reason.

    table: a row an operation of an arm. reference: the arm that lanes are held against, if any is.
    """

    file: str
    device: str
    threads: int | None
    torch: str
    date: str
    commit: str | None
    precision: str | None
    method: str | None  # how it was measured, where that is not `repro bench`
    note: str | None
    reference: str | None
    table: Table
    absent: tuple[tuple[str, str], ...]


def files(store: Store) -> list[Path]:
    """Every saved benchmark of a store, by name; comparisons of precisions are of another kind."""
    found = {path for pattern in PATTERNS for path in store.root.glob(pattern)}
    return sorted(found - set(store.root.glob(rounding.PATTERN)))


def bench_of(raw: Any, path: Path, root: Path) -> Bench:
    """What the file at `path`, below the store's `root`, was read to hold. Raises RecordError."""
    try:
        rows = [row for entry in raw["arms"] for row in _rows(entry)]
        reference = raw["reference"] if any(row[-1] for row in rows) else None
        columns = (*COLUMNS, *([f"× {reference}"] if reference else []))
        shown = tuple(row[: len(columns)] for row in rows)
        return Bench(
            file=path.relative_to(root).as_posix(),
            **{key: raw[key] for key in KEYS},
            **{key: raw.get(key) for key in ("precision", "method", "note")},
            reference=reference,
            table=Table(f"Throughput on {raw['device']}", "", columns, shown),
            absent=tuple(
                (entry["arm"], entry.get("absent") or f"failed: {entry.get('failed')}")
                for entry in raw["arms"]
                if "operations" not in entry
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise RecordError(f"{path}: not a benchmark ({e!r}): {REMEDY}") from e


def _rows(entry: dict[str, Any]) -> list[tuple[str, ...]]:
    share = entry.get("roofline", {}).get("fraction")
    return [
        (
            *(entry["arm"], name, _number(1e3 * o["seconds"], 1 if o["seconds"] >= 0.01 else 2)),
            *(_number(o.get("spread"), 0, 100), _number(o.get("model_steps_per_s"), 1)),
            *(_number(o["images_per_s"], 0), _number(o.get("ratio_to_single"))),
            *(_number(o.get("ratio_to_matmul")), _number(share if name == STEP else None, 0, 100)),
            _number(o.get("ratio_to_reference"), 3),
        )
        for name, o in entry.get("operations", {}).items()
    ]


def _number(value: Any, digits: int = 2, times: int = 1) -> str:
    """Empty where it was not measured."""
    return "" if value is None else f"{times * float(value):,.{digits}f}"
