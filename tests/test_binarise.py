"""Binarisation: a pixel is 1 with probability byte / grey scale, fixed by its seed."""

import hashlib
from dataclasses import replace
from typing import Any

import ladder_small
import numpy as np
import pytest
import small
from fixture_data import refused
from scipy.special import entr

from repro import data
from repro.data.images import binarise
from repro.errors import DataError, UsageError
from repro.plan.run import Data, Run
from repro.train.tasks import task_of

PINNED = "ff63ef6fa1d06e2d59a2e06d306eed496fa638030b08742471442aca2eda1408"


def every_byte(copies: int) -> data.images.Bytes:
    return np.tile(np.arange(256, dtype=np.uint8), (copies, 1))


@pytest.mark.parametrize("grey_scale", [255, 256])
def test_frequency_of_ones_is_byte_over_grey_scale(grey_scale: int) -> None:
    copies = 20_000
    p = np.arange(256) / grey_scale
    ones = binarise(every_byte(copies), grey_scale, seed=0).mean(axis=0, dtype=np.float64)
    assert (np.abs(ones - p) <= 5 * np.sqrt(p * (1 - p) / copies)).all()
    assert (ones[0], ones[255] == 1) == (0, grey_scale == 255)


def test_published_binarisation_has_not_drifted() -> None:
    drawn = binarise(every_byte(100), 256, seed=0)
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == PINNED


@pytest.mark.parametrize(("grey_scale", "nats"), [(255, 45.53), (256, 46.83)])
def test_entropy_of_the_test_set_is_what_the_deviations_say(data_dir, grey_scale, nats):
    p = data.load(Data(), data_dir).test / grey_scale
    assert (entr(p) + entr(1 - p)).sum(axis=1).mean() == pytest.approx(nats, abs=0.005)


BITS = np.eye(5, dtype=np.uint8)
GREY = every_byte(2)[:, ::5]


def test_bytes_of_any_integer_type_are_the_same_draw() -> None:
    expected = binarise(GREY, 256, seed=3)
    assert (binarise(GREY, 256, seed=4) != expected).any()
    integers: Any = (GREY.astype(np.int64), GREY.astype(">u2"), GREY.tolist())
    for images in (*integers, np.asfortranarray(GREY)):
        drawn = binarise(images, 256, seed=3)
        np.testing.assert_array_equal(drawn, expected, strict=True)


ALREADY = "already binary: leave --binarise out"
NO_BYTES = {
    "floats": (GREY / 255.0, "type float64, from 0 to 1,", "np.rint(255 * images)"),
    "float32": (GREY.astype(np.float32) / 256, "type float32", "np.rint(255 * images)"),
    "whole floats": (GREY.astype(float), "from 0 to 255,", "np.rint(images)"),
    "half a float": (GREY + 0.5, "from 0.5 to 255.5,", "dtype uint8, 0 to 255"),
    "bits": (BITS, "type uint8, from 0 to 1,", ALREADY),
    "whole bits": (BITS.astype(np.int64), "type int64", ALREADY),
    "real bits": (BITS.astype(float), "type float64", ALREADY),
    "bool": (BITS.astype(bool), "type bool", ALREADY),
    "negative": (GREY.astype(np.int8), "type int8, from -", "0 to 255"),
    "one negative": (BITS.astype(int) - 1, "from -1 to 0,", "0 to 255"),
    "over 255": (GREY.astype(int) + 1, "from 1 to 256,", "0 to 255"),
    "NaN": (np.where(BITS, np.nan, BITS), "from nan to nan,", "0 to 255"),
    "infinite": (np.where(BITS, np.inf, BITS), "from 0 to inf,", "0 to 255"),
    "empty": (np.zeros((0, 784), np.uint8), "shape (0, 784)", "at least one"),
    "objects": (GREY.astype(object), "type object", "real numbers"),
    "text": (GREY.astype(str), "type <U", "real numbers"),
    "complex": (GREY + 0j, "type complex128", "real numbers"),
    "unequal rows": ([[1, 2], [3]], "type list", "give an array"),
    "masked": (np.ma.masked_equal(GREY, 5), "masked pixels", "fill them"),
    "none": (None, "type object", "real numbers"),
}


@pytest.mark.parametrize(("images", "found", "remedy"), NO_BYTES.values(), ids=NO_BYTES)
def test_what_is_no_bytes_is_refused(images: object, found: str, remedy: str) -> None:
    with refused(UsageError, found, remedy):
        binarise(images, 256, seed=0)  # type: ignore[arg-type]


def test_a_seed_is_a_whole_number_and_a_grey_scale_one_of_two() -> None:
    seeds: Any = (-1, 0.5, "1", None)
    for seed in seeds:
        with refused(UsageError, f"seed {seed!r}"):
            binarise(GREY, 256, seed)
    with refused(UsageError, "grey scale 128: choose 255 (as IWAE) or 256"):
        binarise(GREY, 128, 0)


def test_every_seed_is_scored_on_the_one_binarisation_of_its_data() -> None:
    raw, other = small.raw(), replace(small.run(), data=Data(grey_scale=255, test_seed=3))
    raw = replace(raw, train=raw.train.astype(">u2"))  # any integer type
    for run in (small.run(), small.run(seed=2), other):
        ready, data = task_of(run).images(run, raw), run.data
        np.testing.assert_array_equal(
            ready.test, binarise(raw.test, data.grey_scale, data.test_seed)
        )
        np.testing.assert_array_equal(ready.train, raw.train)
        assert ready.train.dtype == np.uint8


@pytest.mark.parametrize(
    "run",
    [small.run(), small.run(observation="gaussian", nonlinearity="tanh"), ladder_small.run()],
    ids=["bernoulli", "gaussian", "ladder"],
)
@pytest.mark.parametrize("name", ["floats", "negative", "empty", "bits"])
def test_no_model_is_trained_on_a_data_set_of_anything_but_bytes(run: Run, name: str) -> None:
    for part in ("train", "test"):
        raw = replace(small.raw(), **{part: NO_BYTES[name][0]})
        with refused(DataError, "tiny", NO_BYTES[name][1].rstrip(","), "bytes 0..255"):
            task_of(run).images(run, raw)
