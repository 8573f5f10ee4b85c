"""One arm of the drill in a process of its own: compiles, then measures when a line asks it to.

`python arm.py NAME` in the project's root, started by fleet.py. DRILL_DEVICE=cpu: few steps, on a
CPU; DRILL_FAULT=NAME:crash or NAME:hang (comma between several) breaks an arm.
"""

import itertools
import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch

from repro.bench import products
from repro.bench.arms import Arm
from repro.machine.cuda.graph import Blocks, Captured, captured_on
from repro.machine.precision import multiply_in
from repro.machine.resident import Resident
from repro.machine.saved.starting import begin
from repro.model.stack import Stack, pack
from repro.plan.profiles import find_run, profile, runs
from repro.train.evaluate import Room
from repro.train.step import CAPTURED, step_function
from repro.train.tasks import task_of

DEVICE = os.environ.get("DRILL_DEVICE", "cuda")
HOME = Path(os.environ.get("DRILL_HOME", "/tmp/drill"))
TINY = DEVICE == "cpu"
STEPS, BLOCKS, TIMED_SECONDS = (3, 1, 0) if TINY else (26, 3, 2.5)
ARMS = {  # model, lanes (of the grid: which stack), engine
    "float32": ("lvae", 3, "eager"), "eager": ("lvae", 3, "eager"),
    "captured": ("lvae", 3, "captured"), "captured1": ("lvae", 1, "captured"),
    "graph": ("lvae", 3, "graph"), "graph1": ("lvae", 1, "graph"),
    "ladder-captured": ("ladder", 10, "captured"), "ladder-graph": ("ladder", 10, "graph"),
    "compiled": ("lvae", 3, "compiled"), **{f"grid{i}": ("grid", i, "graph") for i in range(3)},
}  # fmt: skip
REFERENCES = ("float32", "eager")  # both without compiling and capturing; the second in TF32


def runs_of(model, lanes):
    paper = profile("paper")
    if model == "grid":
        return list(pack(runs(paper), 32)[lanes].runs)
    name = {"lvae": "mnist-lvae_bn_wu-L5", "ladder": "ladder-full-100"}[model]
    seeds = min(lanes, 3) if TINY else lanes
    return [find_run(f"{name}-s{k}", paper) for k in range(1, seeds + 1)]


def say(**found):
    print("@" + json.dumps(found), flush=True)


def arm(name):
    """Says when it has compiled, then answers each line of its input with what it measured."""
    for fault in os.environ.get("DRILL_FAULT", "").split(","):
        if fault == f"{name}:hang":
            time.sleep(1e6)
        assert fault != f"{name}:crash", "asked to crash"
    model, lanes, engine = ARMS[name]
    dev, start = torch.device(DEVICE), time.monotonic()
    multiply_in("float32" if name == "float32" else "tf32", dev)
    if TINY and engine == "graph":
        engine = "captured"  # nothing to compile for
    stack = Stack(tuple(runs_of(model, lanes)))
    images, _ = Resident(None, dev, Room()).images(stack.runs[0])
    state = begin(stack, HOME, images.train, dev)
    feed, step = task_of(stack.runs[0]).feed(stack, images), step_function(stack, engine)
    if engine in CAPTURED:
        feed, step = Blocks(feed), Captured(step, captured_on(dev))
    places = ((e, s) for e in itertools.count(1) for s in range(0, feed.steps, 26))
    wait = (lambda: None) if TINY else torch.cuda.synchronize

    def block():
        """Steps of the next block, its minibatches made as training makes them."""
        done = 0
        for item in feed.block(*next(places)):
            item = item[:STEPS] if engine in CAPTURED else item
            step(state, item)
            done += len(item) if engine in CAPTURED else 1
            if done >= STEPS:
                break
        return done

    first = {n: p.cpu().clone() for n, p in state.params.items()}
    loaded = time.monotonic()
    block()
    wait()
    compiled = time.monotonic() - loaded
    ends = {n: p.cpu().clone() for n, p in state.params.items()}
    bound = (state.sums / STEPS).cpu().clone()
    if name in REFERENCES:
        torch.save((ends, bound), HOME / f"{name}.tmp")
        (HOME / f"{name}.tmp").replace(HOME / f"{name}.pt")
    block()
    wait()
    depths = (5 if model == "lvae" else 6,) * lanes
    of = Arm(name, "eager", depths, model)
    counts = {} if model == "grid" else products.counts(of, dev)
    say(ready=True, first_block_seconds=round(compiled, 1), load_seconds=round(loaded - start, 1),
        finite=all(bool(p.isfinite().all()) for p in ends.values()),
        flops=counts.get("flops"), bytes=counts.get("bytes"))  # fmt: skip

    def errors():
        """Against eager steps: of the mean objective, and of the way that the parameters went."""
        found = {}

        def norm(a, b):
            return sum(float((a[n] - b[n]).double().square().sum()) for n in ends) ** 0.5

        for to in REFERENCES if model == "lvae" else ():
            if (HOME / f"{to}.pt").exists():
                theirs, expected = torch.load(HOME / f"{to}.pt", weights_only=True)
                own = {n: theirs[n][: len(p)] for n, p in ends.items()}
                expected = expected[: len(bound)]
                apart = float(((bound - expected) / expected).abs().max())
                way = norm(ends, own) / norm(own, first)
                found |= {f"bound_error_{to}": apart, f"way_error_{to}": way}
        return found

    for line in sys.stdin:
        if line.startswith("time"):
            chunks, until = [], time.perf_counter() + TIMED_SECONDS
            while len(chunks) < 2 or time.perf_counter() < until:
                begun = time.perf_counter()
                done = sum(block() for _ in range(BLOCKS))
                wait()
                chunks.append(1e3 * (time.perf_counter() - begun) / done)
            say(ms=round(statistics.fmean(chunks), 4), fastest_ms=round(min(chunks), 4), **errors())
        elif line.startswith("limits"):
            say(**{n: float(f"{x:.4g}") for n, x in products.limits(dev).items()})
        elif line.startswith("profile"):
            say(**profiled(block, wait, Path(line.split()[1])))


def profiled(block, wait, path):
    """Kernels of one block: a line each by total time, and how long the device idled between."""
    with torch.profiler.profile() as p:
        done = block()
        wait()
    p.export_chrome_trace(str(HOME / "trace.json"))
    events = json.loads((HOME / "trace.json").read_text())["traceEvents"]
    kinds = ("cpu_op",) if TINY else ("kernel", "gpu_memcpy", "gpu_memset")
    found = sorted((e["ts"], e["dur"], e["name"]) for e in events if e.get("cat") in kinds)
    total, busy, until = {}, 0.0, found[0][0]
    for ts, dur, name in found:
        n, us = total.get(name, (0, 0.0))
        total[name] = n + 1, us + dur
        busy, until = busy + max(0.0, ts + dur - max(ts, until)), max(until, ts + dur)
    lines = ["count_a_step,us_a_step,name"]
    for name, (n, us) in sorted(total.items(), key=lambda kv: -kv[1][1]):
        lines.append(f'{n / done:.2f},{us / done:.2f},"{name[:150]}"')
    path.write_text("\n".join(lines) + "\n")
    span = until - found[0][0]
    return {"launches_a_step": len(found) / done, "busy_us_a_step": round(busy / done, 1),
            "span_us_a_step": round(span / done, 1)}  # fmt: skip


if __name__ == "__main__":
    arm(sys.argv[1])
