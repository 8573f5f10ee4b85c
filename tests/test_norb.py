"""small NORB: what is read of its files, what damage is reported, and from them to a record."""

import gzip
import hashlib
from dataclasses import replace

import fixture_data
import fixture_norb
import numpy as np
import pytest
import small
from commands import printed, refusal, told
from fixture_data import absent, at_most, refused, serving
from fixture_norb import SMALL, TEST, TEST_CAT, TEST_DAT, TRAIN, TRAIN_CAT, TRAIN_DAT, fill, load
from PIL import Image

from repro import data
from repro.data import norb
from repro.data.mnist import MNIST
from repro.errors import DataError
from repro.judge.targets import TARGETS
from repro.machine import cost as predict
from repro.machine.local import train
from repro.machine.rescoring import evaluate
from repro.machine.work import Options
from repro.plan.experiments import EXPERIMENTS, cells, experiments_of
from repro.plan.experiments.grid import Cell
from repro.plan.layers import layers
from repro.plan.profiles import PROFILES, find_run, profile, run_of
from repro.plan.run import RealData
from repro.store import Store

PAIRS = 300  # doubled, enough for minibatches of 256
LVAE = "norb-lvae_bn_wu-L5-s1"
OPTIONS = Options(engine="eager", threads=1)
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
    with refused(DataError, str(path), said, "delete it and run `repro data fetch norb --data-dir"):
        load(tmp_path)


def test_a_damaged_gzip_is_reported(tmp_path):
    path = fill(tmp_path) / f"{TEST_DAT}.gz"
    body = path.read_bytes()
    for damaged in (body[:-30], body[:-8] + bytes([body[-8] ^ 1]) + body[-7:]):
        path.write_bytes(damaged)
        with refused(DataError, str(path), "truncated or damaged gzip"):
            load(tmp_path)
    path.write_bytes(gzip.compress(b"") * 100_000)  # beyond the content's size
    with refused(DataError, str(path), "too large"):
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


def test_the_experiment_is_the_column_of_table_2_of_gaussian_models_with_tanh():
    published = {c for t in TARGETS.values() if t.id.startswith("table2/norb/") for c in t.cells}
    assert set(EXPERIMENTS["norb"]) == published
    assert len(EXPERIMENTS["norb"]) == 19
    assert experiments_of(Cell("norb", "vae", 1)) == ["table2", "norb"]
    every = [run_of(cell, p) for p in PROFILES.values() for cell in cells(["norb"])]
    assert {r.hierarchy.observation for r in every} == {"gaussian"}
    assert {r.hierarchy.nonlinearity for r in every} == {"tanh"}
    run = find_run(LVAE, profile("paper"))
    assert (run.schedule.epochs, run.schedule.warmup_epochs) == (2000, 200)
    assert run.data == RealData("norb")
    once = replace(run, data=RealData("norb", test_copies=1))
    assert [*map(predict.images_of, (run, once))] == [(48_600, 48_600), (48_600, 24_300)]
    assert predict.weights(run) == sum(d.fan_in * d.fan_out for d in layers(run.model, 1024))


# From the files to a record, and without them


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The data folder, in which nothing is."""
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def files(folder, monkeypatch):
    """The data folder with a small NORB, which is found there."""
    fixture_norb.fill(folder, fixture_norb.contents(PAIRS, PAIRS), suffix="")
    small_set = fixture_norb.small(train=PAIRS, test=PAIRS)
    monkeypatch.setitem(data.DATA_SETS, "norb", small_set)
    return folder


def test_a_run_trains_from_the_files_to_a_better_bound_and_its_record(files, tmp_path):
    tiny = small.run("lvae", 1, epochs=8, scored=(1, 8), observation="gaussian")
    run = replace(tiny, data=RealData("norb"))
    store = Store(tmp_path / "runs")
    assert train([run], store, "tiny", OPTIONS).done == [run.id]
    record = store.record("tiny", run.id)
    record.verify()
    first, last = record.curve()["L1_test"].dropna()
    assert last > first + 100
    assert record.env["data"]["name"] == "norb"
    assert (record.final["LK_images"], len(record.arrays("pca")["labels"])) == (600, 600)
    shown = record.arrays("samples")
    assert shown["shape"].tolist() == [32, 32]
    assert {shown[n].dtype for n in ("true", "reconstruction", "prior")} == {np.dtype(np.uint8)}
    before = record.final["LK_test"]
    evaluate([run.id], store, "tiny", OPTIONS)
    assert store.record("tiny", run.id).final["LK_test"] == before


def test_listing_and_planning_say_data_missing_with_the_remedy(local, folder, capsys):
    out = told(capsys, "list", "--experiment", "norb", "--profile", "quick")
    assert out.count("data missing") == 4 + 1
    assert "run `repro data fetch norb`, or put the files there" in out
    assert str(folder / "norb") in out
    states = {r["run"]: r["state"] for r in printed(capsys, "list", "--profile", "quick")}
    assert (states[LVAE], states["mnist-lvae_bn_wu-L5-s1"]) == ("data missing", "missing")
    out = told(capsys, "train", "norb", "--profile", "quick", "--dry-run")
    assert "predicted time here" in out
    assert "norb: data missing" in out


def test_training_without_files_where_it_is_told_to_look_exits_3(local, files, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    asked = ("train", "norb", "--profile", "quick", "--data-dir", str(elsewhere))
    assert f"norb: data missing, no {TRAIN_DAT}.gz in {elsewhere}" in refusal(capsys, *asked)
    assert not local.root.exists()


def test_verifying_says_what_was_verified(files, capsys):
    assert "size and header" in told(capsys, "data", "verify", "norb")
