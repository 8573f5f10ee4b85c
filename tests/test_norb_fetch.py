"""small NORB's files: present, missing, verified, fetched where they are named."""

from __future__ import annotations

import gzip
from pathlib import Path

import fixture_norb
import pytest
from fixture_data import Handler, absent, dead_url, refused, reply, serving
from fixture_norb import SMALL, TEST_CAT, TEST_DAT, TRAIN, TRAIN_DAT, contents, damaged, fill, load

from repro import data
from repro.data import sources
from repro.data.mnist import MNIST
from repro.errors import DataError
from repro.plan.run import Data

pytestmark = pytest.mark.usefixtures("no_settings")


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


def test_missing_files_are_said_with_folder_and_remedy(tmp_path):
    with refused(DataError, f"no {TRAIN_DAT}.gz in {tmp_path / 'norb'}", "repro data fetch norb"):
        data.load(Data("norb"), tmp_path)


def test_training_data_are_not_fetched_unasked(tmp_path):
    with serving(absent) as mirror:
        with refused(DataError, "data missing"):
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


def test_verifying_it_by_name_does_not(tmp_path):
    with refused(DataError, "missing", "repro data fetch norb"):
        data.verify(tmp_path, ["norb"])


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
