"""Two saved benchmarks, ratio by ratio: absolute times say more of the machine than of the code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repro.errors import RecordError

TOLERANCE = 0.15
RATIOS = ("ratio_to_single", "ratio_to_matmul")  # of times: lower is better
CONDITIONS = ("device", "threads", "torch", "batch")
SAVE = "save one with `repro bench --json > FILE`"
Key = tuple[str, str, str]  # arm, operation, ratio


def load(path: Path) -> dict[str, Any]:
    """What `repro bench --json` printed into a file. Raises RecordError."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        ratios = dict(_ratios(found))
        for (arm, *_), value in ratios.items():
            if not value > 0:
                raise ValueError(f"a ratio of {arm} is not positive")
    except OSError as e:
        raise RecordError(f"{path}: cannot read ({e.strerror}): name a saved benchmark") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        problem = f"{type(e).__name__}: {e}"
        raise RecordError(f"{path}: not a benchmark ({problem}): {SAVE}") from e
    if not ratios:
        raise RecordError(
            f"{path}: a benchmark that holds neither {' nor '.join(RATIOS)}, which are compared:"
            " name one that `repro bench --json > FILE` saved"
        )
    return found


def compare(ours: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    """Every ratio of `ours` beside the same one of `saved`, what only one has ("arm, operation"),
    and conditions that differ: what `--json --compare` adds."""
    here, there = dict(_ratios(ours)), dict(_ratios(saved))
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


def _ratios(bench: dict[str, Any]) -> Iterator[tuple[Key, float]]:
    """Whole grids have no single model to be held against."""
    for entry in bench["arms"]:
        arm = str(entry["arm"])
        for operation, numbers in entry.get("operations", {}).items():
            for ratio in (ratio for ratio in RATIOS if ratio in numbers):
                yield (arm, operation, ratio), float(numbers[ratio])
