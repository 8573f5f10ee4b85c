"""`repro score`: trained models on images of a user."""

import shutil
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import fixture_store
import ladder_small
import numpy as np
import pandas as pd
import pytest
import small
from commands import one_line, printed, quick_run, refusal
from fixture_disk import files, read_only

from repro.api import Annealed, Scores, TrainedHierarchy
from repro.cli import run
from repro.store import Store
from repro.store.places import NAMED

PROFILE = "smoke"
LADDER = ladder_small.run()
X = small.PIXELS


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five grey images as bytes."""
    np.save(tmp_path / "images.npy", small.grey(5))
    return tmp_path / "images.npy"


def refused(path: Path, run_id: str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one line that says why images are not scored: wrong usage."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return refusal(capsys, "score", str(path), "--run", run_id, *options, code=2)


def test_grey_images_are_scored_once_binarised(trained, images, capsys):
    told = scored(images, trained.id, capsys, "--binarise", "--samples", "9")
    assert (told["images"], told["K"], len(told["each"]["LK"])) == (5, 9, 5)
    assert told["LK"] == pytest.approx(np.mean(told["each"]["LK"]))
    assert told["LK_se"] == pytest.approx(np.std(told["each"]["LK"], ddof=1) / 5**0.5)
    assert "--binarise" in refused(images, trained.id, capsys)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (small.grey(5) / 255, "np.rint(255 * images)"),
        (small.grey(5) * np.uint16(2), "type uint16, from 0 to 510"),
        (np.zeros((0, X), np.uint8), f"give [N, {X}]"),
        (np.zeros((3, X + 1), np.uint8), f"give [N, {X}]"),
    ],
)
def test_only_bytes_of_its_shape_are_binarised(trained, images, capsys, stored, said):
    np.save(images, stored)
    assert said in refused(images, trained.id, capsys, "--binarise")


@pytest.mark.parametrize("trained", [LADDER], indirect=True)
@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_a_ladder_network_takes_bytes_and_says_classes(trained, local, tmp_path, capsys, kind):
    np.save(tmp_path / "images.npy", ladder_small.raw().test.astype(kind))
    out = tmp_path / "classes.csv"
    asked = ["score", str(tmp_path / "images.npy"), "--run", trained.id, "--out", str(out)]
    assert run(asked) == 0
    expected = local.record(PROFILE, trained.id).arrays("predictions")["predicted"]
    assert pd.read_csv(out)["class"].tolist() == expected.tolist()
    told = capsys.readouterr().out
    assert all(f"{n} of class {c}" in told for c, n in Counter(expected.tolist()).items())


def test_one_line_an_image_is_written_and_said(trained, images, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    asked = ["score", str(images), "--run", trained.id, "--binarise", "--out", str(out)]
    assert run(asked) == 0
    assert pd.read_csv(out).columns.tolist() == ["image", "L1", "LK"]
    assert "L_500" in capsys.readouterr().out


def scored(path: Path, run_id: str, capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    return printed(capsys, "score", str(path), "--run", run_id, "--samples", "5", *options)


def bits(n: int = 5) -> np.ndarray:
    return (small.grey(n) > 128).astype(np.uint8)


@pytest.mark.parametrize(
    "stored",
    [
        bits().astype(np.int64),
        bits().astype(bool),
        bits().astype(">f8"),
        np.asfortranarray(bits()),
        bits().reshape(5, 1, X),
    ],
    ids=["int64", "bool", "big-endian", "Fortran order", "height and width"],
)
def test_however_binary_images_are_stored_they_score_the_same(trained, images, capsys, stored):
    np.save(images, bits())
    expected = scored(images, trained.id, capsys)["each"]
    np.save(images, stored)
    assert scored(images, trained.id, capsys)["each"] == expected


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (np.zeros(()), "shape ()"),
        (np.zeros((3, X + 1), np.uint8), f"give [N, {X}]"),
        (np.zeros((3, X), "M8[s]"), "give real numbers"),
        (np.zeros((3, X), [("a", "u1")]), "give real numbers"),
        (np.full((3, X), 1e300), "not finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("trained", [small.run("lvae", 3), LADDER], indirect=True)
def test_images_of_another_kind_are_one_line(trained, images, capsys, stored, said):
    np.save(images, stored)
    assert said in refused(images, trained.id, capsys)


AIS = ("--binarise", "--ais", "--temperatures", "4", "--chains")


def test_chains_say_their_estimate_and_how_they_came_to_it(trained, images, tmp_path, capsys):
    out = tmp_path / "log_p.csv"
    told = scored(images, trained.id, capsys, *AIS, "3", "--out", str(out))
    each = told.pop("each")
    assert told["AIS"] == pytest.approx(np.mean(each["AIS"]))
    assert told["AIS_se"] == pytest.approx(np.std(each["AIS"], ddof=1) / 5**0.5)
    assert told["AIS_mc_error"] == pytest.approx(np.linalg.norm(each["AIS_mc_error"]) / 5)
    assert told["AIS_accepted"] == pytest.approx(np.mean(each["AIS_accepted"]))
    assert 0 < told["AIS_accepted"] <= 1
    assert (told["chains"], told["temperatures"], len(told["step_sizes"])) == (3, 4, 3)
    np.testing.assert_allclose(pd.read_csv(out)["AIS"], each["AIS"], rtol=1e-6)
    assert scored(images, trained.id, capsys, *AIS, "3")["each"] == each
    assert scored(images, trained.id, capsys, *AIS, "3", "--seed", "1")["AIS"] != told["AIS"]


def test_a_single_chain_has_no_monte_carlo_error(trained, images, capsys):
    assert scored(images, trained.id, capsys, *AIS, "1")["AIS_mc_error"] is None
    assert run(["score", str(images), "--run", trained.id, *AIS, "1"]) == 0
    assert "one chain: no MC error" in capsys.readouterr().out


def test_one_sample_has_no_monte_carlo_error(trained, images, capsys):
    np.save(images, bits())
    assert run(["score", str(images), "--run", trained.id, "--samples", "1"]) == 0
    assert "one sample: no MC error" in capsys.readouterr().out
    assert scored(images, trained.id, capsys, "--samples", "1")["LK_mc_error"] is None


GAUSSIAN = small.run("lvae", 2, observation="gaussian", nonlinearity="tanh")


@pytest.mark.parametrize(
    ("trained", "option", "said"),
    [
        (LADDER, "--binarise", "Ladder network"),
        (LADDER, "--ais", "Ladder network"),
        (GAUSSIAN, "--binarise", "models real values"),
    ],
    indirect=["trained"],
)
def test_a_model_takes_no_option_that_means_nothing_to_it(trained, images, capsys, option, said):
    assert said in refused(images, trained.id, capsys, option)


@pytest.mark.parametrize("trained", [GAUSSIAN], indirect=True)
@pytest.mark.parametrize(
    "stored",
    [small.grey(5), small.grey(5) / 1.0, np.ones((2, X), int), np.full((2, X), -0.1), bits() > 0],
    ids=["bytes", "floats of bytes", "bits", "negative", "bool"],
)
def test_a_model_of_real_values_takes_no_others(trained, images, capsys, stored):
    np.save(images, stored)
    said = "real values from 0 to 1: give (byte + u) / 256"
    assert said in refused(images, trained.id, capsys)


@pytest.mark.parametrize("trained", [GAUSSIAN], indirect=True)
def test_a_model_of_real_values_takes_its_training_set_s_units(trained, images, capsys):
    np.save(images, (small.grey(5) + 0.999999) / np.float32(256))
    assert np.isfinite(scored(images, trained.id, capsys)["LK"])


@pytest.mark.parametrize(
    ("method", "options"), [("score", ["--binarise"]), ("annealed", [*AIS, "2"])]
)
def test_an_infinite_bound_is_one_line(trained, images, capsys, monkeypatch, method, options):
    infinite, none = np.full(5, -np.inf), np.zeros(5)
    found = {
        "score": Scores(infinite, infinite, 500, 0.0),
        "annealed": Annealed(infinite, none, none, 0.0, []),
    }
    monkeypatch.setattr(TrainedHierarchy, method, lambda *_: found[method])
    said = "a bound is infinite"
    assert said in refused(images, trained.id, capsys, *options, "--json")


def test_options_of_ais_are_refused_without_it(trained, images, capsys):
    for option in ("--chains", "--temperatures"):
        assert "are of --ais" in refused(images, trained.id, capsys, option, "8")


def test_scoring_writes_nothing_into_the_store(trained, local, images, capsys):
    before = files(local.root)
    with read_only(local.root):
        scored(images, trained.id, capsys, "--binarise")
    assert files(local.root) == before


@pytest.fixture
def published(trainings):
    """A Ladder network with its weights in `results/` alone."""
    shutil.copytree(trainings(LADDER), NAMED["results"])
    return LADDER


def test_a_run_is_found_in_whatever_profile_and_store_has_it(trained, published, images, capsys):
    """Its own profile is not the fullest of `runs/`; another Run is in `results/` alone."""
    fixture_store.write(Store(NAMED["runs"]), "quick", quick_run())
    for wanted, options in ((trained, ["--binarise"]), (published, [])):
        told = scored(images, wanted.id, capsys, *options)
        assert (told["run"], told["profile"]) == (wanted.id, PROFILE)


@pytest.mark.parametrize(
    ("wanted", "where", "code", "said"),
    [
        (LADDER.id, ["--store", "runs"], 2, f"unknown Run '{LADDER.id}'"),
        ("mnist-none-L1-s1", [], 2, "unknown Run 'mnist-none-L1-s1'"),
        (quick_run().id, ["--store", "runs"], 3, f"no record of {quick_run().id}"),
    ],
)
def test_what_a_store_lacks_is_not_looked_for_in_another(
    trained, published, images, capsys, wanted, where, code, said
):
    capsys.readouterr()
    assert run(["score", str(images), "--run", wanted, *where]) == code
    assert said in one_line(capsys)
