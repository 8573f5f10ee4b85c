"""small NORB's files: what is read of them, what damage is reported, how they are fetched."""

from __future__ import annotations

import gzip
import hashlib
import time
import tracemalloc
from pathlib import Path

import fixture_norb
import numpy as np
import pytest
from fixture_data import refused
from fixture_norb import (
    TEST,
    TEST_CAT,
    TEST_DAT,
    TRAIN,
    TRAIN_CAT,
    TRAIN_DAT,
    contents,
    damaged,
    fill,
    load,
)
from PIL import Image

from repro import data
from repro.data import norb
from repro.errors import DataError
from repro.plan.run import RealData

SUFFIXES = ["", ".gz"]


pytestmark = pytest.mark.usefixtures("no_settings")


# What is read


def test_the_published_files_have_the_sizes_of_their_format() -> None:
    sizes = [file.size for file in norb.NORB.files]
    pictures, classes = 24 + 24_300 * 2 * 96 * 96, 20 + 4 * 24_300
    assert sizes == [pictures, classes] * 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_small_images_of_both_splits_are_read(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path, suffix=suffix)
    images = load(tmp_path)
    assert (images.train.shape, images.test.shape) == ((TRAIN, 1024), (TEST, 1024))
    assert (images.name, images.shape, images.source) == ("norb", (32, 32), "local folder")


def test_the_first_camera_s_images_are_scaled_down_bicubically(tmp_path: Path) -> None:
    fill(tmp_path)
    first = [Image.fromarray(pair[0]) for pair in fixture_norb.pairs(TRAIN, 0)]
    expected = [np.asarray(i.resize((32, 32), Image.Resampling.BICUBIC)).ravel() for i in first]
    np.testing.assert_array_equal(load(tmp_path).train, expected)


def test_a_box_averages_nine_pixels(tmp_path: Path) -> None:
    fill(tmp_path)
    first = fixture_norb.pairs(TRAIN, 0)[:, 0].astype(float)
    means = first.reshape(TRAIN, 32, 3, 32, 3).mean((2, 4)).reshape(TRAIN, 1024)
    ours = load(tmp_path, RealData("norb", resample="box")).train
    assert np.abs(ours - means).max() < 1  # rows and columns are rounded one after the other


def test_classes_are_those_of_the_files(tmp_path: Path) -> None:
    fill(tmp_path)
    images, made = load(tmp_path), contents()
    for labels, name in ((images.train_labels, TRAIN_CAT), (images.test_labels, TEST_CAT)):
        assert labels.tolist() == np.frombuffer(made[name], "<i4", offset=20).tolist()


def test_packed_and_plain_files_are_the_same_data(tmp_path: Path) -> None:
    fill(tmp_path / "packed")
    fill(tmp_path / "plain", suffix="")
    packed, plain = load(tmp_path / "packed"), load(tmp_path / "plain")
    np.testing.assert_array_equal(packed.train, plain.train)
    assert packed.content_hash == plain.content_hash


def test_the_recorded_hash_is_of_what_was_read(tmp_path: Path) -> None:
    fill(tmp_path)
    lines = [f"{n} {hashlib.sha256(c).hexdigest()}\n" for n, c in contents().items()]
    assert load(tmp_path).content_hash == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_big_files_are_never_in_memory_whole(tmp_path: Path) -> None:
    n = 600
    fill(tmp_path, contents(n, 1), suffix="")
    tracemalloc.start()
    data.load_set(fixture_norb.small(train=n, test=1), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * 2 * 96 * 96 / 4


# Damage


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", [TRAIN_DAT, TEST_CAT])
def test_a_wrong_magic_number_is_reported(tmp_path: Path, name: str, suffix: str) -> None:
    path = damaged(tmp_path, name, b"\x51" + contents()[name][1:], suffix)
    with refused(DataError, str(path), "0x1E3D4C51 (unknown)", "repro data fetch norb"):
        load(tmp_path)


def test_integers_in_place_of_bytes_are_reported(tmp_path: Path) -> None:
    path = damaged(tmp_path, TRAIN_DAT, b"\x54" + contents()[TRAIN_DAT][1:])
    with refused(DataError, str(path), "32-bit integers", "expected magic 0x1E3D4C55 (bytes)"):
        load(tmp_path)


def test_big_endian_files_are_reported(tmp_path: Path) -> None:
    turned = np.frombuffer(contents()[TEST_CAT], "<u4").astype(">u4").tobytes()
    path = damaged(tmp_path, TEST_CAT, turned)
    with refused(DataError, str(path), "0x544C3D1E"):
        load(tmp_path)


@pytest.mark.parametrize("at", [4, 8, 12, 16, 20], ids=["ndim", "n", "cameras", "rows", "columns"])
def test_wrong_dimensions_are_reported(tmp_path: Path, at: int) -> None:
    content = bytearray(contents()[TRAIN_DAT])
    content[at] += 1
    path = damaged(tmp_path, TRAIN_DAT, bytes(content))
    with refused(DataError, str(path), f"4 dimensions of ({TRAIN}, 2, 96, 96)", "delete it"):
        load(tmp_path)


def test_dimensions_beyond_any_memory_are_only_reported(tmp_path: Path) -> None:
    content = contents()[TRAIN_DAT]
    path = damaged(tmp_path, TRAIN_DAT, content[:8] + b"\xff" * 16 + content[24:])
    with refused(DataError, str(path), "(4294967295, 4294967295"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", [TRAIN_DAT, TRAIN_CAT, TEST_DAT, TEST_CAT])
def test_truncated_content_is_reported_with_its_size(
    tmp_path: Path, name: str, suffix: str
) -> None:
    content = contents()[name]
    path = damaged(tmp_path, name, content[:-3], suffix)
    with refused(DataError, str(path), f"truncated, {len(content) - 3} of {len(content)} bytes"):
        load(tmp_path)


@pytest.mark.parametrize("length", [0, 3, 15])
def test_a_file_that_ends_inside_its_header_is_reported(tmp_path: Path, length: int) -> None:
    path = damaged(tmp_path, TEST_CAT, contents()[TEST_CAT][:length])
    with refused(DataError, str(path), f"truncated, {length} of"):
        load(tmp_path)


def test_a_truncated_gzip_is_reported(tmp_path: Path) -> None:
    path = fill(tmp_path) / f"{TEST_DAT}.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with refused(DataError, str(path), "truncated or damaged gzip"):
        load(tmp_path)


def test_a_wrong_checksum_of_gzip_is_reported(tmp_path: Path) -> None:
    path = fill(tmp_path) / f"{TEST_DAT}.gz"
    body = bytearray(path.read_bytes())
    body[-8] ^= 1
    path.write_bytes(body)
    with refused(DataError, str(path), "damaged gzip"):
        load(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", [TRAIN_DAT, TEST_CAT])
def test_trailing_bytes_are_reported(tmp_path: Path, name: str, suffix: str) -> None:
    path = damaged(tmp_path, name, contents()[name] + b"\0", suffix)
    with refused(DataError, str(path), "too large", "delete it and run `repro data fetch norb`"):
        load(tmp_path)


def test_a_gzip_bomb_is_neither_unpacked_nor_held(tmp_path: Path) -> None:
    bomb = contents()[TRAIN_CAT] + bytes(1 << 27)
    damaged(tmp_path, TRAIN_CAT, bomb)
    del bomb
    tracemalloc.start()
    start = time.process_time()
    with refused(DataError, TRAIN_CAT, "too large"):
        load(tmp_path)
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (peak < 1 << 21, seconds < 1) == (True, True)


def test_a_packed_file_beyond_the_content_s_size_is_not_read(tmp_path: Path) -> None:
    path = fill(tmp_path) / f"{TRAIN_CAT}.gz"
    path.write_bytes(gzip.compress(b"") * 100_000)
    with refused(DataError, str(path), "too large"):
        load(tmp_path)


@pytest.mark.parametrize("worst", [-1, 5])
def test_a_class_that_does_not_exist_is_reported(tmp_path: Path, worst: int) -> None:
    content = contents()[TEST_CAT]
    wrong = content[:-4] + int(worst).to_bytes(4, "little", signed=True)
    path = damaged(tmp_path, TEST_CAT, wrong)
    with refused(DataError, str(path), f"class {worst}", "expected 0..4"):
        load(tmp_path)
