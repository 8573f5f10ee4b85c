# ruff: noqa: E731
"""An H100 that is not there: after `import fakecuda`, Inductor generates code and Triton compiles
for sm_90 on a CPU. Nothing can run. Written against torch 2.11 and triton 3.6; trace first.
"""

import sys
from types import SimpleNamespace

import torch
import torch._dynamo.device_interface as interfaces
import torch._inductor.runtime.triton_helpers as helpers
import torch._inductor.scheduler
import torch._inductor.utils as inductor_utils
import torch._subclasses.fake_tensor as fake_tensor
import torch.utils._triton as triton_utils
import triton
from triton.backends.compiler import GPUTarget

H100 = SimpleNamespace(
    name="NVIDIA H100 80GB HBM3", major=9, minor=0, multi_processor_count=132, warp_size=32,
    regs_per_multiprocessor=65536, max_threads_per_multi_processor=2048, max_threads_per_block=1024,
    total_memory=85 * 10**9, shared_memory_per_multiprocessor=233472, shared_memory_per_block=49152,
    shared_memory_per_block_optin=232448, gcnArchName="", L2_cache_size=50 * 2**20, is_integrated=0,
    uuid="x", clock_rate=1980000, memory_clock_rate=2619000, memory_bus_width=5120,
)  # fmt: skip


class Entered:
    """A device that is chosen for a while."""

    def __init__(self, *args):
        self.idx = 0

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return False


class Driver:
    """What Triton asks of a driver while it compiles."""

    launcher_cls = lambda *a, **k: None
    utils = SimpleNamespace(
        get_device_properties=lambda d: {
            "max_shared_mem": 232448, "multiprocessor_count": 132, "max_num_regs": 65536,
            "warpSize": 32, "sm_clock_rate": 1980000, "mem_clock_rate": 2619000,
            "mem_bus_width": 5120,
        },
        load_binary=lambda *a: (0, 0, 32, 0, 1024),
    )  # fmt: skip
    get_current_target = lambda self: GPUTarget("cuda", 90, 32)
    get_current_device = lambda self: 0
    get_current_stream = lambda self, d=0: 0
    set_current_device = lambda self, d: None
    get_active_torch_device = lambda self: torch.device("cuda", 0)
    get_device_interface = lambda self: torch.cuda
    get_benchmarker = lambda self: None
    is_active = staticmethod(lambda: True)


def answer(owner, static=False, **values):
    """Functions of `owner` that give those values, whatever they are asked with."""
    for name, value in values.items():
        f = lambda *a, _v=value, **k: _v
        setattr(owner, name, staticmethod(f) if static else f)


def forget(module):
    for f in list(vars(module).values()):
        if hasattr(f, "cache_clear"):
            f.cache_clear()


none = dict.fromkeys(("set_device", "synchronize"))
answer(fake_tensor, init_gpu_context=None)
fake_tensor.FakeTensorMode.avoid_device_init = property(lambda self: True)
cuda, face = torch.cuda, interfaces.CudaInterface
answer(cuda, is_available=True, get_device_properties=H100, get_device_capability=(9, 0), **none,
       get_device_name=H100.name, current_device=0, device_count=1, _lazy_init=None,
       is_initialized=True, is_bf16_supported=True, is_tf32_supported=True, set_rng_state=None,
       get_rng_state=torch.zeros(16, dtype=torch.uint8),
       mem_get_info=(80 * 10**9, 85 * 10**9))  # fmt: skip
cuda.device = cuda._DeviceGuard = face.device = Entered
answer(torch._C, _cuda_getDevice=0, _cuda_getCurrentRawStream=0, _cuda_exchangeDevice=0,
       _cuda_maybeExchangeDevice=0)  # fmt: skip
answer(face, static=True, is_available=True, current_device=0, device_count=1, exchange_device=0,
       maybe_exchange_device=0, get_raw_stream=0, get_device_properties=H100,
       is_bf16_supported=True, get_compute_capability=90, is_triton_capable=True,
       raise_if_triton_unavailable=None, **none)  # fmt: skip
answer(face.Worker, static=True, get_device_properties=H100, current_device=0, set_device=None)
triton.runtime.driver.set_active(Driver())
forget(triton_utils)
for module in list(sys.modules.values()):
    if getattr(module, "__name__", "").startswith("torch") and hasattr(module, "has_triton"):
        answer(module, has_triton=True)
forget(inductor_utils)
answer(helpers, set_driver_to_gpu=None)
