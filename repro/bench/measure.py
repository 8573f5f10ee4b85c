"""One arm, measured in turn with the products alone and with the model as usually written.

`python -m repro.bench.measure TASK` does so in a process of its own, whose memory is then the
arm's, and prints JSON.
"""

import ast
import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import torch

from repro.bench import roofline
from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Arm, Workload, stacks_of
from repro.bench.operations import Operation, of_arm, per_call, replayed
from repro.bench.products import flops, of_products
from repro.machine.device import is_out_of_memory, scoring_rows
from repro.machine.memory import HighWater, keep_freed_memory
from repro.machine.precision import multiply_in, precision_on
from repro.machine.toolchain import fault_of
from repro.train.minibatch import BLOCK
from repro.train.step import COMPILED

OUT_OF_MEMORY = torch.cuda.OutOfMemoryError.__name__  # said where it was
READY = "ready"  # printed before the process waits for a line
MEASURED_STEPS = 3  # of memory
Times = dict[str, list[float]]


def is_launch_bound(device: torch.device) -> bool:
    """Whether products called one by one would show how quickly they are launched, no more."""
    return device.type == "cuda"


def waiter(device: torch.device) -> Callable[[], None]:
    """What to call before a clock is read: work on a CUDA device runs behind."""
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def seconds_of(op: Operation, wait: Callable[[], None]) -> float:
    wait()
    start = time.perf_counter()
    op()
    wait()
    return time.perf_counter() - start


def in_turn(
    ops: dict[str, Operation], warmup: int, repeats: int, wait: Callable[[], None]
) -> Times:
    """Seconds of each repeat, A B C A B C ...: a disturbance that lasts meets all of them."""
    rounds = [{n: seconds_of(op, wait) for n, op in ops.items()} for _ in range(warmup + repeats)]
    return {name: [each[name] for each in rounds[warmup:]] for name in ops}


def measure(
    arm: Arm, work: Workload, device: torch.device, ready: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """An arm's entry; `ready` is called when all is compiled, before anything is measured.

    `matmul` holds seconds and rate of the products alone. Ratios are medians over repeats of
    the ratio within a repeat, so they are not quite the ratio of the two medians.
    """
    wait, memory, work = waiter(device), HighWater(device), work.of(arm)
    ops = of_arm(arm, work, device)
    chief = ops.get(STEP) or ops[SCORE]
    first = seconds_of(chief, wait)  # compiles what the other operations run, too
    ready()
    memory.restart()
    for _ in range(MEASURED_STEPS):
        chief()
    wait()
    entry = {
        "arm": arm.name,
        "engine": arm.engine,
        "model": arm.model,
        "depths": list(arm.depths),
        "lanes": arm.lanes,
        "bfloat16": arm.bfloat16,
        "compile_seconds": _rounded(first) if arm.engine in COMPILED else 0.0,
        "memory_bytes": memory.read(),
        "memory": memory.how,
    }
    stacks, times = stacks_of(arm, work), all_times(arm, ops, work, device)
    count, alone = flops(stacks, work), {n: median(t["matmul"]) for n, t in times.items()}
    entry["operations"] = {n: rates(t, arm, n, work, count[n]) for n, t in times.items()}
    entry["matmul"] = {
        n: {"seconds": _rounded(s), "flop_per_s": _rounded(count[n] / s)} for n, s in alone.items()
    }
    if STEP in times and not arm.bfloat16:  # whose products no float32 product limits
        limit = roofline.limits(device, lambda op: seconds_of(op, wait))
        seconds = median(times[STEP]["arm"])
        reached = roofline.share(roofline.counts(stacks, work), limit, seconds)
        entry["roofline"] = {
            n: v if isinstance(v, int) else _rounded(v) for n, v in reached.items()
        }
    return entry


def all_times(
    arm: Arm, ops: dict[str, Operation], work: Workload, device: torch.device
) -> dict[str, Times]:
    """Times of each operation of the arm, of a lane's products and of one single model per depth.

    Products of a single model and of bfloat16 arms are those of a stack's lane in float32.
    """
    rivals = {"matmul": of_products(stacks_of(arm, work), work, device)}
    if arm.engine != "plain" and arm.model != "mnist":
        rivals |= {f"single {d}": of_arm(arm.single(d), work, device) for d in set(arm.depths)}
    captured = {BOTH, FORWARD, STEP} if is_launch_bound(device) else set()
    rivals["matmul"] |= {n: replayed(rivals["matmul"][n], device) for n in captured}
    times = {}
    for name, op in ops.items():
        repeats = work.scoring_repeats if name == SCORE else work.repeats
        contest = {"arm": op, **{rival: its[name] for rival, its in rivals.items()}}
        found = in_turn(contest, work.warmup, repeats, waiter(device))
        calls = {"arm": per_call(arm), "matmul": BLOCK if name in captured else 1}
        times[name] = {who: [t / calls.get(who, 1) for t in ts] for who, ts in found.items()}
    return times


def rates(times: Times, arm: Arm, operation: str, work: Workload, flops: int) -> dict[str, Any]:
    """One operation's numbers. `ratio_to_single`: against the same lanes trained one by one.

    `spread`: distance of the quartiles of its seconds over their median.
    """
    low, seconds, high = quantiles(times["arm"], n=4, method="inclusive")

    def ratio(rivals: list[float]) -> float:
        return median(a / b for a, b in zip(times["arm"], rivals, strict=True))

    scoring, rows = operation == SCORE, 2 * work.labelled if arm.model == "ladder" else work.batch
    found: dict[str, Any] = {
        "seconds": seconds,
        "spread": (high - low) / seconds,
        "images_per_s": arm.lanes * (work.images if scoring else rows) / seconds,
        "flop_per_s": flops / seconds,
        "ratio_to_matmul": ratio(times["matmul"]),
    }
    if arm.model != "mnist":
        found["ratio_to_single"] = ratio(_singles(times, arm))
    if scoring:
        found["share_of_matmul_rate"] = 1 / found["ratio_to_matmul"]
    else:
        found["model_steps_per_s"] = arm.lanes / seconds
    return {name: _rounded(value) for name, value in found.items()}


def _singles(times: Times, arm: Arm) -> list[float]:
    """In each repeat, the time of all lanes one after the other as single models."""
    if arm.engine == "plain":
        return times["arm"]
    each = ([n * t for t in times[f"single {d}"]] for d, n in Counter(arm.depths).items())
    return [sum(seconds) for seconds in zip(*each, strict=True)]


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def task(arm: Arm, work: Workload, device: torch.device, threads: int) -> str:
    """What `main` reads."""
    return repr((dataclasses.asdict(arm), dataclasses.asdict(work), device.type, threads))


def main(argument: str) -> None:
    arm, work, where, threads = ast.literal_eval(argument)
    torch.set_num_threads(threads)
    arm, device = Arm(**arm), torch.device(where)
    multiply_in(precision_on(device, None), device)
    if device.type == "cpu" and arm.keeps_memory:
        keep_freed_memory()
    work = Workload(**{**work, "rows": scoring_rows(device)})

    def ready() -> None:
        """Who starts several arms at once measures one at a time."""
        print(READY, flush=True)
        sys.stdin.readline()

    try:
        print(json.dumps(measure(arm, work, device, ready)))
    except Exception as e:  # the last line of compilers' errors says nothing of them
        sys.exit(OUT_OF_MEMORY if is_out_of_memory(e) else fault_of(e).what)


if __name__ == "__main__":
    main(sys.argv[1])
