"""Two saved benchmarks, ratio by ratio: absolute times say more of the machine than of the code."""

import json
import math
from pathlib import Path
from typing import Any

from repro.errors import RecordError

TOLERANCE = 0.15
RATIOS = ("ratio_to_single", "ratio_to_matmul")  # of times: lower is better
CONDITIONS = ("device", "threads", "torch", "batch")
BEYOND = ArithmeticError, RecursionError  # what numbers and brackets without end raise
SAVE = "`repro bench --json > FILE` saves one"


def load(path: Path, chosen: list[str]) -> dict[str, Any]:
    """What `repro bench --json` printed into a file, of some of the chosen arms at least.

    Raises RecordError, also where the file holds none of them.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        ratios = ratios_of(found)
        if wrong := [arm for (arm, *_), value in ratios.items() if not 0 < value < math.inf]:
            raise ValueError(f"a ratio of {wrong[0]} is not a positive number")
    except OSError as e:
        raise RecordError(f"{path}: cannot read ({e.strerror}): name a saved benchmark") from e
    except (ValueError, LookupError, TypeError, AttributeError, *BEYOND) as e:
        raise RecordError(f"{path}: not a benchmark ({type(e).__name__}: {e}): {SAVE}") from e
    if not ratios:
        raise RecordError(f"{path}: a benchmark that holds neither {' nor '.join(RATIOS)}: {SAVE}")
    if {arm for arm, *_ in ratios}.isdisjoint(chosen):
        raise RecordError(f"no ratio to compare: {path} has no arm chosen here: choose its --arms")
    return found


def compare(ours: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    """Every ratio of `ours` beside the same one of `saved`, what only one has ("arm, operation"),
    and conditions that differ: what `--json --compare` adds."""
    here, there = ratios_of(ours), ratios_of(saved)
    changes = [
        {"arm": arm, "operation": operation, "ratio": ratio, "ours": new, "saved": old,
         "worse": new > old * (1 + TOLERANCE)}
        for (arm, operation, ratio), new in here.items()
        if (old := there.get((arm, operation, ratio)))
    ]  # fmt: skip
    found = {name: (saved.get(name), ours.get(name)) for name in CONDITIONS}
    return {
        "changes": changes,
        "only_ours": sorted({f"{arm}, {name}" for arm, name, _ in here.keys() - there.keys()}),
        "only_saved": sorted({f"{arm}, {name}" for arm, name, _ in there.keys() - here.keys()}),
        "conditions": [f"{n}: {old} -> {new}" for n, (old, new) in found.items() if old != new],
    }


def ratios_of(bench: dict[str, Any]) -> dict[tuple[str, str, str], float]:
    """By arm, operation and ratio; whole grids have no single model to be held against."""
    operations = {entry["arm"]: entry.get("operations", {}) for entry in bench["arms"]}
    return {
        (arm, operation, ratio): float(numbers[ratio])
        for arm, measured in operations.items()
        for operation, numbers in measured.items()
        for ratio in RATIOS
        if ratio in numbers
    }
