"""The device that computes here: its memory, and streams for those who share it."""

import contextlib
import functools
import gc
from collections.abc import Iterator

import torch

from repro.machine.cuda.branches import Turn
from repro.machine.toolchain import chain_of
from repro.train.evaluate import ROWS

ROW_BYTES = 64 * 2**10  # of a row of a scoring pass: a few tensors as wide as the pixels
MOST_ROWS = 2**18  # a device is busy with them; more would only take memory


def here() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def is_out_of_memory(e: BaseException) -> bool:
    """Whether the device's memory was out; an error of an abandoned recording may come on top."""
    return any(isinstance(x, torch.cuda.OutOfMemoryError) for x in chain_of(e))


def memory(device: torch.device) -> float | None:
    """Bytes that are free on a CUDA device."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def scoring_rows(device: torch.device) -> int:
    """Rows of a scoring chunk: near a processor's cache, or a quarter of a device's memory.

    A power of two of the whole memory, not of what is free now: rows name the draws.
    """
    if device.type == "cpu":
        return ROWS
    room = torch.cuda.get_device_properties(device).total_memory / 4 / ROW_BYTES
    return min(MOST_ROWS, 1 << max(6, int(room).bit_length() - 1))


def multiprocessors(device: torch.device) -> int | None:
    """Of a CUDA device, whose draws depend on how many it has."""
    if device.type != "cuda":
        return None
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def free_cached(device: torch.device) -> None:
    """Give back what the allocator keeps, and what an abandoned step or recording held.

    Compiled code and its errors refer to each other, so that only a collection frees them.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def turns(device: torch.device, n: int) -> list[Turn]:
    """What n branches take their turns in: where several share a CUDA device, a stream each."""
    if device.type != "cuda" or n == 1:
        return [contextlib.nullcontext] * n
    return [functools.partial(_on, torch.cuda.Stream()) for _ in range(n)]  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _on(stream: torch.cuda.Stream) -> Iterator[None]:
    """Work is asked of `stream`, behind what has been asked of the current one."""
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        yield
