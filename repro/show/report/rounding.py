"""What rounded products change, as `benchmarks/precision.py` saved it, as a table for the page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import RecordError
from repro.plan.experiments.grid import VARIANTS
from repro.show.layout import Table
from repro.store import Store

PATTERN = "bench*/precision*.json"
REMEDY = "`python benchmarks/precision.py` saves one; or move the file away"
METRICS = {"L1_train": "L_1 of training images", "L1_test": "L_1", "LK_test": "L_K"}
COLUMNS = (
    *("model", "bound", "difference", "error", "sd of rounding", "sd over seeds"),
    *("pairs", "says"),
)


@dataclass(frozen=True)
class Rounding:
    """One saved comparison; `rounded` is the products' precision.

    table: rounded less float32 of each metric, mean over pairs of one seed, with the error that
    the pairs give; the standard deviation of one training by the order of its sums, and of float32
    over seeds; whether chance explains it. Nats per example.
    """

    file: str
    device: str
    torch: str
    commit: str | None
    profile: str
    rounded: str
    emulated: bool
    table: Table


def read(store: Store) -> tuple[Rounding, ...]:
    """Every saved comparison of a store, by name. Raises RecordError."""
    return tuple(_read(path, store.root) for path in sorted(store.root.glob(PATTERN)))


def _read(path: Path, root: Path) -> Rounding:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        names = ("device", "torch", "commit", "profile", "rounded", "emulated")
        own = {name: raw[name] for name in names}
        rows = tuple(map(_row, raw["differences"]))
        table = Table(f"Rounded products on {raw['device']}", "", COLUMNS, rows)
        return Rounding(path.relative_to(root).as_posix(), **own, table=table)
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise RecordError(f"{path}: no comparison of precisions ({e!r}): {REMEDY}") from e


def _row(raw: dict[str, Any]) -> tuple[str, ...]:
    errors = (f"{float(raw[name]):.3f}" for name in ("error", "rounding", "seeds"))
    return (
        *(VARIANTS[raw["variant"]].label, METRICS[raw["metric"]], f"{float(raw['mean']):+.3f}"),
        *(*errors, str(int(raw["pairs"])), "inside" if raw["inside"] else "outside"),
    )
