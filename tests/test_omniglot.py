"""OMNIGLOT: `chardata.mat`, two versions behind one name, and a Run of the rebuilt one."""

import hashlib
import subprocess

import numpy as np
import pytest
from fixture_data import absent, files, refused, serving
from fixture_omniglot import TOPS, archives, fill, mat, toy

from repro import data
from repro.cli import run
from repro.data.omniglot import git_blob
from repro.errors import DataError
from repro.judge.check import check

BACKGROUND = f"{TOPS[0]}.zip"
pytestmark = pytest.mark.usefixtures("no_settings")


def test_columns_of_the_mat_file_become_rows_of_bytes_over_255(tmp_path):
    share = np.linspace(0, 1, 784)
    train = np.zeros((784, 2))
    train[1 + 28 * 3, 1] = 1  # column-major: row 1, column 3
    labels = {"target": np.eye(50)[:, [4, 7]], "testtarget": np.eye(50)[:, :1]}
    content = mat(data=train, testdata=share[:, None], **labels)
    fill(tmp_path, {"chardata.mat": content})
    images = data.load_set(toy(content), tmp_path)
    assert np.argwhere(images.train.reshape(-1, 28, 28)).tolist() == [[1, 1, 3]]
    assert images.train_labels.tolist() == [4, 7]
    test = images.test.reshape(28, 28).T.reshape(-1)
    assert (test[0], test[-1]) == (0, 255)
    assert np.abs(test / 255 - share).max() <= 1 / 510 + 1e-12


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


def test_another_mat_file_than_the_published_one_is_refused_and_not_passed_over(tmp_path):
    """It is known by what git calls its content."""
    content = mat(data=np.zeros((784, 5)))
    path = fill(tmp_path, archives() | {"chardata.mat": content}) / "chardata.mat"
    git = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True)
    with refused(DataError, git.stdout.strip(), git_blob(mat()), "delete it"):
        data.load_set(toy(), tmp_path)
    (file,) = data.DATA_SETS["omniglot"].files
    assert file.digest == "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"


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
def test_what_is_there_is_read_or_the_better_fetched(tmp_path, there, offered, version, source):
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


def test_what_one_version_lacks_is_not_needed_where_the_other_is_whole(tmp_path, monkeypatch):
    monkeypatch.setitem(data.DATA_SETS, "omniglot", toy())
    fill(tmp_path / "half", {BACKGROUND: archives()[BACKGROUND]})
    with refused(DataError, "missing", "repro data fetch omniglot"):
        data.verify(tmp_path / "half", ["omniglot"])
    fill(tmp_path, MAT)
    states = {s.file: s.state for s in data.verify(tmp_path, ["omniglot"])}
    assert states == {"chardata.mat": "ok", **dict.fromkeys(archives(), "not needed")}


@pytest.mark.slow
def test_a_smoke_run_is_trained_and_says_which_data_it_saw(local, data_dir, monkeypatch):
    monkeypatch.setitem(data.DATA_SETS, "omniglot", data.DATA_SETS["omniglot"].versions[-1])
    arguments = ["--profile", "smoke", "--engine", "eager", "--data-dir", str(data_dir)]
    assert run(["train", "figure10", *arguments]) == 0
    (record,) = local.records("smoke")
    assert record.run.id == "omniglot-lvae_bn_wu-L5-s1"
    images, said = data.load(record.run.data, data_dir), record.env["data"]
    assert (said["name"], said["version"]) == ("omniglot", "rebuilt")
    assert said["hash"] == images.content_hash
    # 15 training and 5 test drawings of each character, the same on every machine.
    assert (images.train.shape, images.test.shape) == ((24_345, 784), (8_115, 784))
    assert len(np.unique(images.train_labels)) == len(np.unique(images.test_labels)) == 50
    found = hashlib.sha256(images.train.tobytes() + images.test.tobytes()).hexdigest()
    assert found == "39c999d442594ed628a0971acbfb087685d0e83add8c487b73af18e887ff5586"
    assert record.arrays("samples")["true"].shape == (100, 784)
    verdicts = {t.target.id: t.verdict for t in check(local, "smoke").targets}
    assert verdicts["table2/omniglot/64-32-16-8-4/lvae_bn_wu"] == "other data"
