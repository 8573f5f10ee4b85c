"""Two saved benchmarks, ratio by ratio: absolute times say more of the machine than of the code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.errors import RecordError

TOLERANCE = 0.15
PRODUCTS, SINGLE = "ratio_to_matmul", "ratio_to_single"  # of times: lower is better
CONDITIONS = ("device", "threads", "torch", "batch")

Key = tuple[str, str, str]  # arm, operation, ratio


@dataclass(frozen=True)
class Change:
    """One ratio of one operation, in both benchmarks."""

    arm: str
    operation: str
    ratio: str
    ours: float
    saved: float

    @property
    def worse(self) -> bool:
        return self.ours > self.saved * (1 + TOLERANCE)

    def __str__(self) -> str:
        change = 100 * (self.ours / self.saved - 1)
        where = f"{self.arm}, {self.operation}: {self.ratio}"
        return f"{where} {self.saved:.3g} -> {self.ours:.3g} ({change:+.0f}%)"


@dataclass(frozen=True)
class Comparison:
    """What both have, what only one has ("arm, operation"), and conditions that differ."""

    changes: list[Change]
    only_ours: list[str]
    only_saved: list[str]
    conditions: list[str]

    @property
    def worse(self) -> list[Change]:
        return [c for c in self.changes if c.worse]


def load(path: Path) -> dict[str, Any]:
    """What `repro bench --json` printed into a file. Raises RecordError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        ratios = dict(_ratios(content))
        for (arm, *_), value in ratios.items():
            if not value > 0:
                raise ValueError(f"a ratio of {arm} is not positive")
    except OSError as e:
        raise RecordError(f"{path}: cannot read ({e.strerror}): name a saved benchmark") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        problem = f"{type(e).__name__}: {e}"
        raise RecordError(
            f"{path}: not a benchmark ({problem}): save one with `repro bench --json > FILE`"
        ) from e
    if not ratios:
        raise RecordError(
            f"{path}: a benchmark that holds neither {SINGLE} nor {PRODUCTS}, which are compared:"
            " name one that `repro bench --json > FILE` saved"
        )
    found: dict[str, Any] = content
    return found


def compare(ours: dict[str, Any], saved: dict[str, Any]) -> Comparison:
    """Hold every ratio of `ours` against the same one of `saved`."""
    here, there = dict(_ratios(ours)), dict(_ratios(saved))
    changes = [Change(*key, value, there[key]) for key, value in here.items() if key in there]
    conditions = [
        f"{name}: {saved.get(name)} -> {ours.get(name)}"
        for name in CONDITIONS
        if saved.get(name) != ours.get(name)
    ]
    return Comparison(changes, _without(here, there), _without(there, here), conditions)


def _ratios(bench: dict[str, Any]) -> Iterator[tuple[Key, float]]:
    for entry in bench["arms"]:
        arm = str(entry["arm"])
        for operation, numbers in entry.get("operations", {}).items():
            for ratio, value in _ratios_of(numbers).items():
                yield (arm, operation, ratio), value


def _ratios_of(operation: dict[str, Any]) -> dict[str, float]:
    """Whole grids and Ladder networks have no single model to be held against."""
    return {name: float(operation[name]) for name in (SINGLE, PRODUCTS) if name in operation}


def _without(one: dict[Key, float], other: dict[Key, float]) -> list[str]:
    missing = (f"{arm}, {operation}" for arm, operation, ratio in one.keys() - other.keys())
    return sorted(set(missing))
