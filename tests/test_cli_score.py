"""`repro score`: trained models on images of a user."""

import shutil
import warnings
from collections import Counter

import fixture_store
import ladder_small
import numpy as np
import pandas as pd
import pytest
import small
from commands import printed, quick_run, refusal, told
from fixture_disk import files, read_only

from repro.api import Annealed, Scores, TrainedHierarchy
from repro.store import Store
from repro.store.places import NAMED

PROFILE = "smoke"
LVAE, LADDER = small.run("lvae", 3), ladder_small.run()
GAUSSIAN = small.run("lvae", 2, observation="gaussian", nonlinearity="tanh")
X = small.PIXELS
GREY = small.grey(5)
BITS = (GREY > 128).astype(np.uint8)
AIS = ("--binarise", "--ais", "--temperatures", "4", "--chains")


@pytest.fixture
def images(tmp_path):
    """Five grey images as bytes."""
    np.save(tmp_path / "images.npy", GREY)
    return tmp_path / "images.npy"


def scored(path, run_id, capsys, *options):
    return printed(capsys, "score", str(path), "--run", run_id, "--samples", "5", *options)


def refused(path, run_id, capsys, *options) -> str:
    """The one line that says why images are not scored: wrong usage."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return refusal(capsys, "score", str(path), "--run", run_id, *options, code=2)


def test_grey_images_are_scored_once_binarised(trained, images, capsys):
    found = scored(images, trained.id, capsys, "--binarise")
    assert (found["images"], found["K"], len(found["each"]["LK"])) == (5, 5, 5)
    assert found["LK"] == pytest.approx(np.mean(found["each"]["LK"]))
    assert found["LK_se"] == pytest.approx(np.std(found["each"]["LK"], ddof=1) / 5**0.5)
    out = images.with_suffix(".csv")
    asked = ("score", str(images), "--run", trained.id, "--binarise", "--out", str(out))
    assert "L_500" in told(capsys, *asked)
    assert pd.read_csv(out).columns.tolist() == ["image", "L1", "LK"]


@pytest.mark.parametrize("trained", [LADDER], indirect=True)
@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_a_ladder_network_takes_bytes_and_says_classes(trained, local, images, capsys, kind):
    np.save(images, ladder_small.raw().test.astype(kind))
    out = images.with_suffix(".csv")
    said = told(capsys, "score", str(images), "--run", trained.id, "--out", str(out))
    expected = local.record(PROFILE, trained.id).arrays("predictions")["predicted"]
    assert pd.read_csv(out)["class"].tolist() == expected.tolist()
    assert all(f"{n} of class {c}" in said for c, n in Counter(expected.tolist()).items())


@pytest.mark.parametrize(
    "stored",
    [
        BITS.astype(np.int64),
        BITS.astype(bool),
        BITS.astype(">f8"),
        np.asfortranarray(BITS),
        BITS.reshape(5, 1, X),
    ],
    ids=["int64", "bool", "big-endian", "Fortran order", "height and width"],
)
def test_however_binary_images_are_stored_they_score_the_same(trained, images, capsys, stored):
    found = []
    for array in (BITS, stored):
        np.save(images, array)
        found.append(scored(images, trained.id, capsys)["each"])
    assert found[0] == found[1]


@pytest.mark.parametrize("trained", [GAUSSIAN], indirect=True)
def test_a_model_of_real_values_takes_its_training_set_s_units(trained, images, capsys):
    np.save(images, (GREY + 0.999999) / np.float32(256))
    assert np.isfinite(scored(images, trained.id, capsys)["LK"])


WIDE, NONE = np.zeros((3, X + 1), np.uint8), np.zeros((0, X), np.uint8)
UNITS = "real values from 0 to 1: give (byte + u) / 256"
REFUSED = [
    (LVAE, GREY, [], "--binarise"),
    # Only bytes of its shape are binarised.
    (LVAE, GREY / 255, ["--binarise"], "np.rint(255 * images)"),
    (LVAE, GREY * np.uint16(2), ["--binarise"], "type uint16, from 0 to 510"),
    (LVAE, NONE, ["--binarise"], f"give [N, {X}]"),
    (LVAE, WIDE, ["--binarise"], f"give [N, {X}]"),
    *(
        (model, *refused)
        for model in (LVAE, LADDER)
        for refused in (
            (np.zeros(()), [], "shape ()"),
            (WIDE, [], f"give [N, {X}]"),
            (np.zeros((3, X), "M8[s]"), [], "give real numbers"),
            (np.zeros((3, X), [("a", "u1")]), [], "give real numbers"),
            (np.full((3, X), 1e300), [], "not finite"),
        )
    ),
    # A model of real values takes no others: bytes, floats of bytes, bits, negatives, booleans.
    (GAUSSIAN, GREY, [], UNITS),
    (GAUSSIAN, GREY / 1.0, [], UNITS),
    (GAUSSIAN, np.ones((2, X), int), [], UNITS),
    (GAUSSIAN, np.full((2, X), -0.1), [], UNITS),
    (GAUSSIAN, BITS > 0, [], UNITS),
    # No model takes an option that means nothing to it.
    (LADDER, GREY, ["--binarise"], "Ladder network"),
    (LADDER, GREY, ["--ais"], "Ladder network"),
    (GAUSSIAN, GREY, ["--binarise"], "models real values"),
    (LVAE, GREY, ["--chains", "8"], "are of --ais"),
    (LVAE, GREY, ["--temperatures", "8"], "are of --ais"),
]


@pytest.mark.parametrize(("trained", "stored", "options", "said"), REFUSED, indirect=["trained"])
def test_what_a_model_cannot_score_is_one_line(trained, images, capsys, stored, options, said):
    np.save(images, stored)
    assert said in refused(images, trained.id, capsys, *options)


def test_chains_say_their_estimate_and_how_they_came_to_it(trained, images, capsys):
    out = images.with_suffix(".csv")
    found = scored(images, trained.id, capsys, *AIS, "3", "--out", str(out))
    each = found.pop("each")
    assert found["AIS"] == pytest.approx(np.mean(each["AIS"]))
    assert found["AIS_se"] == pytest.approx(np.std(each["AIS"], ddof=1) / 5**0.5)
    assert found["AIS_mc_error"] == pytest.approx(np.linalg.norm(each["AIS_mc_error"]) / 5)
    assert found["AIS_accepted"] == pytest.approx(np.mean(each["AIS_accepted"]))
    assert 0 < found["AIS_accepted"] <= 1
    assert (found["chains"], found["temperatures"], len(found["step_sizes"])) == (3, 4, 3)
    np.testing.assert_allclose(pd.read_csv(out)["AIS"], each["AIS"], rtol=1e-6)
    assert scored(images, trained.id, capsys, *AIS, "3")["each"] == each
    assert scored(images, trained.id, capsys, *AIS, "3", "--seed", "1")["AIS"] != found["AIS"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (("--binarise", "--samples", "1"), "LK_mc_error", "one sample: no MC error"),
        ((*AIS, "1"), "AIS_mc_error", "one chain: no MC error"),
    ],
)
def test_what_is_drawn_once_has_no_monte_carlo_error(trained, images, capsys, options, error, said):
    assert said in told(capsys, "score", str(images), "--run", trained.id, *options)
    assert scored(images, trained.id, capsys, *options)[error] is None


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
    assert "a bound is infinite" in refused(images, trained.id, capsys, *options, "--json")


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
        found = scored(images, wanted.id, capsys, *options)
        assert (found["run"], found["profile"]) == (wanted.id, PROFILE)


@pytest.mark.parametrize(
    ("wanted", "where", "code", "said"),
    [
        (LADDER.id, ["--store", "runs"], 2, f"unknown Run '{LADDER.id}'"),
        ("mnist-none-L1-s1", [], 2, "unknown Run 'mnist-none-L1-s1'"),
        (quick_run().id, ["--store", "runs"], 3, f"no record of {quick_run().id}"),
    ],
)
def test_no_other_store_is_asked(trained, published, images, capsys, wanted, where, code, said):
    assert said in refusal(capsys, "score", str(images), "--run", wanted, *where, code=code)
