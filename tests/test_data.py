"""Local data folders: where they are, and what damage is reported."""

import gzip
import hashlib
import time
from dataclasses import replace
from pathlib import Path

import fixture_data
import numpy as np
import pytest
from fixture_data import IMAGES, LABELS, TRAIN, fill, refused, toy, toy_contents
from fixture_disk import forbidden, unreadable

from repro import data
from repro.cli import run
from repro.data import idx, sources
from repro.data.mnist import MNIST
from repro.data.sources import directory
from repro.errors import DataError, MachineError, UsageError
from repro.plan.run import Data
from repro.store.places import ROOT

pytestmark = pytest.mark.usefixtures("no_settings")


def test_verified_mnist_loads_with_its_published_shape_within_a_second_and_a_half(data_dir):
    seconds = []
    for _ in range(3):
        start = time.process_time()
        images = data.load(Data(), data_dir)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1.5
    assert (images.train.shape, images.test.shape) == ((60_000, 784), (10_000, 784))
    assert (images.shape, images.source) == ((28, 28), "local folder")
    assert np.bincount(images.train_labels).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    assert images.test_labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_packed_and_unpacked_files_are_the_same_data_and_the_hash_is_of_all_of_them(tmp_path):
    packed = data.load_set(toy(), fill(tmp_path).parent)
    assert packed.train.tobytes() == RIGHT[IMAGES][16:]
    changed = [{name: content[:-1] + b"\x09"} for name, content in RIGHT.items()]
    hashes = []
    for contents in (RIGHT | change for change in [{}, *changed]):
        loaded = data.load_set(toy(contents), fill(tmp_path / "plain", contents, "").parent)
        hashes.append(loaded.content_hash)
    assert hashes[0] == packed.content_hash
    assert len(set(hashes)) == 1 + len(idx.NAMES)


def test_argument_wins_over_environment_over_checkout(monkeypatch):
    assert directory() == ROOT / "data"
    monkeypatch.setenv("REPRO_DATA", "elsewhere")
    assert directory() == Path("elsewhere")
    assert directory(Path("here")) == Path("here")


def test_unknown_data_set_is_a_usage_error():
    with refused(UsageError, "'cifar'", "mnist"):
        data.load(Data("cifar"))


def test_a_read_only_folder_is_enough_where_it_is_complete_and_readable(tmp_path, monkeypatch):
    path = fill(tmp_path) / f"{LABELS}.gz"
    with forbidden(path.parent):
        assert data.load_set(toy(), tmp_path).source == "local folder"
    with monkeypatch.context() as patch:
        unreadable(patch, path, ("open",))
        found = sources.status(toy(), path.parent)[1]
    said = "cannot read (Permission denied): make it readable"
    assert (found.state, found.detail) == ("damaged", said)
    path.unlink()
    with forbidden(path.parent), refused(MachineError, str(path.parent), "REPRO_DATA"):
        data.load_set(toy(), tmp_path)


RIGHT = toy_contents()
WHOLE, PACKED = RIGHT[IMAGES], gzip.compress(RIGHT[IMAGES])
CHANGED, MIDDLE = WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), len(PACKED) // 2
HASHES = [hashlib.sha256(content).hexdigest() for content in (WHOLE, CHANGED)]


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(CHANGED), [*HASHES, "delete it and run `repro data fetch toy --data-dir "]),
        (gzip.compress(WHOLE[:-7]), [f"{len(WHOLE) - 7} of {len(WHOLE)} bytes"]),
        (PACKED[:-20], ["truncated or damaged gzip"]),
        (PACKED[:MIDDLE] + bytes([PACKED[MIDDLE] ^ 0xFF]) + PACKED[MIDDLE + 1 :], []),
    ],
    ids=["changed byte", "truncated content", "truncated gzip", "flipped bits inside the gzip"],
)
def test_a_damaged_file_is_reported_with_what_was_found(tmp_path, packed, said):
    path = fill(tmp_path) / f"{IMAGES}.gz"
    path.write_bytes(packed)
    with refused(DataError, str(path), *said):
        data.load_set(toy(), tmp_path)
    path.with_name(f"{LABELS}.gz").unlink()
    states = [found.state for found in sources.status(toy(), path.parent)]
    assert states == ["damaged", "missing", "ok", "ok"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_oversized_file_is_never_read_whole(tmp_path, suffix):
    fill(tmp_path, RIGHT | {IMAGES: bytes(1 << 26)}, suffix)
    with fixture_data.at_most(1 << 21), refused(DataError, "too large"):
        data.load_set(toy(), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (IMAGES, b"\0\0\x0d" + RIGHT[IMAGES][3:], ["00000d03", "00000803"]),
        (IMAGES, idx.header((TRAIN, 14, 56)) + RIGHT[IMAGES][16:], ["(3, 14, 56)", "(3, 28, 28)"]),
        (IMAGES, RIGHT[IMAGES][:9], ["header"]),
        (IMAGES, RIGHT[IMAGES] + b"\0", [f"{len(RIGHT[IMAGES]) + 1} bytes"]),
        (LABELS, RIGHT[LABELS][:-1] + b"\x0b", ["label 11"]),
    ],
    ids=["magic number", "shape", "header", "bytes behind", "label"],
)
def test_published_content_of_another_form_is_reported(tmp_path, name, content, said):
    fill(tmp_path, RIGHT | {name: content})
    with refused(DataError, name, *said):
        data.load_set(toy(RIGHT | {name: content}), tmp_path)


def test_what_is_missing_or_damaged_is_named_and_left_as_it_is(tmp_path):
    with refused(DataError, "missing", f"run `repro data fetch mnist --data-dir {tmp_path}`"):
        data.verify(tmp_path)
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "mnist" / IMAGES
    path.parent.mkdir()
    for name in idx.NAMES:
        path.with_name(name).write_bytes(b"mine")
    for command in (data.verify, data.fetch):
        with refused(DataError, str(path), "delete it"):
            command(data_dir=tmp_path)
    assert path.read_bytes() == b"mine"


# Under other names and in other places


@pytest.mark.parametrize(("place", "suffix"), [("MNIST/raw", ""), ("toy/MNIST/raw", ".gz")])
def test_the_folder_in_which_torchvision_keeps_mnist_is_read(tmp_path, place, suffix):
    made = toy()
    files = (replace(f, layouts=m.layouts) for f, m in zip(made.files, MNIST.files, strict=True))
    (tmp_path / place).parent.mkdir(parents=True)
    fill(tmp_path / "filled", suffix=suffix).rename(tmp_path / place)
    loaded = data.load_set(replace(made, files=tuple(files)), tmp_path)
    assert loaded.train.tobytes() == RIGHT[IMAGES][16:]


ELSEWHERE = [
    "toy/train-images.idx3-ubyte",
    "toy/train-images.idx3-ubyte.gz",
    f"toy/{IMAGES}.gz (1)",
    f"toy/{IMAGES} (1).gz",
    f"toy/{IMAGES}.gz.part",
    f"toy/{IMAGES.upper()}",
    f"toy/{IMAGES}/{IMAGES}",
    f"toy/TOY/raw/{IMAGES}",
    f"TOY/raw/{IMAGES.replace('-', '_')}",
    f"Toy/{IMAGES}.gz",
    f"{IMAGES}.gz",
]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_file_that_lies_elsewhere_is_named(tmp_path, name, monkeypatch, capsys):
    """`repro data` says it, and so do training and fetching where no mirror has it."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (fill(tmp_path / "filled") / f"{IMAGES}.gz").rename(tmp_path / name)
    free = tmp_path / "toy" / (f"{IMAGES}.gz" if name == f"toy/{IMAGES}/{IMAGES}" else IMAGES)
    said = f"seen {tmp_path / name}: move it to {free}"
    with refused(DataError, said):
        data.load_set(toy(), tmp_path)
    monkeypatch.setitem(data.DATA_SETS, "toy", toy())
    assert run(["data", "verify", "toy", "--data-dir", str(tmp_path)]) == 3
    assert said in capsys.readouterr().err
    (tmp_path / "toy").mkdir(exist_ok=True)
    (tmp_path / name).rename(free)
    assert data.status(tmp_path, ["toy"])[0].state == "ok"


def test_another_file_is_no_hint_and_one_of_a_data_set_on_request_is(tmp_path):
    first = data.DATA_SETS["norb"].files[0].name
    others = ("mnist/t10k-images.idx3-ubyte", f"other/{IMAGES}", "mnist/a.txt")
    for name in (*others, f"{first}.gz (1)"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert "seen" not in data.status(tmp_path, ["mnist"])[0].detail
    assert f"seen {tmp_path / first}.gz (1): move" in str(data.lacking("norb", tmp_path))
