"""Byte draws straight from the bit generator are numpy's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from repro.model import streams


@pytest.mark.parametrize("high", [1, 2, 33, 254, 255, 256])
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (3, 5), (26, 256, 784)])
def test_bytes_are_those_of_numpy(high: int, shape: tuple[int, ...]) -> None:
    for seed in (1, 2, 3):
        generator = streams._generator(seed, "binarise", (4, 26))
        expected = generator.integers(0, high, shape, dtype=np.uint8)
        ours = streams.below(high, seed, "binarise", 4, 26, shape=shape)
        assert (ours.dtype, ours.shape) == (torch.uint8, shape)
        assert np.array_equal(ours.numpy(), expected)


def test_bytes_are_those_of_numpy_where_many_are_drawn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first batch of raw bytes is too short."""
    raw = streams._raw
    monkeypatch.setattr(streams, "_raw", lambda g, n: raw(g, max(8, n // 16)))
    expected = streams._generator(5, "b", (1,)).integers(0, 255, 5000, dtype=np.uint8)
    assert np.array_equal(streams.below(255, 5, "b", 1, shape=(5000,)).numpy(), expected)
