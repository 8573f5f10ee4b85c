"""OMNIGLOT: `chardata.mat`, and two versions behind one name."""

import subprocess

import numpy as np
import pytest
from fixture_data import absent, files, refused, serving
from fixture_omniglot import TOPS, archives, fill, mat, toy

from repro import data
from repro.data.omniglot import git_blob
from repro.errors import DataError

BACKGROUND = f"{TOPS[0]}.zip"
pytestmark = pytest.mark.usefixtures("no_settings")


def test_images_of_the_mat_file_are_turned_to_row_major(tmp_path):
    share = np.zeros((784, 2))
    share[1 + 28 * 3, 1] = 1  # column-major: row 1, column 3
    content = mat(data=share, target=np.eye(50)[:, [4, 7]])
    fill(tmp_path, {"chardata.mat": content})
    images = data.load_set(toy(content), tmp_path)
    assert np.argwhere(images.train.reshape(-1, 28, 28)).tolist() == [[1, 1, 3]]
    assert images.train_labels.tolist() == [4, 7]


def test_shares_of_ink_become_bytes_over_255(tmp_path):
    content = mat(testdata=np.linspace(0, 1, 784)[:, None], testtarget=np.eye(50)[:, :1])
    fill(tmp_path, {"chardata.mat": content})
    test = data.load_set(toy(content), tmp_path).test.reshape(28, 28).T.reshape(-1)
    assert (test[0], test[-1]) == (0, 255)
    assert np.abs(test / 255 - np.linspace(0, 1, 784)).max() <= 1 / 510 + 1e-12


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, "no readable .mat file"),
        ({"data": None}, "data is missing"),
        ({"testdata": np.zeros((700, 3))}, "testdata is of shape (700, 3)"),
        ({"target": np.zeros((50, 4))}, "5 images, but 4 alphabets"),
        ({"data": np.full((784, 5), 255.0)}, "not in [0, 1]"),
        ({"data": np.full((784, 5), np.nan)}, "not in [0, 1]"),
    ],
)
def test_a_mat_file_of_another_form_is_refused(changes, fault, tmp_path):
    content = mat(**changes) if changes else b"no matrix"
    folder = fill(tmp_path, {"chardata.mat": content})
    with refused(DataError, str(folder / "chardata.mat"), fault, "delete it"):
        data.load_set(toy(content), tmp_path)


def test_the_digest_is_what_git_calls_the_content(tmp_path):
    (tmp_path / "x").write_bytes(b"content")
    git = subprocess.run(
        ["git", "hash-object", tmp_path / "x"], capture_output=True, text=True, check=True
    )
    assert git_blob(b"content") == git.stdout.strip()
    (file,) = data.DATA_SETS["omniglot"].files
    assert file.digest == "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"


def test_another_mat_file_than_the_published_one_is_refused(tmp_path):
    content = mat(data=np.zeros((784, 5)))
    fill(tmp_path, {"chardata.mat": content})
    with refused(DataError, git_blob(content), git_blob(mat()), "delete it"):
        data.load_set(toy(), tmp_path)


MAT = {"chardata.mat": mat()}


@pytest.mark.parametrize(
    ("there", "offered", "version", "source"),
    [
        (archives() | MAT, {}, "published", "local folder"),
        (archives(), MAT, "rebuilt", "local folder"),
        ({}, archives() | MAT, "published", "127.0.0.1"),
        ({}, archives(), "rebuilt", "127.0.0.1"),
    ],
    ids=["both", "no mirror is asked", "the better one", "what can be had"],
)
def test_what_is_there_is_read_and_else_the_better_version_fetched(
    tmp_path, there, offered, version, source
):
    fill(tmp_path, there)
    with serving(files(offered)) as mirror:
        images = data.load_set(toy(mirrors=(mirror.url,)), tmp_path)
    assert (images.version, images.source) == (version, source)
    assert bool(mirror.seen) == (source == "127.0.0.1")


@pytest.mark.parametrize(("offered", "state"), [(MAT, "ok"), ({}, "not needed")])
def test_fetching_by_name_looks_for_the_better_version(tmp_path, monkeypatch, offered, state):
    fill(tmp_path, archives())
    with serving(files(offered)) as mirror:
        monkeypatch.setitem(data.DATA_SETS, "omniglot", toy(mirrors=(mirror.url,)))
        found = data.fetch(["omniglot"], tmp_path)
    assert [s.state for s in found] == [state, "ok", "ok"]


def test_where_no_mirror_has_either_both_are_named(tmp_path):
    with serving(absent) as mirror, refused(DataError, "chardata.mat", BACKGROUND, "HTTP 404"):
        data.load_set(toy(mirrors=(mirror.url,)), tmp_path)


def test_a_damaged_mat_file_is_not_passed_over(tmp_path):
    fill(tmp_path, {**archives(), "chardata.mat": b"damaged"})
    with refused(DataError, "chardata.mat", "delete it"):
        data.load_set(toy(), tmp_path)


def test_what_one_version_lacks_is_not_needed_where_the_other_is_whole(tmp_path, monkeypatch):
    monkeypatch.setitem(data.DATA_SETS, "omniglot", toy())
    fill(tmp_path, {"chardata.mat": mat()})
    states = {s.file: s.state for s in data.verify(tmp_path, ["omniglot"])}
    assert states == {"chardata.mat": "ok", **dict.fromkeys(archives(), "not needed")}


def test_half_of_the_archives_is_missing_data(tmp_path, monkeypatch):
    monkeypatch.setitem(data.DATA_SETS, "omniglot", toy())
    fill(tmp_path, {BACKGROUND: archives()[BACKGROUND]})
    with refused(DataError, "missing", "repro data fetch omniglot"):
        data.verify(tmp_path, ["omniglot"])
