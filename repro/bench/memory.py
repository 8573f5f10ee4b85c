"""Peak memory of this process or of the CUDA device, in bytes."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

PROC = Path("/proc/self")
HOW = {
    "cuda": "most that torch held on the device",
    "linux": "highest resident size of the process while steps ran, less that before the arm was"
    " built; of a compiled arm with what compiling left behind",
    "other": "highest resident size of the process so far, less that before the arm was built;"
    " of a compiled arm with compiling",
}


class HighWater:
    """What building and running something adds to the memory in use when this is made."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.forgets = self.restart()
        self.start = 0 if self.cuda else _resident_peak()

    def restart(self) -> bool:
        """Forget the peak so far, such as compiling's; False where the system cannot."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            return True
        try:
            (PROC / "clear_refs").write_text("5")  # Linux: the peak is the present size again
        except OSError:
            return False
        return True

    def read(self) -> int:
        """Bytes at the peak since the last restart."""
        return torch.cuda.max_memory_allocated() if self.cuda else _resident_peak() - self.start

    @property
    def how(self) -> str:
        return HOW["cuda" if self.cuda else "linux" if self.forgets else "other"]


def _resident_peak() -> int:
    try:
        for line in (PROC / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
