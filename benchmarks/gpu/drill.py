"""A first training on a GPU, in the project's root.

`arms UNTIL` measures (call A; UNTIL: seconds since 1970), `next` plans (call B), `train` trains
named Runs, `watch` keeps checkpoints, `collect` packs what is brought back.
"""

import json
import sys
import time
from pathlib import Path

import fleet
import keep
from arm import HOME

MODES = {  # of call B: model, lanes, steps, scorings and seconds of the last one, for the estimate
    "seeds3": ("lvae", 3, 468_000, 52, 12), "seed1": ("lvae", 1, 468_000, 52, 5),
    "ladder": ("ladder", 10, 90_000, 150, 5), "reduced": ("lvae", 3, 4 * 9_360, 40, 20),
}  # fmt: skip
ASSUMED = {"lvae": 4.5, "ladder": 3.5}  # ms of a captured step, where nothing was measured


def next_job(left, asked, done):
    """Prints mode, predicted seconds and engine of what fits into the seconds left, or nothing."""
    try:
        picked = json.loads((HOME / "best.json").read_text())["choice"]
    except (OSError, ValueError, KeyError):
        picked = {"engine": "captured", "ms": {}, "ladder_engine": "captured"}
    if asked not in (*MODES, "resume", "auto"):
        sys.exit(f"drill.py: no {asked!r}: choose from {', '.join(MODES)}, resume, auto")
    for mode in MODES if asked == "auto" else [asked]:
        model, lanes, steps, scorings, last = MODES["seed1" if mode == "resume" else mode]
        known = picked["ms"]
        ms = known.get(f"{model} K={lanes}") or known.get(f"{model} K=3") or ASSUMED[model]
        engine = picked["ladder_engine" if model == "ladder" else "engine"]
        if mode == "reduced" and engine == "graph":
            engine, ms = "captured", 3 * ms
        warm = 10 + (
            0.5 * (picked.get("compile_seconds") or 60) if engine in ("graph", "compiled") else 0
        )
        total = warm + 1.03e-3 * steps * ms + scorings * min(lanes, 3) * 0.08 + last
        skipped = mode in done or (mode == "seed1" and "seeds3" in done)
        if not skipped and (asked == mode or total <= left):
            print(mode, round(total), engine)
            return
    if asked == "auto" and not done and left > 60:  # nothing fits: begin what another call ends
        print("seed1", "too-many", picked["engine"])


def train(profile, engine, budget, ids):
    """Only these Runs: what `repro train` does for whole experiments."""
    from repro.machine.local import train
    from repro.machine.work import Options
    from repro.plan.profiles import find_run
    from repro.plan.profiles import profile as named
    from repro.store import Store
    from repro.store.places import NAMED

    runs = [find_run(i, named(profile)) for i in ids]
    options = Options(engine=engine, budget_seconds=budget, checkpoint_seconds=30.0)
    print(train(runs, Store(NAMED["runs"]), profile, options))


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "arms":
        fleet.arms(float(rest[0]) - time.time(), Path(rest[1]), fleet.chosen("quick" in rest))
    elif verb == "next":
        next_job(float(rest[0]), rest[1], rest[2:])
    elif verb == "train":
        train(rest[0], rest[1], float(rest[2]), rest[3:])
    elif verb == "watch":
        keep.watch()
    elif verb == "collect":
        keep.collect(Path(rest[0]))
    else:
        sys.exit(f"drill.py: no {verb}: choose arms, next, train, watch or collect")
