"""Seed streams: each lane owns one per purpose, so that it draws the same alone or in a stack.

A draw is a function of (seed, stream name, counters) alone. There is no generator state to
save: a continued run names the same counters and gets the same numbers.
"""

import hashlib
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def normal(
    seed: int, stream: str, *at: int, shape: tuple[int, ...], device: torch.device | None = None
) -> Tensor:
    """Standard normal float32 draws."""
    if device is not None and device.type != "cpu":
        g = _device_generator(seed, stream, at, device)
        return torch.randn(shape, generator=g, device=device)
    return torch.from_numpy(_generator(seed, stream, at).standard_normal(shape, dtype=np.float32))


def below(
    high: int,
    seed: int,
    stream: str,
    *at: int,
    shape: tuple[int, ...],
    device: torch.device | None = None,
) -> Tensor:
    """Uniform integers in 0..high-1 as uint8; high <= 256."""
    if device is not None and device.type != "cpu":
        g = _device_generator(seed, stream, at, device)
        return torch.randint(high, shape, generator=g, device=device, dtype=torch.uint8)
    return torch.from_numpy(
        _bytes_below(high, _generator(seed, stream, at), math.prod(shape))
    ).view(shape)


def _bytes_below(high: int, generator: np.random.Generator, n: int) -> NDArray[np.uint8]:
    """`generator.integers(0, high, n, np.uint8)`, three and two times as quick for 256 and 255.

    numpy takes byte after byte of the bit generator, the lowest first. Below 256 each is a draw;
    below 255 it scales a byte b to b * 255 >> 8, which is b - 1, and 0 is drawn again.
    """
    if high not in (255, 256):
        return generator.integers(0, high, n, dtype=np.uint8)
    if high == 256:
        return _raw(generator, n)[:n]
    drawn = _raw(generator, n + n // 128 + 64)  # one in 256 is drawn again; seldom twice as many
    while (kept := drawn[drawn != 0]).size < n:
        drawn = np.concatenate([drawn, _raw(generator, n)])
    found: NDArray[np.uint8] = kept[:n] - np.uint8(1)
    return found


def _raw(generator: np.random.Generator, n: int) -> NDArray[np.uint8]:
    """At least n bytes, whole words of the bit generator."""
    words = generator.bit_generator.random_raw(-(-n // 8))
    return np.asarray(words, dtype="<u8").view(np.uint8)


def uniform(seed: int, stream: str, *at: int, shape: tuple[int, ...]) -> Tensor:
    """Uniform float32 draws in [-1, 1), on the CPU."""
    return unit(seed, stream, *at, shape=shape) * 2 - 1


def unit(seed: int, stream: str, *at: int, shape: tuple[int, ...]) -> Tensor:
    """Uniform float32 draws in [0, 1), on the CPU."""
    return torch.from_numpy(_generator(seed, stream, at).random(shape, dtype=np.float32))


def permutation(n: int, seed: int, stream: str, *at: int) -> Tensor:
    """A random order of 0..n-1, int64, on the CPU: the same on every device."""
    return torch.from_numpy(_generator(seed, stream, at).permutation(n))


def _entropy(seed: int, stream: str, at: tuple[int, ...]) -> int:
    return int.from_bytes(hashlib.sha256(repr((seed, stream, at)).encode()).digest()[:16], "big")


def _generator(seed: int, stream: str, at: tuple[int, ...]) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(_entropy(seed, stream, at)))


def _device_generator(
    seed: int, stream: str, at: tuple[int, ...], device: torch.device
) -> torch.Generator:
    return torch.Generator(device).manual_seed(_entropy(seed, stream, at) % 2**63)
