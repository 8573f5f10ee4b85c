"""small NORB from its files to a record: experiment, engine, command line, missing files."""

import gzip
from dataclasses import replace

import fixture_norb
import numpy as np
import pytest
import small
from commands import one_line, printed, told

from repro import data
from repro.cli import run as repro
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


# The experiment


def test_the_experiment_is_the_column_of_table_2_of_gaussian_models_with_tanh():
    published = {c for t in TARGETS.values() if t.id.startswith("table2/norb/") for c in t.cells}
    assert set(EXPERIMENTS["norb"]) == published
    assert len(EXPERIMENTS["norb"]) == 19
    models = [run_of(cell, p).hierarchy for p in PROFILES.values() for cell in cells(["norb"])]
    assert {(m.observation, m.nonlinearity) for m in models} == {("gaussian", "tanh")}
    assert experiments_of(Cell("norb", "vae", 1)) == ["table2", "norb"]


def test_it_is_published_with_2000_epochs_and_every_copy_is_predicted():
    run = find_run(LVAE, profile("paper"))
    assert (run.schedule.epochs, run.schedule.warmup_epochs) == (2000, 200)
    assert run.data == RealData("norb")
    assert predict.images_of(run) == (48_600, 48_600)
    once = replace(run, data=RealData("norb", test_copies=1))
    assert predict.images_of(once) == (48_600, 24_300)
    assert predict.weights(run) == sum(d.fan_in * d.fan_out for d in layers(run.model, 1024))


# Training


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


@pytest.mark.slow
def test_the_smoke_profile_trains_through_the_command_line(local, files, capsys):
    asked = ("list", "--experiment", "norb", "--profile", "smoke")
    assert {row["state"] for row in printed(capsys, *asked)} == {"missing"}
    assert "4 Runs done" in told(capsys, "train", "norb", "--profile", "smoke", "--engine", "eager")
    assert {row["state"] for row in printed(capsys, *asked)} == {"done"}
    shown = printed(capsys, "show", LVAE, "--profile", "smoke")
    assert np.isfinite([shown["final"][n] for n in ("L1_train", "L1_test", "LK_test")]).all()
    targets = printed(capsys, "check", "--profile", "smoke")["targets"]
    verdicts = {t["id"]: t["verdict"] for t in targets}
    assert verdicts["table2/norb/64-32-16-8-4/lvae_bn_wu"] == "reduced protocol"


# Without the files, and with others


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
    assert repro(["train", "norb", "--profile", "quick", "--data-dir", str(elsewhere)]) == 3
    said = one_line(capsys)
    assert "norb: data missing" in said
    assert str(elsewhere / "norb") in said
    assert not local.root.exists()


def test_damaged_files_stop_training_with_exit_3(local, files, capsys):
    path = files / "norb" / fixture_norb.TEST_CAT
    path.write_bytes(gzip.compress(path.read_bytes())[:-5])
    assert repro(["train", "norb", "--profile", "smoke", "--engine", "eager"]) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{path}: truncated or damaged gzip" in err


def test_verifying_says_what_was_verified(files, capsys):
    assert "size and header" in told(capsys, "data", "verify", "norb")
