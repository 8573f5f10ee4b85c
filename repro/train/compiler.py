"""Prevents what silently goes wrong when one machine compiles stack after stack."""

from __future__ import annotations

from pathlib import Path

import torch


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
    """Remove libraries of no bytes anywhere below a folder."""
    for library in folder.rglob("*.so"):
        if library.stat().st_size == 0:
            library.unlink(missing_ok=True)
