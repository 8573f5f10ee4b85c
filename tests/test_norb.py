"""small NORB's files: what is read of them, what damage is reported, how they are fetched."""

import gzip
import hashlib
import time
from pathlib import Path

import fixture_norb
import numpy as np
import pytest
from fixture_data import Handler, absent, at_most, dead_url, refused, reply, serving
from fixture_norb import (
    SMALL,
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
from repro.data import norb, sources
from repro.data.mnist import MNIST
from repro.errors import DataError
from repro.plan.run import RealData

pytestmark = pytest.mark.usefixtures("no_settings")


# What is read


def test_the_published_files_have_the_sizes_of_their_format() -> None:
    sizes = [file.size for file in norb.NORB.files]
    pictures, classes = 24 + 24_300 * 2 * 96 * 96, 20 + 4 * 24_300
    assert sizes == [pictures, classes] * 2


def test_small_images_of_both_splits_are_read_packed_or_plain(tmp_path: Path) -> None:
    fill(tmp_path / "packed")
    fill(tmp_path / "plain", suffix="")
    images, plain = load(tmp_path / "packed"), load(tmp_path / "plain")
    np.testing.assert_array_equal(images.train, plain.train)
    assert images.content_hash == plain.content_hash
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


def test_the_recorded_hash_is_of_what_was_read(tmp_path: Path) -> None:
    fill(tmp_path)
    lines = [f"{n} {hashlib.sha256(c).hexdigest()}\n" for n, c in contents().items()]
    assert load(tmp_path).content_hash == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_big_files_are_never_in_memory_whole(tmp_path: Path) -> None:
    n = 600
    fill(tmp_path, contents(n, 1), suffix="")
    with at_most(n * 2 * 96 * 96 // 4):
        data.load_set(fixture_norb.small(train=n, test=1), tmp_path)


# Damage

MADE = contents()
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
    path = damaged(tmp_path, name, content, suffix)
    with refused(DataError, str(path), said, "delete it and run `repro data fetch norb`"):
        load(tmp_path)


@pytest.mark.parametrize("checksum", [False, True])
def test_a_damaged_gzip_is_reported(tmp_path: Path, checksum: bool) -> None:
    path = fill(tmp_path) / f"{TEST_DAT}.gz"
    body = path.read_bytes()
    path.write_bytes(body[:-8] + bytes([body[-8] ^ 1]) + body[-7:] if checksum else body[:-30])
    with refused(DataError, str(path), "truncated or damaged gzip"):
        load(tmp_path)


def test_a_gzip_bomb_is_neither_unpacked_nor_held(tmp_path: Path) -> None:
    bomb = contents()[TRAIN_CAT] + bytes(1 << 27)
    damaged(tmp_path, TRAIN_CAT, bomb)
    del bomb
    start = time.process_time()
    with at_most(1 << 21), refused(DataError, TRAIN_CAT, "too large"):
        load(tmp_path)
    assert time.process_time() - start < 1


def test_a_packed_file_beyond_the_content_s_size_is_not_read(tmp_path: Path) -> None:
    path = fill(tmp_path) / f"{TRAIN_CAT}.gz"
    path.write_bytes(gzip.compress(b"") * 100_000)
    with refused(DataError, str(path), "too large"):
        load(tmp_path)


# Present, missing, verified, fetched where they are named


def test_status_says_what_the_verdict_rests_on(tmp_path):
    own = fill(tmp_path)
    found = sources.status(SMALL, own)
    assert {(s.state, s.detail) for s in found} == {
        ("ok", "size and header; its authors publish no hash")
    }


def test_status_reports_what_loading_would(tmp_path):
    path = damaged(tmp_path, TEST_DAT, contents()[TEST_DAT][:-1])
    found = {s.path: s for s in sources.status(SMALL, path.parent)}
    assert found[path].state == "damaged"
    assert found[path].detail.startswith("truncated")


def test_training_data_are_not_fetched_unasked(tmp_path):
    missing = f"data missing, no {TRAIN_DAT}.gz in {tmp_path / 'norb'}"
    with serving(absent) as mirror:
        with refused(DataError, missing, "repro data fetch norb"):
            data.load_set(fixture_norb.small((mirror.url,)), tmp_path)
        assert mirror.seen == []


def test_only_what_is_fetched_on_request_can_be_lacking(tmp_path):
    assert data.lacking("mnist", tmp_path) is None
    assert "data missing" in str(data.lacking("norb", tmp_path))


def test_a_complete_data_set_is_not_lacking(tmp_path, monkeypatch):
    monkeypatch.setitem(data.DATA_SETS, "norb", SMALL)
    fill(tmp_path)
    assert data.lacking("norb", tmp_path) is None


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other data sets than MNIST and a small NORB."""
    monkeypatch.setattr(data, "DATA_SETS", {"mnist": MNIST, "norb": SMALL})


def test_verifying_everything_lets_it_be_absent(both, data_dir):
    assert {s.data_set for s in data.verify(data_dir)} == {"mnist"}


def test_verifying_everything_reports_half_of_it(both, data_dir, tmp_path):
    (tmp_path / "mnist").symlink_to((data_dir / "mnist").resolve())
    (fill(tmp_path) / f"{TEST_CAT}.gz").unlink()
    with refused(DataError, "norb"):
        data.verify(tmp_path)


def published(handler: Handler) -> None:
    reply(handler, gzip.compress(contents()[Path(handler.path).stem], 1))


def cut(handler: Handler) -> None:
    reply(handler, gzip.compress(contents()[Path(handler.path).stem][:-9], 1))


def unpacked(handler: Handler) -> None:
    reply(handler, contents()[Path(handler.path).stem])


@pytest.mark.parametrize("answer", [published, unpacked])
def test_files_are_fetched_where_the_data_set_is_named(answer, tmp_path, monkeypatch):
    with serving(cut) as bad, serving(answer) as good:
        monkeypatch.setitem(data.DATA_SETS, "norb", fixture_norb.small((bad.url, good.url)))
        found = data.fetch(["norb"], tmp_path)
    assert [s.state for s in found] == ["ok"] * 4
    assert (len(bad.seen), len(good.seen)) == (1, 4)
    assert load(tmp_path).train.shape == (TRAIN, 1024)


def test_files_of_the_wrong_size_are_not_kept(tmp_path, monkeypatch):
    with serving(cut) as bad:
        monkeypatch.setitem(data.DATA_SETS, "norb", fixture_norb.small((bad.url, dead_url())))
        with refused(DataError, "wrong content", "no connection", str(tmp_path / "norb")):
            data.fetch(["norb"], tmp_path)
    assert [p.name for p in (tmp_path / "norb").iterdir()] == [".lock"]


def test_fetching_everything_leaves_it_out(both, data_dir, tmp_path, monkeypatch):
    (tmp_path / "mnist").symlink_to((data_dir / "mnist").resolve())
    with serving(absent) as mirror:
        monkeypatch.setenv("REPRO_MIRRORS", mirror.url)
        data.fetch(data_dir=tmp_path)
        assert mirror.seen == []
