"""Benchmarks, and what rounded products change, as a store holds them: tables for the page.

`repro bench --json` and `benchmarks/precision.py` save them. What a file lacks was not measured.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import RecordError
from repro.plan.experiments.grid import VARIANTS
from repro.show.layout import Table
from repro.store import Store

BENCHES = ("bench*.json", "bench*/*.json")
COMPARISONS = "bench*/precision*.json"
BY = "`python benchmarks/precision.py` saves one; or move the file away"
BY_BENCH = "save one with `repro bench --json > FILE`, or move the file away"
STEP = "step"  # the operation that a roofline is of
OPERATIONS = (
    "arm",
    "operation",
    "ms",
    "spread, %",
    "model steps/s",
    "images/s",
    "× single",
    "× products",
    "roofline, %",
    "memory, MB",
    "compiled in s",
)
DIFFERENCES = (
    "model",
    "bound",
    "difference",
    "error",
    "sd of rounding",
    "sd over seeds",
    "pairs",
    "says",
)
DAMAGED = (
    OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip
METRICS = {"L1_train": "L_1 of training images", "L1_test": "L_1", "LK_test": "L_K"}


@dataclass(frozen=True)
class Measured:
    """A saved file: what it says of itself, by its own keys, and its numbers.

    absent: arms of a benchmark without numbers, with the reason.
    """

    file: str
    said: dict[str, Any]
    table: Table
    absent: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def read(path: Path, what: str = "benchmark", by: str = BY_BENCH) -> Iterator[Any]:
    """What a file holds, while it is made use of. Raises RecordError where that is no `what`."""
    try:
        yield json.loads(path.read_text(encoding="utf-8"))
    except DAMAGED as e:
        raise RecordError(f"{path}: no {what} ({e!r}): {by}") from e


def benches(store: Store) -> list[Path]:
    """Every saved benchmark of a store, by name; comparisons of precisions are of another kind."""
    found = {path for pattern in BENCHES for path in store.root.glob(pattern)}
    return sorted(found - set(store.root.glob(COMPARISONS)))


def bench_of(raw: Any, file: str) -> Measured:
    """What a file of that name was read to hold: a row an operation of an arm.

    `reference` is the arm that lanes are held against, if any is.
    """
    said = {key: raw[key] for key in ("device", "threads", "torch", "date", "commit")}
    said |= {key: raw.get(key) for key in ("precision", "method", "note")}
    rows = [row for entry in raw["arms"] for row in _operations(entry)]
    said["reference"] = raw["reference"] if any(row[-1] for row in rows) else None
    columns = (*OPERATIONS, *([f"× {said['reference']}"] if said["reference"] else []))
    shown = tuple(row[: len(columns)] for row in rows)
    absent = tuple(
        (entry["arm"], entry.get("absent") or f"failed: {entry.get('failed')}")
        for entry in raw["arms"]
        if "operations" not in entry
    )
    table = Table(f"Throughput on {said['device']}", "", columns, shown)
    return Measured(file, said, table, absent)


def comparisons(store: Store) -> tuple[Measured, ...]:
    """Every saved comparison of precisions of a store, by name. Raises RecordError."""
    return tuple(_comparison(p, store.root) for p in sorted(store.root.glob(COMPARISONS)))


def _comparison(path: Path, root: Path) -> Measured:
    with read(path, "comparison of precisions", BY) as raw:
        names = ("device", "torch", "commit", "profile", "rounded", "emulated")
        said = {name: raw[name] for name in names}
        rows = tuple(map(_difference, raw["differences"]))
        table = Table(f"Rounded products on {said['device']}", "", DIFFERENCES, rows)
        return Measured(path.relative_to(root).as_posix(), said, table)


def _operations(entry: dict[str, Any]) -> list[tuple[str, ...]]:
    share = entry.get("roofline", {}).get("fraction")
    megabytes = _number(entry.get("memory_bytes"), 0, 1e-6)
    compiling = _number(entry.get("compile_seconds") or None, 0)
    return [
        (
            entry["arm"],
            name,
            _number(1e3 * o["seconds"], 1 if o["seconds"] >= 0.01 else 2),
            _number(o.get("spread"), 0, 100),
            _number(o.get("model_steps_per_s"), 1),
            _number(o["images_per_s"], 0),
            _number(o.get("ratio_to_single")),
            _number(o.get("ratio_to_matmul")),
            _number(share if name == STEP else None, 0, 100),
            megabytes,
            compiling,
            _number(o.get("ratio_to_reference"), 3),
        )
        for name, o in entry.get("operations", {}).items()
    ]


def _number(value: Any, digits: int = 2, times: float = 1) -> str:
    """Empty where it was not measured."""
    return "" if value is None else f"{times * float(value):,.{digits}f}"


def _difference(raw: dict[str, Any]) -> tuple[str, ...]:
    """Rounded less float32 of one metric, mean over pairs of one seed, nats per example.

    Beside the error that the pairs give, the standard deviations of one training by the order of
    its sums and of float32 over seeds, and whether chance explains it.
    """
    errors = (f"{float(raw[name]):.3f}" for name in ("error", "rounding", "seeds"))
    return (
        VARIANTS[raw["variant"]].label,
        METRICS[raw["metric"]],
        f"{float(raw['mean']):+.3f}",
        *errors,
        str(int(raw["pairs"])),
        "inside" if raw["inside"] else "outside",
    )
