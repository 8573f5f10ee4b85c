"""Keeps the memory of one step for the next, on a CPU with the GNU C library."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of malloc.h
LARGEST_BLOCK = 32 * 2**20  # a step's tensors are smaller; a scoring pass's are not kept
KEPT = 512 * 2**20  # bytes that may stay with the process between steps


def keep_freed_memory() -> bool:
    """Whether the allocator now keeps what a step frees.

    By default blocks of megabytes go back to the system at once, and the next step pays for
    thousands of page faults: about 7% of a compiled step of four lanes. No number changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library: nothing to ask
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_BLOCK) and mallopt(TRIM_THRESHOLD, KEPT))
