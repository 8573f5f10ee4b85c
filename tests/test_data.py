"""Local data folders: where they are, and what damage is reported."""

import gzip
import hashlib
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixture_data import (
    IMAGES,
    LABELS,
    TRAIN,
    at_most,
    fill,
    public_folder,
    refused,
    toy,
    toy_contents,
    unwritable,
)

from repro import data
from repro.cli import run
from repro.data import idx, sources
from repro.data.sources import DataSet, directory
from repro.errors import DataError, UsageError
from repro.plan.run import Data
from repro.store.places import ROOT

pytestmark = pytest.mark.usefixtures("no_settings")


def test_mnist_loads_with_its_published_shape(data_dir: Path) -> None:
    images = data.load(Data(), data_dir)
    assert images.train.shape == (60_000, 784)
    assert images.test.shape == (10_000, 784)
    assert (images.shape, images.source) == ((28, 28), "local folder")
    assert np.bincount(images.train_labels).tolist() == [
        *(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
    ]
    assert images.test_labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_verified_mnist_loads_within_a_second_and_a_half(data_dir: Path) -> None:
    seconds = []
    for _ in range(3):
        start = time.process_time()
        data.load(Data(), data_dir)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1.5


def test_unpacked_files_are_the_same_data(tmp_path: Path) -> None:
    fill(tmp_path / "packed")
    fill(tmp_path / "plain", suffix="")
    packed = data.load_set(toy(), tmp_path / "packed")
    plain = data.load_set(toy(), tmp_path / "plain")
    assert packed.content_hash == plain.content_hash
    assert packed.train.tobytes() == plain.train.tobytes() == toy_contents()[IMAGES][16:]


def test_content_hash_depends_on_every_file(tmp_path: Path) -> None:
    changed = [{name: content[:-1] + b"\x09"} for name, content in toy_contents().items()]
    hashes = set()
    for contents in (toy_contents() | change for change in [{}, *changed]):
        fill(tmp_path, contents)
        hashes.add(data.load_set(toy(contents), tmp_path).content_hash)
    assert len(hashes) == 1 + len(idx.NAMES)


def test_argument_wins_over_environment_over_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    assert directory() == ROOT / "data"
    monkeypatch.setenv("REPRO_DATA", "elsewhere")
    assert directory() == Path("elsewhere")
    assert directory(Path("here")) == Path("here")


def test_unknown_data_set_is_a_usage_error() -> None:
    with refused(UsageError, "'cifar'", "mnist"):
        data.load(Data("cifar"))


def test_importing_the_data_floor_loads_neither_torch_nor_requests() -> None:
    code = "import sys, repro.data; print({'torch', 'requests', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_complete_read_only_folder_is_enough() -> None:
    with public_folder() as top, unwritable(fill(top)):
        assert data.load_set(toy(), top).source == "local folder"


RIGHT = toy_contents()
WHOLE, PACKED = RIGHT[IMAGES], gzip.compress(RIGHT[IMAGES])
CHANGED, MIDDLE = WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), len(PACKED) // 2
HASHES = [hashlib.sha256(content).hexdigest() for content in (WHOLE, CHANGED)]


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(CHANGED), [*HASHES, "delete it and run `repro data fetch toy`"]),
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


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_oversized_file_is_never_read_whole(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path, toy_contents() | {IMAGES: bytes(1 << 26)}, suffix)
    with at_most(1 << 21), refused(DataError, "too large"):
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


def test_unreadable_file_is_reported_as_damaged() -> None:
    with public_folder() as top:
        path = fill(top) / f"{IMAGES}.gz"
        path.chmod(0o000)
        with unwritable(path.parent):
            found = sources.status(toy(), path.parent)
        assert (found[0].state, found[0].detail) == (
            "damaged",
            "cannot read (Permission denied): make it readable",
        )


def test_status_tells_missing_from_damaged(data_dir: Path, tmp_path: Path) -> None:
    published = (data_dir / "mnist").resolve()
    (tmp_path / "mnist").mkdir()
    for name in idx.NAMES[1:3]:
        (tmp_path / "mnist" / f"{name}.gz").symlink_to(published / f"{name}.gz")
    (tmp_path / "mnist" / idx.NAMES[3]).write_bytes(b"not labels")
    states = [s.state for s in data.status(tmp_path, ["mnist"])]
    assert states == ["missing", "ok", "ok", "damaged"]


def test_status_changes_nothing(tmp_path: Path) -> None:
    data.status(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_verify_names_the_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for name in idx.NAMES[1:]:
        (tmp_path / "mnist" / name).touch()
    (tmp_path / "mnist" / IMAGES).write_bytes(b"not images")
    with refused(DataError, str(tmp_path / "mnist" / IMAGES), "delete it"):
        data.verify(tmp_path)


def test_verify_does_not_pass_missing_files(tmp_path: Path) -> None:
    with refused(DataError, str(tmp_path), "missing", "repro data fetch"):
        data.verify(tmp_path)


def test_fetch_refuses_to_overwrite_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for name in idx.NAMES:
        (tmp_path / "mnist" / name).write_bytes(b"mine")
    with refused(DataError, IMAGES, "delete it"):
        data.fetch(data_dir=tmp_path)
    assert (tmp_path / "mnist" / IMAGES).read_bytes() == b"mine"


# Under other names and in other places


def of_torchvision() -> DataSet:
    made = toy()
    return replace(made, files=tuple(replace(f, layouts=("TOYS/raw",)) for f in made.files))


@pytest.mark.parametrize("place", ["TOYS/raw", "toy/TOYS/raw"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_folders_of_another_library_are_read(tmp_path: Path, place: str, suffix: str) -> None:
    files = fill(tmp_path / "filled", suffix=suffix)
    (tmp_path / place).parent.mkdir(parents=True)
    files.rename(tmp_path / place)
    loaded = data.load_set(of_torchvision(), tmp_path)
    assert loaded.source == "local folder"
    expected = data.load_set(toy(), fill(tmp_path / "usual").parent)
    np.testing.assert_array_equal(loaded.train, expected.train)


def test_mnist_is_read_where_torchvision_keeps_it(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "MNIST" / "raw").symlink_to(data_dir.resolve() / "mnist")
    assert {s.state for s in data.verify(tmp_path, ["mnist"])} == {"ok"}


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


@pytest.mark.parametrize("name", ["mnist/t10k-images.idx3-ubyte", f"other/{IMAGES}", "mnist/a.txt"])
def test_another_file_is_no_hint(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(b"")
    found = {s.file: s.detail for s in data.status(tmp_path, ["mnist"])}
    assert "seen" not in found[IMAGES]


def test_a_data_set_on_request_is_named_where_it_lies(tmp_path: Path) -> None:
    first = data.DATA_SETS["norb"].files[0].name
    (tmp_path / f"{first}.gz (1)").write_bytes(b"")
    assert f"seen {tmp_path / first}.gz (1): move" in str(data.lacking("norb", tmp_path))
