"""small NORB from its files to a record: experiment, engine, command line, missing files."""

import gzip
from dataclasses import replace
from pathlib import Path

import fixture_norb
import numpy as np
import pytest
import small
from commands import one_line, printed, refusal, told

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
PAPER = profile("paper")
LVAE = "norb-lvae_bn_wu-L5-s1"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a small NORB, which is found there."""
    folder = tmp_path / "data"
    fixture_norb.fill(folder, fixture_norb.contents(PAIRS, PAIRS), suffix="")
    small_set = fixture_norb.small(train=PAIRS, test=PAIRS)
    monkeypatch.setitem(data.DATA_SETS, "norb", small_set)
    monkeypatch.setenv("REPRO_DATA", str(folder))
    return folder


@pytest.fixture
def no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "norb"


# The experiment


def test_the_experiment_holds_the_column_of_table_2():
    published = {c for t in TARGETS.values() if t.id.startswith("table2/norb/") for c in t.cells}
    assert set(EXPERIMENTS["norb"]) == published
    assert len(EXPERIMENTS["norb"]) == 19


def test_its_models_are_gaussian_with_tanh_in_every_profile():
    for p in PROFILES.values():
        for cell in cells(["norb"]):
            model = run_of(cell, p).hierarchy
            assert (model.observation, model.nonlinearity) == ("gaussian", "tanh")


def test_it_is_published_with_2000_epochs_and_a_warm_up_of_200():
    run = find_run(LVAE, PAPER)
    assert (run.schedule.epochs, run.schedule.warmup_epochs) == (2000, 200)
    assert run.data == RealData("norb")
    assert experiments_of(Cell("norb", "vae", 1)) == ["table2", "norb"]


@pytest.mark.parametrize("variant", ["vae", "lvae_bn_wu"])
def test_its_work_is_that_of_the_declared_layers(variant):
    run = run_of(Cell("norb", variant, 3), PAPER)
    assert predict.weights(run) == sum(d.fan_in * d.fan_out for d in layers(run.model, 1024))


def test_every_copy_is_predicted():
    run = find_run(LVAE, PAPER)
    assert predict.images_of(run) == (48_600, 48_600)
    once = replace(run, data=RealData("norb", test_copies=1))
    assert predict.images_of(once) == (48_600, 24_300)


# Training


def test_a_run_trains_from_the_files_to_a_record(files, tmp_path):
    tiny = small.run(observation="gaussian", nonlinearity="tanh", scored=(1, 2))
    run = replace(tiny, data=RealData("norb"))
    store = Store(tmp_path / "runs")
    outcome = train([run], store, "tiny", Options(engine="eager", threads=1))
    assert outcome.done == [run.id]
    record = store.record("tiny", run.id)
    record.verify()
    assert record.env["data"]["name"] == "norb"
    assert (record.final["LK_images"], len(record.arrays("pca")["labels"])) == (600, 600)
    shown = record.arrays("samples")
    assert shown["shape"].tolist() == [32, 32]
    assert {shown[n].dtype for n in ("true", "reconstruction", "prior")} == {np.dtype(np.uint8)}
    before = record.final["LK_test"]
    evaluate([run.id], store, "tiny", Options(engine="eager", threads=1))
    assert store.record("tiny", run.id).final["LK_test"] == before


def test_training_raises_the_bound(files, tmp_path):
    tiny = small.run("vae", 1, epochs=8, scored=(1, 8), observation="gaussian")
    run = replace(tiny, data=RealData("norb"))
    store = Store(tmp_path / "runs")
    train([run], store, "tiny", Options(engine="eager", threads=1))
    bounds = store.record("tiny", run.id).curve()["L1_test"].dropna().tolist()
    assert bounds[1] > bounds[0] + 100


@pytest.mark.slow
def test_the_smoke_profile_trains_through_the_command_line(local, files, capsys):
    assert "4 Runs done" in told(capsys, "train", "norb", "--profile", "smoke", "--engine", "eager")
    shown = printed(capsys, "show", LVAE, "--profile", "smoke")
    assert np.isfinite([shown["final"][n] for n in ("L1_train", "L1_test", "LK_test")]).all()
    rows = printed(capsys, "list", "--experiment", "norb", "--profile", "smoke")
    assert {row["state"] for row in rows} == {"done"}
    targets = printed(capsys, "check", "--profile", "smoke")["targets"]
    verdicts = {t["id"]: t["verdict"] for t in targets}
    assert verdicts["table2/norb/64-32-16-8-4/lvae_bn_wu"] == "reduced protocol"


# Without the files


def test_listing_says_data_missing_with_the_remedy(local, no_files, capsys):
    out = told(capsys, "list", "--experiment", "norb", "--profile", "quick")
    assert out.count("data missing") == 4 + 1
    assert "run `repro data fetch norb`, or put the files there" in out
    assert str(no_files) in out


def test_listing_without_a_name_shows_its_cells_too(local, no_files, capsys):
    states = {r["run"]: r["state"] for r in printed(capsys, "list", "--profile", "quick")}
    assert states[LVAE] == "data missing"
    assert states["mnist-lvae_bn_wu-L5-s1"] == "missing"


def test_listing_with_the_files_says_missing(local, files, capsys):
    rows = printed(capsys, "list", "--experiment", "norb", "--profile", "quick")
    assert {row["state"] for row in rows} == {"missing"}


def test_training_says_it_in_one_line_and_exits_3(local, no_files, capsys):
    assert "norb: data missing" in refusal(capsys, "train", "norb", "--profile", "quick")
    assert not local.root.exists()


def test_the_folder_of_the_option_is_looked_into(local, files, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    assert repro(["train", "norb", "--profile", "quick", "--data-dir", str(elsewhere)]) == 3
    assert str(elsewhere / "norb") in one_line(capsys)


def test_a_dry_run_says_it_and_plans_all_the_same(local, no_files, capsys):
    out = told(capsys, "train", "norb", "--profile", "quick", "--dry-run")
    assert "predicted time here" in out
    assert "norb: data missing" in out


def test_damaged_files_stop_training_with_exit_3(local, files, capsys):
    path = files / "norb" / fixture_norb.TEST_CAT
    path.write_bytes(gzip.compress(path.read_bytes())[:-5])
    assert repro(["train", "norb", "--profile", "smoke", "--engine", "eager"]) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{path}: truncated or damaged gzip" in err


def test_data_status_names_each_file(no_files, capsys):
    out = told(capsys, "data", "status", "norb")
    assert out.count("missing") == 4
    assert "repro data fetch norb" in out


def test_verifying_says_what_was_verified(files, capsys):
    assert "size and header" in told(capsys, "data", "verify", "norb")
