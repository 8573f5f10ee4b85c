"""What stands behind a number: commit, versions, device."""

from __future__ import annotations

import platform
import subprocess
from typing import Any

import numpy as np
import torch

from repro.engine.device import multiprocessors
from repro.store import ROOT

CORES = "cores"  # ends the name of a CPU


def commit() -> tuple[str | None, bool | None]:
    """Commit of this checkout and whether files differ from it; None outside a checkout."""
    try:
        git = ["git", "-C", str(ROOT)]
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        # Publishing redraws results/ and the README: they do not change what is computed.
        watched = ["repro", "tables", "figures", "pyproject.toml", "requirements.txt"]
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", *watched],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return head.stdout.strip(), bool(changed.stdout.strip())


def device_name(device: torch.device) -> str:
    """The processor's name as its maker gives it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as f:  # noqa: PTH123
            names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    except OSError:
        names = []
    return f"{names[0] if names else platform.machine()}, {len(names) or '?'} {CORES}"


def on_cpu(env: dict[str, Any]) -> bool:
    """Whether what `environment` once said is of a CPU, whose draws are those of every other."""
    return str(env.get("device", "")).endswith(CORES)


def software() -> dict[str, Any]:
    """Commit and versions of what computes here."""
    head, dirty = commit()
    versions = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
    return {"commit": head, "dirty": dirty, "versions": versions}


def environment(device: torch.device) -> dict[str, Any]:
    """The part of `env.json` that does not depend on the Run.

    The draws of a CUDA device depend on how many multiprocessors it has.
    """
    count = multiprocessors(device)
    return {
        **software(),
        "device": device_name(device),
        **({"multiprocessors": count} if count else {}),
        "threads": torch.get_num_threads(),
    }
