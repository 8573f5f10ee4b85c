"""What stands behind a number: commit, versions, device."""

import platform
from typing import Any

import numpy as np
import torch

from repro.machine.commit import commit
from repro.machine.device import multiprocessors
from repro.model.bfloat16 import multiplies_in_bfloat16
from repro.store.places import ROOT

CORES = "cores"  # ends the name of a CPU
OF_MACHINE = "versions", "device"  # what a training may go on with others of


def device_name(device: torch.device) -> str:
    """The processor's name as its maker gives it; of a CPU also the instructions that torch uses,
    by which sums are rounded otherwise and steps twice as quick under one name.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as f:  # noqa: PTH123
            names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    except OSError:
        names = []
    uses = torch.backends.cpu.get_cpu_capability() + ", bfloat16" * multiplies_in_bfloat16(device)
    return f"{names[0] if names else platform.machine()} ({uses}), {len(names) or '?'} {CORES}"


def on_cpu(env: dict[str, Any]) -> bool:
    """Whether what `environment` once said is of a CPU, whose draws are those of every other."""
    return str(env.get("device", "")).endswith(CORES)


def software() -> dict[str, Any]:
    """Commit and versions of what computes here."""
    head, dirty = commit(ROOT)
    versions = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
    return {"commit": head, "dirty": dirty, "versions": versions}


def continued(begun: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    """What `software`, and the device, say of a training that `begun` began and `here` goes on
    with.

    Of its commits the last, with the others; of unknown code where any of it was, and unclean
    likewise. `begun` is empty of a new training, and of a checkpoint older than this note.
    """
    if not begun:
        return here
    last = begun["commit"] and here["commit"]
    before = {*begun.get("earlier_commits", ()), begun["commit"], here["commit"]} - {last, None}
    return {
        **here,
        "commit": last,
        "dirty": max(begun["dirty"], here["dirty"], key=[False, None, True].index),
        **({"earlier_commits": sorted(before)} if before else {}),
        **{f"earlier_{name}": of for name in OF_MACHINE if (of := _others(name, begun, here))},
    }


def _others(name: str, begun: dict[str, Any], here: dict[str, Any]) -> list[Any]:
    """What was otherwise before, each once, of what both say."""
    if name not in begun or name not in here:
        return []
    before = [*begun.get(f"earlier_{name}", ()), begun[name]]
    return [x for i, x in enumerate(before) if x != here[name] and x not in before[:i]]


def environment(device: torch.device, code: dict[str, Any] | None = None) -> dict[str, Any]:
    """The part of `env.json` that does not depend on the Run.

    code: what `software` said when a training began or went on, below which a checkout may have
    moved on. The draws of a CUDA device depend on how many multiprocessors it has.
    """
    count = multiprocessors(device)
    return {
        **(code or software()),
        "device": device_name(device),
        **({"multiprocessors": count} if count else {}),
        "threads": torch.get_num_threads(),
    }
