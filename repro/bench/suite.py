"""All arms one after the other, each in a process of its own, and where and when that was."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from repro.bench import ahead
from repro.bench.arms import SINGLE, Arm, Workload
from repro.bench.measure import task
from repro.bench.roofline import FORMULA
from repro.machine.cost import has_compiler
from repro.machine.device import here
from repro.machine.precision import precision_on
from repro.machine.provenance import environment
from repro.machine.toolchain import compiler_fault
from repro.model.bfloat16 import multiplies_in_bfloat16
from repro.train.step import COMPILED

Starting = Callable[[Arm], None]
OUT_OF_MEMORY = torch.cuda.OutOfMemoryError.__name__


def bench(
    arms: list[Arm], work: Workload, threads: int | None, starting: Starting
) -> dict[str, Any]:
    """Measure the arms; `starting` is told of each.

    An arm that cannot run here has `absent` with the reason instead of numbers, one that broke
    has `failed`.
    """
    device, threads = here(), threads or torch.get_num_threads()
    found = []
    at_once = ahead.at_once() if device.type == "cuda" else 1
    for some in (arms[i : i + at_once] for i in range(0, len(arms), at_once)):
        found += _entries(some, work, device, threads, starting)
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
        "made_ready_at_once": at_once,
        "images": work.images,
        "samples": work.samples,
        "matmul": {entry["arm"]: entry.pop("matmul") for entry in found if "matmul" in entry},
        "arms": found,
    }


def _entries(
    arms: list[Arm], work: Workload, device: torch.device, threads: int, starting: Starting
) -> list[dict[str, Any]]:
    """What some arms measured: each in a process of its own, which wait for each other."""
    if len(arms) == 1:
        starting(arms[0])
        return [_entry(arms[0], work, device, threads)]
    able = [arm for arm in arms if _absent(arm, device) is None]
    tasks = [task(arm, work, device.type, threads) for arm in able]
    entries = {}
    with ahead.ready(tasks) as processes:
        for arm, process in zip(able, processes, strict=True):
            starting(arm)
            entries[arm.name] = _read(arm, process.finish())
    for arm in able:  # which alone may have the memory that it lacks beside others
        if "absent" in entries[arm.name]:
            entries[arm.name] = _entry(arm, work, device, threads)
    return [_absent(arm, device) or entries[arm.name] for arm in arms]


def _absent(arm: Arm, device: torch.device) -> dict[str, Any] | None:
    """The entry of an arm that cannot run here."""
    if arm.needs_cuda and device.type != "cuda":
        return {"arm": arm.name, "absent": "no CUDA device"}
    if arm.bfloat16 and not multiplies_in_bfloat16(device):
        return {"arm": arm.name, "absent": "no units for bfloat16: products would be emulated"}
    if arm.engine in COMPILED and not has_compiler():
        fault = compiler_fault()
        reason = f"{fault}" if fault else "no C++ compiler: install g++"
        return {"arm": arm.name, "absent": reason}
    return None


def _entry(arm: Arm, work: Workload, device: torch.device, threads: int) -> dict[str, Any]:
    if absent := _absent(arm, device):
        return absent
    command = [sys.executable, "-m", "repro.bench.measure", task(arm, work, device.type, threads)]
    return _read(
        arm, subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    )


def _read(arm: Arm, done: Any) -> dict[str, Any]:
    """The entry that a process has printed."""
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        if OUT_OF_MEMORY in lines[-1]:
            return {"arm": arm.name, "absent": "more than the device's memory holds"}
        return {"arm": arm.name, "failed": lines[-1]}
    entry: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return entry
