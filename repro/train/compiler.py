"""Prevents what silently goes wrong when one machine compiles stack after stack."""

import contextlib
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock


def fresh_compiler() -> None:
    """Call before compiling a stack; steps compiled earlier would be compiled again.

    Torch compiles one body for eight stacks of a process and runs it uncompiled from then on.
    And a process that was killed while it compiled can leave an empty library in torch's cache,
    on which every later compilation of the same code fails.
    """
    from torch._inductor.runtime.cache_dir_utils import cache_dir  # of some versions of torch

    torch._dynamo.reset()
    remove_empty_libraries(Path(cache_dir()))


def remove_empty_libraries(folder: Path) -> None:
    """Remove libraries of no bytes below torch's cache, but those that are being compiled.

    A library begins empty, under the lock of its key, which whoever compiles it holds.
    """
    for library in folder.rglob("*.so"):
        lock = FileLock(folder / "locks" / f"{library.name.partition('.')[0]}.lock", timeout=0)
        with contextlib.suppress(OSError):  # gone by now; held elsewhere; not ours to remove
            if library.stat().st_size == 0:
                with lock:
                    if library.stat().st_size == 0:
                        library.unlink()


def options_of_objective() -> dict[str, Any] | None:
    """Inductor's options for the objective alone, on the device where it runs.

    On CUDA, Inductor splits every sum over the rows of a minibatch, a few hundred, into two
    kernels; whole sums are fewer than half as many launches, which bound such a small step.
    """
    return {"split_reductions": False} if torch.cuda.is_available() else None
