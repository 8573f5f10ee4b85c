"""Data files under other names and in other places: read, or named where they are missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixture_data import IMAGES, fill, refused, toy

from repro import data
from repro.cli import run
from repro.data.sources import DataSet
from repro.errors import DataError

pytestmark = pytest.mark.usefixtures("no_settings")


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
def test_a_file_that_lies_elsewhere_is_named(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
