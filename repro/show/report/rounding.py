"""What rounded products change, as `benchmarks/precision.py` saved it, in rows for the page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import RecordError
from repro.plan.experiments.grid import VARIANTS
from repro.store import Store

PATTERN = "bench*/precision*.json"
REMEDY = "`python benchmarks/precision.py` saves one; or move the file away"
METRICS = {"L1_train": "L_1 of training images", "L1_test": "L_1", "LK_test": "L_K"}


@dataclass(frozen=True)
class Shift:
    """Rounded less float32 of one metric, mean over pairs of one seed; nats per example.

    error: of the mean, from the pairs. rounding, seeds: standard deviation of one training by the
    order of its sums, and of float32 over seeds. inside: chance explains it.
    """

    label: str
    metric: str
    mean: float
    error: float
    rounding: float
    seeds: float
    pairs: int
    inside: bool


@dataclass(frozen=True)
class Rounding:
    """One saved comparison; `rounded` is the products' precision."""

    file: str
    device: str
    torch: str
    commit: str | None
    profile: str
    rounded: str
    emulated: bool
    shifts: tuple[Shift, ...]


def read(store: Store) -> tuple[Rounding, ...]:
    """Every saved comparison of a store, by name. Raises RecordError."""
    return tuple(_read(path, store.root) for path in sorted(store.root.glob(PATTERN)))


def _read(path: Path, root: Path) -> Rounding:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        names = ("device", "torch", "commit", "profile", "rounded", "emulated")
        shifts = tuple(map(_shift, raw["differences"]))
        own = {name: raw[name] for name in names}
        return Rounding(path.relative_to(root).as_posix(), **own, shifts=shifts)
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise RecordError(f"{path}: no comparison of precisions ({e!r}): {REMEDY}") from e


def _shift(raw: dict[str, Any]) -> Shift:
    numbers: dict[str, Any] = {
        name: float(raw[name]) for name in ("mean", "error", "rounding", "seeds")
    }
    said = VARIANTS[raw["variant"]].label, METRICS[raw["metric"]]
    return Shift(*said, **numbers, pairs=int(raw["pairs"]), inside=bool(raw["inside"]))
