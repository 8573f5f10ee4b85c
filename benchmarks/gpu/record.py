"""best.json of a drill as a benchmark that the report and `repro/show/rates.py` read.

python benchmarks/gpu/record.py best.json > results/bench/NAME.json, in the project's root. What the
drill does not measure (spread, memory, matrix products alone) the record does not have.
"""

import argparse
import json
from pathlib import Path

from repro.bench.arms import known_arms
from repro.bench.products import FORMULA
from repro.plan.run import Optim

METHOD = (
    "Means of all steps in 2.5 s or more, minibatches made as in training, one arm at a time;"
    " the first blocks, which compile, are not counted."
)
REFERENCE = "eager K=3"
NAMES = {
    "eager": REFERENCE, "compiled": "compiled K=3", "captured1": "captured K=1",
    "captured": "captured K=3", "graph1": "graph K=1", "graph": "graph K=3",
    "ladder-captured": "ladder captured K=10", "ladder-graph": "ladder graph K=10",
}  # fmt: skip
LADDER_ROWS = 200  # of a minibatch, half of them labelled
GRID, STACKS = "graph MNIST grid", ("grid0", "grid1", "grid2")
ABSENT = "did not end in time"


def record(found, commit, dirty, date, note):
    """The benchmark of what the arms found; an arm without a time is absent, with the reason."""
    known = {name: e for name, e in found["arms"].items() if name in NAMES}
    eager = known.get("eager", {})
    single = eager["ms"] / eager["lanes"] if "ms" in eager else None  # of a lane
    limits = {key: found.get(key) for key in ("flop_per_s", "bytes_per_s")}
    return {
        "device": found["device"],
        "threads": found.get("threads"),
        "torch": found["torch"],
        "precision": "tf32",
        "roofline": FORMULA,
        "date": date,
        "commit": commit,
        "dirty": dirty,
        **({"note": note} if note else {}),
        "method": METHOD,
        "reference": REFERENCE,
        "batch": Optim().batch,
        "matmul": {},
        "arms": [
            *(arm(NAMES[name], e, single, limits) for name, e in known.items()),
            grid([found["arms"].get(name, {}) for name in STACKS]),
        ],
    }


def arm(name, e, single, limits):
    if "ms" not in e:
        late = f"{ABSENT}: {e['late']}" if "late" in e else ABSENT
        return {"arm": name, "absent": "failed" if "failed" in e else late}
    ladder, seconds = e["model"] == "ladder", 1e-3 * e["ms"]
    rows = LADDER_ROWS if ladder else Optim().batch
    step = numbers(seconds, e["lanes"], rows) | {"fastest_seconds": 1e-3 * e["fastest_ms"]}
    step["flop_per_s"] = round(e["flops"] / seconds)
    if single and not ladder:
        step["ratio_to_reference"] = round(e["ms"] / e["lanes"] / single, 5)
    entry = {
        "arm": name, "engine": e["engine"], "model": e["model"],
        "depths": [6 if ladder else 5] * e["lanes"], "lanes": e["lanes"],
        "first_block_seconds": e["first_block_seconds"], "operations": {"step": step},
    }  # fmt: skip
    if all(limits.values()):
        counts = {"flops": e["flops"], "bytes": e["bytes"]}
        least = max(counts[n] / limits[f"{key}_per_s"] for n, key in
                    (("flops", "flop"), ("bytes", "bytes")))  # fmt: skip
        share = {"bound_seconds": least, "fraction": round(least / seconds, 4)}
        entry["roofline"] = {**counts, **limits, **share}
    return entry


def grid(stacks):
    """One step of all configurations, the stacks one after the other."""
    if not all("ms" in e for e in stacks):
        return {"arm": GRID, "absent": ABSENT}
    whole = next(a for a in known_arms() if a.name == GRID)
    step = numbers(1e-3 * sum(e["ms"] for e in stacks), whole.lanes, Optim().batch)
    return {
        "arm": GRID, "engine": "graph", "model": "mnist", "depths": list(whole.depths),
        "lanes": whole.lanes, "first_block_seconds": [e["first_block_seconds"] for e in stacks],
        "stacks_seconds": [1e-3 * e["ms"] for e in stacks], "operations": {"step": step},
    }  # fmt: skip


def numbers(seconds, lanes, rows):
    return {
        "seconds": round(seconds, 7),
        "images_per_s": round(lanes * rows / seconds),
        "model_steps_per_s": round(lanes / seconds, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("best", type=Path, help="best.json, as call A left it")
    parser.add_argument("--commit", help="where the file names none")
    parser.add_argument("--date", help="of the measurement, where the file names none")
    parser.add_argument("--note", help="a sentence on where commit and date are from")
    args = parser.parse_args()
    best = json.loads(args.best.read_text())
    commit = args.commit or best["commit"]
    dirty = None if args.commit else best["dirty"]  # the device's own word is of another commit
    made = record(best, commit, dirty, args.date or best["date"], args.note)
    print(json.dumps(made, indent=1))
