"""All arms one after the other, each in a process of its own, and where and when that was."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from repro.bench.arms import SINGLE, Arm, Workload
from repro.bench.measure import task
from repro.bench.roofline import FORMULA
from repro.engine.device import here
from repro.engine.precision import precision_on
from repro.engine.predict import has_compiler
from repro.engine.provenance import environment
from repro.engine.step import COMPILED

OUT_OF_MEMORY = torch.cuda.OutOfMemoryError.__name__


def bench(
    arms: list[Arm], work: Workload, threads: int | None, starting: Callable[[Arm], None]
) -> dict[str, Any]:
    """Measure the arms; `starting` is told of each.

    An arm that cannot run here has `absent` with the reason instead of numbers, one that broke
    has `failed`.
    """
    device, threads = here(), threads or torch.get_num_threads()
    found = []
    for arm in arms:
        starting(arm)
        found.append(_entry(arm, work, device, threads))
    if device.type != "cuda":
        found.append({"arm": "cuda", "absent": "no CUDA device"})
    place = environment(device)
    return {
        "device": place["device"],
        "threads": threads,
        "torch": place["versions"]["torch"],
        "precision": precision_on(device, None),
        "roofline": FORMULA,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": place["commit"],
        "dirty": place["dirty"],
        "reference": SINGLE,
        "batch": work.batch,
        "repeats": work.repeats,
        "images": work.images,
        "samples": work.samples,
        "matmul": {entry["arm"]: entry.pop("matmul") for entry in found if "matmul" in entry},
        "arms": found,
    }


def _entry(arm: Arm, work: Workload, device: torch.device, threads: int) -> dict[str, Any]:
    if arm.needs_cuda and device.type != "cuda":
        return {"arm": arm.name, "absent": "no CUDA device"}
    if arm.engine in COMPILED and not has_compiler():
        return {"arm": arm.name, "absent": "no C++ compiler: install g++"}
    command = [sys.executable, "-m", "repro.bench.measure", task(arm, work, device.type, threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        if OUT_OF_MEMORY in lines[-1]:
            return {"arm": arm.name, "absent": "more than the device's memory holds"}
        return {"arm": arm.name, "failed": lines[-1]}
    entry: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return entry
