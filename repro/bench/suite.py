"""All arms, each in a process of its own, and where and when that was.

`python -m repro.bench.suite TASK` is such a process, whose memory is then the arm's.
Importing and compiling take most of the time of an arm on a CUDA device and keep one or two cores
busy: there several processes are made ready side by side, and then measured one at a time.
"""

import ast
import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from repro.bench.arms import SINGLE, Arm
from repro.bench.measure import measure
from repro.bench.products import FORMULA
from repro.machine import toolchain
from repro.machine.device import here, is_out_of_memory
from repro.machine.memory import keep_freed_memory
from repro.machine.precision import multiply_in, precision_on
from repro.machine.provenance import environment
from repro.model.bfloat16 import multiplies_in_bfloat16
from repro.plan.run import Optim
from repro.store.failures import now
from repro.train.step import CAPTURED, COMPILED

COMMAND = [sys.executable, "-m", "repro.bench.suite"]
READY = "ready"  # printed before a process waits for a line
TOLD = re.compile(f"{READY}|{{").match  # it or an entry, if the process ends before
CORES = 2  # of each process while it is made ready beside others
Entry = dict[str, Any]


def bench(
    arms: list[Arm], repeats: int, threads: int | None, notice: Callable[[str], object]
) -> Entry:
    """Measure the arms; `notice` gets a line as each begins, or those that begin together.

    An arm that cannot run here has `absent` with the reason instead of numbers, one that broke
    has `failed`.
    """
    device, threads = here(), threads or torch.get_num_threads()
    at_once = max(1, (os.cpu_count() or 1) // CORES) if device.type == "cuda" else 1
    found = []
    for i in range(0, len(arms), at_once):
        some = arms[i : i + at_once]
        names = ", ".join(arm.name for arm in some)
        notice(f"measuring {names} ({i + len(some)} of {len(arms)})")
        found += entries(some, repeats, device, threads)
    if device.type != "cuda":
        found.append({"arm": "cuda", "absent": "no CUDA device"})
    place = environment(device)
    return {
        **{key: place[key] for key in ("device", "commit", "dirty")},
        "threads": threads,
        "torch": place["versions"]["torch"],
        "precision": precision_on(device, None),
        "roofline": FORMULA,
        "date": now(),
        "reference": SINGLE,
        "batch": Optim().batch,
        "repeats": repeats,
        "made_ready_at_once": at_once,
        "images": Arm.images,
        "samples": Arm.samples,
        "matmul": {entry["arm"]: entry.pop("matmul") for entry in found if "matmul" in entry},
        "arms": found,
    }


def entries(arms: list[Arm], repeats: int, device: torch.device, threads: int) -> list[Entry]:
    """What some arms measured, whose processes wait for each other; none outlives the call."""
    why = {arm.name: absent(arm, device) for arm in arms}
    found: dict[str, Entry] = {n: {"arm": n, "absent": w} for n, w in why.items() if w}
    able = [arm for arm in arms if arm.name not in found]
    with contextlib.ExitStack() as closing:
        tasks = [(dataclasses.asdict(arm), repeats, device.type, threads) for arm in able]
        alone = len(able) == 1
        started = [closing.enter_context(_process(repr(task), alone)) for task in tasks]
        heard = [next(filter(TOLD, process.stdout or ()), "") for process in started]
        for arm, process, first in zip(able, started, heard, strict=True):
            lines = (first + process.communicate("go\n")[0]).splitlines()
            entry = {"failed": f"exit status {process.returncode}"}
            if process.returncode == 0:  # five digits of each float
                entry = json.loads(lines[-1], parse_float=lambda x: float(f"{float(x):.5g}"))
            found[arm.name] = {"arm": arm.name, **entry}
    for arm in [] if alone else able:  # alone it may have the memory that it lacked
        if "absent" in found[arm.name]:
            (found[arm.name],) = entries([arm], repeats, device, threads)
    return [found[arm.name] for arm in arms]


def absent(arm: Arm, device: torch.device) -> str | None:
    """Why an arm cannot run here."""
    if device.type != "cuda" and (arm.engine in CAPTURED or arm.scoring):  # hours on a CPU
        return "no CUDA device"
    if arm.bfloat16 and not multiplies_in_bfloat16(device):
        return "no units for bfloat16: products would be emulated"
    if arm.engine in COMPILED and (fault := toolchain.compiler_fault()):
        return str(fault)
    return None


def _deaf() -> None:
    """To the terminal's Ctrl-C, which ends who started it; other signals reach both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _process(argument: str, alone: bool) -> Iterator[subprocess.Popen[str]]:
    """Makes itself ready from now on, and waits there for a line."""
    threads = {} if alone else {"TORCHINDUCTOR_COMPILE_THREADS": str(CORES)}
    how: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "preexec_fn": _deaf}
    environ = {**threads, **os.environ}
    with subprocess.Popen([*COMMAND, argument], text=True, env=environ, **how) as process:
        try:
            yield process
        finally:
            process.kill()


def main(task: str) -> None:
    """What a process prints: that it is ready, and after a line from who started it, an entry."""
    fields, repeats, where, threads = ast.literal_eval(task)
    arm, device = Arm(**fields), torch.device(where)
    torch.set_num_threads(threads)
    multiply_in(precision_on(device, None), device)
    if device.type == "cpu" and arm.keeps_memory:
        keep_freed_memory()

    def ready() -> None:
        print(READY, flush=True)
        if not sys.stdin.readline():  # who started it is gone
            sys.exit()

    try:
        entry = measure(arm, repeats, device, ready)
    except Exception as e:  # the last line of compilers' errors says nothing of them
        lacks = is_out_of_memory(e)
        why = "more than the device's memory holds" if lacks else toolchain.fault_of(e).what
        entry = {"absent" if lacks else "failed": why}
    print(json.dumps(entry))


if __name__ == "__main__":
    main(sys.argv[1])
