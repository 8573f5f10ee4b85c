"""How matrix products are rounded: what there is, what a machine offers, how it is put in force.

Sums, statistics, latents, densities, weights and Adam are float32 in all of them, and so is scoring
(but in TF32 where that is the precision).
"""

import torch

from repro.errors import MachineError
from repro.model.bfloat16 import multiplies_in_bfloat16

FLOAT32, TF32, BFLOAT16 = PRECISIONS = ("float32", "tf32", "bfloat16")


def precision_on(device: torch.device, asked: str | None) -> str:
    """What is asked for, by default TF32 on CUDA and float32 on a CPU. Raises MachineError."""
    if asked == TF32 and device.type != "cuda":
        raise MachineError("--precision tf32: only CUDA devices have it: use float32 or bfloat16")
    return asked or (TF32 if device.type == "cuda" else FLOAT32)


def refuse_emulated(precision: str, device: torch.device) -> None:
    """Raises MachineError where a new Run would be slower in this precision than in float32."""
    if precision == BFLOAT16 and not multiplies_in_bfloat16(device):
        raise MachineError(
            "--precision bfloat16: this processor has no units for it (AMX or AVX512-BF16) and"
            " would emulate them, slower than float32: leave the option out"
        )


def multiply_in(precision: str, device: torch.device) -> None:
    """From now on round float32 products so: TF32, or not at all."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == TF32 else "highest")
