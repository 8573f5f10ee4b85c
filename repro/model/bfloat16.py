"""Which processors multiply in bfloat16; elsewhere torch converts the operands of each product."""

import torch


def _cpu_multiplies() -> bool:
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":  # not x86, or very old
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


CPU_MULTIPLIES = _cpu_multiplies()


def multiplies_in_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return CPU_MULTIPLIES
