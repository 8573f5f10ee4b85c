"""All arms, each in a process of its own, and where and when that was.

Importing and compiling take most of the time of an arm on a CUDA device and keep one or two cores
busy: there several processes are made ready side by side, and then measured one at a time.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import torch

from repro.bench.arms import SINGLE, Arm, Workload
from repro.bench.measure import OUT_OF_MEMORY, READY, task
from repro.bench.roofline import FORMULA
from repro.machine import toolchain
from repro.machine.device import here
from repro.machine.precision import precision_on
from repro.machine.provenance import environment
from repro.model.bfloat16 import multiplies_in_bfloat16
from repro.store.failures import now
from repro.train.step import COMPILED

COMMAND = [sys.executable, "-m", "repro.bench.measure"]
CORES = 2  # of each process while it is made ready beside others
Entry = dict[str, Any]
Starting = Callable[[Arm], None]


def bench(arms: list[Arm], work: Workload, threads: int | None, starting: Starting) -> Entry:
    """Measure the arms; `starting` is told of each.

    An arm that cannot run here has `absent` with the reason instead of numbers, one that broke
    has `failed`.
    """
    device, threads = here(), threads or torch.get_num_threads()
    at_once = max(1, (os.cpu_count() or 1) // CORES) if device.type == "cuda" else 1
    found = []
    for some in (arms[i : i + at_once] for i in range(0, len(arms), at_once)):
        found += entries(some, work, device, threads, starting)
    if device.type != "cuda":
        found.append({"arm": "cuda", "absent": "no CUDA device"})
    place = environment(device)
    return {
        "device": place["device"],
        "threads": threads,
        "torch": place["versions"]["torch"],
        "precision": precision_on(device, None),
        "roofline": FORMULA,
        "date": now(),
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


def entries(
    arms: list[Arm], work: Workload, device: torch.device, threads: int, starting: Starting
) -> list[Entry]:
    """What some arms measured, whose processes wait for each other; none outlives the call."""
    why = {arm.name: absent(arm, device) for arm in arms}
    found: dict[str, Entry] = {n: {"arm": n, "absent": w} for n, w in why.items() if w}
    able = [arm for arm in arms if arm.name not in found]
    with contextlib.ExitStack() as closing:
        tasks = [task(arm, work, device, threads) for arm in able]
        started = [closing.enter_context(_process(t, alone=len(able) == 1)) for t in tasks]
        for process, _ in started:
            next((line for line in process.stdout or () if line.strip() == READY), None)
        for arm, (process, errors) in zip(able, started, strict=True):
            starting(arm)
            found[arm.name] = {"arm": arm.name, **_read(process, errors)}
    for arm in able if len(able) > 1 else []:  # alone it may have the memory that it lacked
        if "absent" in found[arm.name]:
            found |= {e["arm"]: e for e in entries([arm], work, device, threads, lambda _: None)}
    return [found[arm.name] for arm in arms]


def absent(arm: Arm, device: torch.device) -> str | None:
    """Why an arm cannot run here."""
    if arm.needs_cuda and device.type != "cuda":
        return "no CUDA device"
    if arm.bfloat16 and not multiplies_in_bfloat16(device):
        return "no units for bfloat16: products would be emulated"
    if arm.engine in COMPILED and (fault := toolchain.compiler_fault()):
        return str(fault)
    return None


@contextlib.contextmanager
def _process(argument: str, alone: bool) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Makes itself ready from now on, and waits there for a line; with what it says of errors."""
    threads = {} if alone else {"TORCHINDUCTOR_COMPILE_THREADS": str(CORES)}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with tempfile.TemporaryFile("w+") as errors:
        environ = {**threads, **os.environ}
        process = subprocess.Popen([*COMMAND, argument], stderr=errors, env=environ, **pipes)
        try:
            yield process, errors
        finally:
            process.kill()
            process.communicate()


def _read(process: subprocess.Popen[str], errors: IO[str]) -> Entry:
    """Let a process go on to its end: what it prints, or why it broke."""
    out, _ = process.communicate("go\n")
    if process.returncode == 0:
        entry: Entry = json.loads(out.splitlines()[-1])
        return entry
    errors.seek(0)
    last = (errors.read().strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    lacked = OUT_OF_MEMORY in last
    return {"absent": "more than the device's memory holds"} if lacked else {"failed": last}
