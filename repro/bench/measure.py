"""One arm, measured in turn with the products alone and with the model as usually written.

`python -m repro.bench.measure TASK` does so in a process of its own, whose memory is then the
arm's; TASK and what it prints are JSON.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from statistics import median, quantiles
from typing import Any, NamedTuple

import torch

from repro.bench import grids, ladders, operations, roofline
from repro.bench.ahead import READY
from repro.bench.arms import Arm, Workload, stack_of
from repro.bench.memory import HighWater
from repro.bench.operations import (
    BOTH,
    FORWARD,
    SCORE,
    STEP,
    Operation,
    Operations,
    per_call,
    replayed,
    training_layers,
)
from repro.bench.roofline import Counts
from repro.machine.device import keep_freed_memory, scoring_rows
from repro.machine.precision import multiply_in, precision_on
from repro.train.minibatch import BLOCK
from repro.train.step import COMPILED

MEASURED_STEPS = 3  # of memory
Times = dict[str, list[float]]


class Contest(NamedTuple):
    """Who takes part for one kind of model, and how much work each operation and a step is."""

    of_arm: Callable[[Arm, Workload, torch.device], Operations]
    of_plain: Callable[[int, Workload, torch.device], Operations] | None
    of_products: Callable[[tuple[int, ...], Workload, torch.device], Operations]
    flops: Callable[[tuple[int, ...], Workload], dict[str, int]]
    counts: Callable[[tuple[int, ...], Workload], Counts]


def lvae_counts(depths: tuple[int, ...], work: Workload) -> Counts:
    """What a step of a stack of LVAEs cannot do without."""
    stacks = [stack_of(depths, work)]
    return roofline.counts(stacks, training_layers(stacks, work), work.pixels)


def grid_counts(depths: tuple[int, ...], work: Workload) -> Counts:
    """The same for the stacks of the MNIST grid."""
    stacks = grids.stacks_of(depths, work)
    return roofline.counts(stacks, training_layers(stacks, work), work.pixels)


def ladder_counts(depths: tuple[int, ...], work: Workload) -> Counts:
    """The same for a stack of Ladder networks."""
    stacks = [ladders.stack_of(depths, work)]
    return roofline.counts(stacks, ladders.layers_of(depths, work), work.ladder[0])


LVAES = Contest(
    operations.of_arm, operations.of_plain, operations.of_products, operations.flops, lvae_counts
)
LADDERS = Contest(
    ladders.of_arm, ladders.of_plain, ladders.of_products, ladders.flops, ladder_counts
)
GRIDS = Contest(grids.of_arm, None, grids.of_products, grids.flops, grid_counts)
CONTESTS = {"lvae": LVAES, "ladder": LADDERS, "mnist": GRIDS}


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
    times: Times = {name: [] for name in ops}
    for i in range(warmup + repeats):
        for name, op in ops.items():
            seconds = seconds_of(op, wait)
            if i >= warmup:
                times[name].append(seconds)
    return times


def measure(
    arm: Arm, work: Workload, device: torch.device, ready: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """An arm's entry: compile seconds, memory of a step, and the rates of each operation.

    ready: called when all is compiled, before anything is measured.
    `matmul` holds seconds and rate of the products alone. Ratios are medians over repeats of
    the ratio within a repeat, so they are not quite the ratio of the two medians.
    """
    wait, memory = waiter(device), HighWater(device)
    contest = CONTESTS[arm.model]
    work = scored(arm, work)
    ops = contest.of_arm(arm, work, device)
    chief = ops.get(STEP) or ops[SCORE]
    first = seconds_of(chief, wait)  # compiles what the other operations run, too
    ready()
    memory.restart()
    for _ in range(MEASURED_STEPS):
        chief()
    wait()
    peak = memory.read()
    times = _all_times(arm, ops, work, device)
    count = contest.flops(arm.depths, work)
    return {
        "arm": arm.name,
        "engine": arm.engine,
        "model": arm.model,
        "depths": list(arm.depths),
        "lanes": arm.lanes,
        "compile_seconds": _rounded(first) if arm.engine in COMPILED else 0.0,
        "memory_bytes": peak,
        "memory": memory.how,
        "operations": {n: rates(t, arm, n, work, count[n]) for n, t in times.items()},
        "matmul": {
            n: {"seconds": _rounded(s := median(t["matmul"])), "flop_per_s": _rounded(count[n] / s)}
            for n, t in times.items()
        },
        **_roofline(arm, work, times, device),
    }


def scored(arm: Arm, work: Workload) -> Workload:
    """The workload of an arm: one that is about scoring has all images and samples."""
    if not arm.scoring:
        return work
    return replace(work, images=work.all_images, samples=work.all_samples)


def _roofline(
    arm: Arm, work: Workload, times: dict[str, Times], device: torch.device
) -> dict[str, Any]:
    """How near a step comes to what the device was just measured to allow."""
    if STEP not in times:
        return {}
    wait, count = waiter(device), CONTESTS[arm.model].counts(arm.depths, work)
    limit = roofline.limits(device, lambda op: seconds_of(op, wait))
    reached = roofline.share(count, limit, median(times[STEP]["arm"]))
    return {"roofline": {n: v if isinstance(v, int) else _rounded(v) for n, v in reached.items()}}


def _all_times(arm: Arm, ops: Operations, work: Workload, device: torch.device) -> dict[str, Times]:
    """Times of each operation of the arm, of its products and of one single model per depth."""
    kind = CONTESTS[arm.model]
    rivals = {"matmul": kind.of_products(arm.depths, work, device)}
    if arm.engine != "plain" and kind.of_plain is not None:
        depths = sorted(set(arm.depths))
        rivals |= {f"single {d}": kind.of_plain(d, work, device) for d in depths}
    captured = {BOTH, FORWARD, STEP} if is_launch_bound(device) else set()
    products = rivals["matmul"]
    rivals["matmul"] |= {n: replayed(products[n], device) for n in captured}
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
    seconds = median(times["arm"])
    scoring = operation == SCORE
    rows = 2 * work.labelled if arm.model == "ladder" else work.batch
    found: dict[str, Any] = {
        "seconds": seconds,
        "spread": _spread(times["arm"]),
        "images_per_s": arm.lanes * (work.images if scoring else rows) / seconds,
        "flop_per_s": flops / seconds,
        "ratio_to_matmul": _ratio(times["arm"], times["matmul"]),
    }
    if CONTESTS[arm.model].of_plain is not None:
        found["ratio_to_single"] = _ratio(times["arm"], _singles(times, arm))
    if scoring:
        found["share_of_matmul_rate"] = 1 / found["ratio_to_matmul"]
    else:
        found["model_steps_per_s"] = arm.lanes / seconds
    return {name: _rounded(value) for name, value in found.items()}


def _singles(times: Times, arm: Arm) -> list[float]:
    """In each repeat, the time of all lanes one after the other as single models."""
    if arm.engine == "plain":
        return times["arm"]
    count = Counter(arm.depths)
    return [
        sum(n * seconds for n, seconds in zip(count.values(), each, strict=True))
        for each in zip(*(times[f"single {d}"] for d in count), strict=True)
    ]


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def _spread(seconds: list[float]) -> float:
    low, middle, high = quantiles(seconds, n=4, method="inclusive")
    return (high - low) / middle


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def task(arm: Arm, work: Workload, device: str, threads: int) -> str:
    """What `main` reads."""
    parts = {"arm": dataclasses.asdict(arm), "work": dataclasses.asdict(work)}
    return json.dumps({**parts, "device": device, "threads": threads})


def main(argument: str) -> None:
    given = json.loads(argument)
    torch.set_num_threads(given["threads"])
    device = torch.device(given["device"])
    multiply_in(precision_on(device, None), device)
    arm, work = Arm(**_frozen(given["arm"])), Workload(**_frozen(given["work"]))
    if device.type == "cpu" and arm.keeps_memory:
        keep_freed_memory()
    work = replace(work, rows=scoring_rows(device))
    print(json.dumps(measure(arm, work, device, _wait_for_a_line)))


def _wait_for_a_line() -> None:
    """Who starts several arms at once measures one at a time."""
    print(READY, flush=True)
    sys.stdin.readline()


def _frozen(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}


if __name__ == "__main__":
    main(sys.argv[1])
