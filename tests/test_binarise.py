"""Binarisation: a pixel is 1 with probability byte / grey scale, fixed by the seed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from fixture_data import refused
from scipy.special import xlog1py, xlogy

from repro import data
from repro.config import Data
from repro.errors import UsageError

PINNED = "ff63ef6fa1d06e2d59a2e06d306eed496fa638030b08742471442aca2eda1408"


def every_byte(copies: int) -> data.images.Bytes:
    return np.tile(np.arange(256, dtype=np.uint8), (copies, 1))


@pytest.mark.parametrize("grey_scale", [255, 256])
def test_frequency_of_ones_is_byte_over_grey_scale(grey_scale: int) -> None:
    copies = 20_000
    p = np.arange(256) / grey_scale
    ones = data.binarise(every_byte(copies), grey_scale, seed=0).mean(axis=0, dtype=np.float64)
    assert (np.abs(ones - p) <= 5 * np.sqrt(p * (1 - p) / copies)).all()


def test_full_white_can_be_black_at_256_only() -> None:
    white = np.full((20_000, 1), 255, np.uint8)
    assert data.binarise(white, 255, seed=0).min() == 1
    assert data.binarise(white, 256, seed=0).min() == 0


@pytest.mark.parametrize("grey_scale", [255, 256])
def test_black_stays_black(grey_scale: int) -> None:
    assert data.binarise(np.zeros((500, 784), np.uint8), grey_scale, seed=0).max() == 0


def test_pixels_are_drawn_independently() -> None:
    grey = np.full((20_000, 2), 128, np.uint8)
    ones = data.binarise(grey, 256, seed=0).astype(np.float64) - 0.5
    assert abs((ones[:, 0] * ones[:, 1]).mean()) < 5 * 0.25 / np.sqrt(len(ones))


def test_seed_fixes_the_binarisation() -> None:
    grey = every_byte(10)
    first, again, other = (data.binarise(grey, 256, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_published_binarisation_has_not_drifted() -> None:
    drawn = data.binarise(every_byte(100), 256, seed=0)
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == PINNED


def test_unknown_grey_scale_is_a_usage_error() -> None:
    with refused(UsageError, "128", "255", "256"):
        data.binarise(every_byte(1), 128, seed=0)


@pytest.mark.parametrize(("grey_scale", "nats"), [(255, 45.53), (256, 46.83)])
def test_bernoulli_entropy_of_the_test_set(data_dir: Path, grey_scale: int, nats: float) -> None:
    p = data.load(Data(), data_dir).test / grey_scale
    entropy = -(xlogy(p, p) + xlog1py(1 - p, -p)).sum(axis=1).mean()
    assert entropy == pytest.approx(nats, abs=0.005)
