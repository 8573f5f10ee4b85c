"""small NORB's files: what is read of them, what damage is reported, how they are fetched."""

import gzip
import hashlib

import fixture_data
import fixture_norb
import numpy as np
import pytest
from fixture_data import absent, at_most, refused, serving
from fixture_norb import SMALL, TEST, TEST_CAT, TEST_DAT, TRAIN, TRAIN_CAT, TRAIN_DAT, fill, load
from PIL import Image

from repro import data
from repro.data import norb
from repro.data.mnist import MNIST
from repro.errors import DataError
from repro.plan.run import RealData

pytestmark = pytest.mark.usefixtures("no_settings")


# What is read


def test_the_published_files_have_the_sizes_of_their_format():
    sizes = [file.size for file in norb.NORB.files]
    pictures, classes = 24 + 24_300 * 2 * 96 * 96, 20 + 4 * 24_300
    assert sizes == [pictures, classes] * 2


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_both_splits_are_read_with_classes_and_hash_packed_or_plain(tmp_path, suffix):
    fill(tmp_path, suffix=suffix)
    images = load(tmp_path)
    first = [Image.fromarray(pair[0]) for pair in fixture_norb.pairs(TRAIN, 0)]
    small = [np.asarray(i.resize((32, 32), Image.Resampling.BICUBIC)).ravel() for i in first]
    np.testing.assert_array_equal(images.train, small)
    assert (images.train.shape, images.test.shape) == ((TRAIN, 1024), (TEST, 1024))
    assert (images.name, images.shape, images.source) == ("norb", (32, 32), "local folder")
    for labels, name in ((images.train_labels, TRAIN_CAT), (images.test_labels, TEST_CAT)):
        assert labels.tolist() == np.frombuffer(MADE[name], "<i4", offset=20).tolist()
    lines = [f"{n} {hashlib.sha256(c).hexdigest()}\n" for n, c in MADE.items()]
    assert images.content_hash == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_box_averages_nine_pixels(tmp_path):
    fill(tmp_path)
    first = fixture_norb.pairs(TRAIN, 0)[:, 0].astype(float)
    means = first.reshape(TRAIN, 32, 3, 32, 3).mean((2, 4)).reshape(TRAIN, 1024)
    ours = load(tmp_path, RealData("norb", resample="box")).train
    assert np.abs(ours - means).max() < 1  # rows and columns are rounded one after the other


def test_big_files_are_never_in_memory_whole(tmp_path):
    n = 600
    fill(tmp_path, fixture_norb.contents(n, 1), suffix="")
    with at_most(n * 2 * 96 * 96 // 4):
        data.load_set(fixture_norb.small(train=n, test=1), tmp_path)


# Damage

MADE = fixture_norb.contents()
PICTURES, CLASSES = MADE[TRAIN_DAT], MADE[TEST_CAT]
SIZE = len(PICTURES)
HUGE = PICTURES[:8] + b"\xff" * 16 + PICTURES[24:]


def more(at: int) -> bytes:
    return PICTURES[:at] + bytes([PICTURES[at] + 1]) + PICTURES[at + 1 :]


DAMAGED = {
    "another magic number": (TRAIN_DAT, b"\x51" + PICTURES[1:], "magic 0x1E3D4C51 (unknown)"),
    "integers for bytes": (TRAIN_DAT, b"\x54" + PICTURES[1:], "expected magic 0x1E3D4C55 (bytes)"),
    "big-endian": (TEST_CAT, np.frombuffer(CLASSES, "<u4").astype(">u4").tobytes(), "0x544C3D1E"),
    "more dimensions": (TRAIN_DAT, more(4), f"4 dimensions of ({TRAIN}, 2, 96, 96)"),
    "more columns": (TRAIN_DAT, more(20), f"4 dimensions of ({TRAIN}, 2, 96, 96)"),
    "beyond memory": (TRAIN_DAT, HUGE, "(4294967295, 4294967295"),
    "empty": (TEST_CAT, b"", "truncated, 0 of"),
    "inside its header": (TEST_CAT, CLASSES[:15], "truncated, 15 of"),
    "few images": (TRAIN_DAT, PICTURES[:-3], f"truncated, {SIZE - 3} of {SIZE} bytes"),
    "few classes": (TEST_CAT, CLASSES[:-3], f"truncated, {len(CLASSES) - 3} of {len(CLASSES)}"),
    "a byte behind the images": (TRAIN_DAT, PICTURES + b"\0", "too large"),
    "a byte behind the classes": (TEST_CAT, CLASSES + b"\0", "too large"),
    "class -1": (TEST_CAT, CLASSES[:-4] + b"\xff" * 4, "class -1, expected 0..4"),
    "class 5": (TEST_CAT, CLASSES[:-4] + b"\x05\0\0\0", "class 5, expected 0..4"),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("name", "content", "said"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_reported_with_the_remedy(tmp_path, name, content, said, suffix):
    path = fill(tmp_path, MADE | {name: content}, suffix) / f"{name}{suffix}"
    with refused(DataError, str(path), said, "delete it and run `repro data fetch norb`"):
        load(tmp_path)


PACKED = gzip.compress(MADE[TEST_DAT], 1)


@pytest.mark.parametrize(
    ("name", "packed", "said"),
    [
        (TEST_DAT, PACKED[:-30], "truncated or damaged gzip"),
        (
            TEST_DAT,
            PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:],
            "truncated or damaged gzip",
        ),
        (TRAIN_CAT, gzip.compress(b"") * 100_000, "too large"),
    ],
    ids=["cut", "its checksum", "beyond the content's size"],
)
def test_a_damaged_gzip_is_reported(tmp_path, name, packed, said):
    path = fill(tmp_path) / f"{name}.gz"
    path.write_bytes(packed)
    with refused(DataError, str(path), said):
        load(tmp_path)


# Present, missing, fetched where they are named


def test_training_data_are_not_fetched_unasked(tmp_path):
    missing = f"data missing, no {TRAIN_DAT}.gz in {tmp_path / 'norb'}"
    with serving(absent) as mirror:
        with refused(DataError, missing, "repro data fetch norb"):
            data.load_set(fixture_norb.small((mirror.url,)), tmp_path)
        assert mirror.seen == []


def test_only_what_is_fetched_on_request_and_not_there_is_lacking(tmp_path, monkeypatch):
    monkeypatch.setitem(data.DATA_SETS, "norb", SMALL)
    assert data.lacking("mnist", tmp_path) is None
    assert "data missing" in str(data.lacking("norb", tmp_path))
    fill(tmp_path)
    assert data.lacking("norb", tmp_path) is None


def test_everything_is_mnist_and_what_is_there_of_the_others(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "DATA_SETS", {"mnist": MNIST, "norb": SMALL})
    (tmp_path / "mnist").symlink_to((data_dir / "mnist").resolve())
    with serving(absent) as mirror:
        monkeypatch.setenv("REPRO_MIRRORS", mirror.url)
        data.fetch(data_dir=tmp_path)
    assert mirror.seen == []
    assert {s.data_set for s in data.verify(tmp_path)} == {"mnist"}
    (fill(tmp_path) / f"{TEST_CAT}.gz").unlink()
    with refused(DataError, "norb"):
        data.verify(tmp_path)


def cut(content: bytes) -> bytes:
    return gzip.compress(content[:-9], 1)


@pytest.mark.parametrize("published", [gzip.compress, bytes], ids=["packed", "unpacked"])
def test_files_are_fetched_where_the_data_set_is_named(published, tmp_path, monkeypatch):
    wrong, right = (
        fixture_data.files({f"{name}.gz": made(c) for name, c in MADE.items()})
        for made in (cut, published)
    )
    with serving(wrong) as bad, serving(right) as good:
        monkeypatch.setitem(data.DATA_SETS, "norb", fixture_norb.small((bad.url, good.url)))
        found = data.fetch(["norb"], tmp_path)
    assert [s.state for s in found] == ["ok"] * 4
    assert (len(bad.seen), len(good.seen)) == (1, 4)
    assert load(tmp_path).train.shape == (TRAIN, 1024)
