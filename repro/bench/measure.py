"""One arm, measured in turn with the products alone and with the model as usually written."""

from collections import Counter
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import torch

from repro.bench import products
from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Arm, Operations
from repro.bench.operations import of_arm, replayed, seconds_of
from repro.machine.memory import HighWater
from repro.train.minibatch import BLOCK
from repro.train.step import CAPTURED, COMPILED

WARM_UP = 2  # of each operation
Times = dict[str, list[float]]


def in_turn(ops: Operations, repeats: int) -> Times:
    """Seconds of each repeat, A B C A B C ...: a disturbance that lasts meets all of them."""
    rounds = [{n: seconds_of(op) for n, op in ops.items()} for _ in range(WARM_UP + repeats)]
    return {name: [each[name] for each in rounds[WARM_UP:]] for name in ops}


def measure(
    arm: Arm, repeats: int, device: torch.device, ready: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """An arm's entry; `ready` is called when all is compiled, before anything is measured.

    `matmul` holds seconds and rate of the products alone. Ratios are medians over repeats of
    the ratio within a repeat, so they are not quite the ratio of the two medians.
    """
    memory, ops = HighWater(device), of_arm(arm, device)
    chief = ops.get(STEP) or ops[SCORE]
    first = seconds_of(chief)  # compiles what the other operations run, too
    ready()
    memory.restart()
    for _ in range(3):  # steps whose memory is measured
        seconds_of(chief)
    entry = {
        **{key: getattr(arm, key) for key in ("engine", "model", "depths", "lanes", "bfloat16")},
        "compile_seconds": first if arm.engine in COMPILED else 0.0,
        "memory_bytes": memory.read(),
        "memory": memory.how,
    }
    count, times = products.flops(arm, device), all_times(arm, ops, repeats, device)
    alone = {name: median(of["matmul"]) for name, of in times.items()}
    entry["operations"] = {n: rates(of, arm, n, count[n]) for n, of in times.items()}
    entry["matmul"] = {n: {"seconds": s, "flop_per_s": count[n] / s} for n, s in alone.items()}
    if STEP in times and not arm.bfloat16:  # whose products no float32 product limits
        limit, step = products.limits(device), median(times[STEP]["arm"])
        entry["roofline"] = products.roofline(products.counts(arm, device), limit, step)
    return entry


def all_times(arm: Arm, ops: Operations, repeats: int, device: torch.device) -> dict[str, Times]:
    """Times of each operation of the arm, of a lane's products and of one single model per depth.

    Products of a single model and of bfloat16 arms are those of a stack's lane in float32.
    """
    rivals = {"matmul": products.of_products(arm, device)}
    if arm.engine != "plain" and arm.model != "mnist":
        rivals |= {f"single {d}": of_arm(arm.single(d), device) for d in set(arm.depths)}
    # One by one they would show there how quickly they are launched, no more.
    captured = {BOTH, FORWARD, STEP} if device.type == "cuda" else set()
    rivals["matmul"] |= {n: replayed(rivals["matmul"][n], device) for n in captured}
    times = {}
    for name, op in ops.items():
        often = max(2, repeats // 3) if name == SCORE else repeats
        contest = {"arm": op, **{rival: its[name] for rival, its in rivals.items()}}
        blocks = {"arm": arm.engine in CAPTURED, "matmul": name in captured}
        times[name] = {
            who: [t / BLOCK if blocks.get(who) else t for t in ts]
            for who, ts in in_turn(contest, often).items()
        }
    return times


def rates(times: Times, arm: Arm, operation: str, flops: int) -> dict[str, float]:
    """One operation's numbers. `ratio_to_single`: against the same lanes trained one by one.

    `spread`: distance of the quartiles of its seconds over their median.
    """
    low, seconds, high = quantiles(times["arm"], n=4, method="inclusive")

    def ratio(rivals: list[float]) -> float:
        return median(a / b for a, b in zip(times["arm"], rivals, strict=True))

    scoring = operation == SCORE  # of a Ladder network, labelled and unlabelled images count
    images = arm.images if scoring else products.of_training(arm)[0].rows
    found = {
        "seconds": seconds,
        "spread": (high - low) / seconds,
        "images_per_s": arm.lanes * images / seconds,
        "flop_per_s": flops / seconds,
        "ratio_to_matmul": ratio(times["matmul"]),
    }
    if arm.model != "mnist":
        found["ratio_to_single"] = ratio(_singles(times, arm))
    if scoring:
        return {**found, "share_of_matmul_rate": 1 / found["ratio_to_matmul"]}
    return {**found, "model_steps_per_s": arm.lanes / seconds}


def _singles(times: Times, arm: Arm) -> list[float]:
    """In each repeat, the time of all lanes one after the other as single models."""
    if arm.engine == "plain":
        return times["arm"]
    each = ([n * t for t in times[f"single {d}"]] for d, n in Counter(arm.depths).items())
    return [sum(seconds) for seconds in zip(*each, strict=True)]
