"""Memory: kept between steps on a CPU with the GNU C library, and the most that is in use."""

import ctypes
import resource
import sys
from pathlib import Path

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of malloc.h
LARGEST_BLOCK = 32 * 2**20  # a step's tensors are smaller; a scoring pass's are not kept
KEPT = 512 * 2**20  # bytes that may stay with the process between steps
PROC = Path("/proc/self")
HOW = {
    "cuda": "most that torch held on the device; of captured steps without what a recording holds",
    "linux": "highest resident size of the process while steps ran, less that before the arm was"
    " built; of a compiled arm with what compiling left behind",
    "other": "highest resident size of the process so far, less that before the arm was built;"
    " of a compiled arm with compiling",
}


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


class HighWater:
    """Bytes that building and running something adds to the memory in use when this is made."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        forgets = self.restart()
        self.how = HOW["cuda" if self.cuda else "linux" if forgets else "other"]
        self.start = 0 if self.cuda else _resident_peak()

    def restart(self) -> bool:
        """Forget the peak so far, such as compiling's; False where the system cannot."""
        try:
            if self.cuda:
                torch.cuda.reset_peak_memory_stats()
            else:
                (PROC / "clear_refs").write_text("5")  # Linux: the peak is the present size again
        except OSError:
            return False
        return True

    def read(self) -> int:
        """At the peak since the last restart."""
        return torch.cuda.max_memory_allocated() if self.cuda else _resident_peak() - self.start


def _resident_peak() -> int:
    try:  # Linux's `ru_maxrss` may be that of the process that started this one
        words = (PROC / "status").read_text().partition("VmHWM:")[2].split()
        return int(words[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
