"""`repro score`: files of images that it reads, and trained models on them."""

import io
import shutil
from collections import Counter

import fixture_store
import ladder_small
import numpy as np
import pandas as pd
import pytest
import small
from commands import printed, quick_run, refusal, told
from fixture_data import refused
from fixture_disk import files, read_only
from fixture_omniglot import packed
from PIL import Image

from repro.api import Annealed, Scores, TrainedHierarchy
from repro.cli.shared.images import read_images
from repro.errors import DataError
from repro.store.places import NAMED

PROFILE = "smoke"
LVAE, LADDER = small.run("lvae", 3), ladder_small.run()
GAUSSIAN = small.run("lvae", 2, observation="gaussian", nonlinearity="tanh")
X = small.PIXELS
GREY = small.grey(5)
BITS = (GREY > 128).astype(np.uint8)
SHARES = GREY / 256
BLACK = np.zeros((2, 784), np.uint8)
NUMBERED = ",".join(map(str, range(784)))
PANDAS = pd.DataFrame(BITS).add_prefix("p").to_csv(index=False).encode()
AIS = ("--binarise", "--ais", "--temperatures", "4", "--chains")
HEADED = {"fmt": "%d", "comments": ""}  # columns with a header


def written(save, *given, **named) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *given, **named)
    return buffer.getvalue()


def text(array, separator=",", **options) -> bytes:
    return written(np.savetxt, array, delimiter=separator, **options)


MIXED = np.array([[0, 0.5], [1, 0.25]])
READ = {
    "npy": ("x.npy", written(np.save, GREY), GREY),
    "npy of another name": ("x.dat", written(np.save, GREY), GREY),
    "npz": ("x.npz", written(np.savez, images=GREY), GREY),
    "packed npz": ("x.npz", written(np.savez_compressed, GREY), GREY),
    "csv": ("x.csv", text(GREY, fmt="%d"), GREY),
    "csv of whole floats": ("x.csv", text(GREY), GREY),
    "csv of real values": ("x.CSV", text(SHARES), SHARES),
    "csv with names": ("x.csv", text(GREY, header="a,b", **HEADED), GREY),
    "csv of pandas": ("x.csv", PANDAS, BITS),
    "csv with numbered columns": ("x.csv", text(BLACK, header=NUMBERED, **HEADED), BLACK),
    "csv of booleans": ("x.csv", text(BITS.astype(bool), fmt="%s"), BITS),
    "csv of booleans and real values": ("x.csv", b"False,0.5\nTrue,0.25\n", MIXED),
    "csv with a mark": ("x.csv", b"\xef\xbb\xbf" + text(BITS, fmt="%d"), BITS),
    "csv in quotes": ("x.csv", b'"1","0"\n"0","1"\n', np.eye(2)),
    "amat": ("x.amat", text(BITS, " "), BITS),
    "amat of real values": ("x.amat", text(SHARES, "  "), SHARES),
}


@pytest.mark.parametrize(("name", "content", "expected"), READ.values(), ids=READ)
def test_images_are_read(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    found = read_images(tmp_path / name)
    np.testing.assert_array_equal(found, expected)
    real = expected is SHARES or expected is MIXED
    assert found.dtype.kind == ("f" if real else "iu"[found.dtype == np.uint8])


PNG = written(Image.fromarray(GREY).save, "PNG")
PICKLED = written(np.save, np.array([{"a": 1}], dtype=object), allow_pickle=True)
OTHERWISE = ("file of images", "alone", "as many numbers")
ZIP = written(np.savez, GREY)
NOT_READ = {
    "none": ("x.npy", None, "cannot read (No such file or directory): name a file of images"),
    "nonsense": ("x.npy", b"nonsense", "no plain array"),
    "empty": ("x.npy", b"", "empty"),
    "damaged header": ("x.npy", written(np.save, GREY).replace(b"), }", b" , }"), "no plain array"),
    "cut off": ("x.npy", b"\x93NUMPY\x01\x00", "no plain array"),
    "cut off zip": ("x.npz", ZIP[:-40], "no plain array"),
    "damaged zip": ("x.npz", ZIP.replace(GREY.tobytes(), bytes(GREY.size)), "CRC"),
    "pickled": ("x.npy", PICKLED, "np.save"),
    "pickled in npz": ("x.npz", written(np.savez, a=np.array([{}])), "np.save"),
    "several": (
        "x.npz",
        written(np.savez, a=GREY, b=GREY),
        "several arrays (a, b): save the images alone",
    ),
    "a table in a zip": ("x.zip", packed([("x.csv", b"1,0\n")]), "x.csv in it is none"),
    "nonsense in npz": ("x.npz", packed([("a.npy", b"nonsense")]), "a in it is none"),
    "no array": ("x.npz", written(np.savez), "no array: save the images alone"),
    "png": ("x.png", PNG, "PNG"),
    "png called csv": ("x.csv", PNG, "no plain array"),
    "empty csv": ("x.csv", b"", "no plain array"),
    "a letter among the first numbers": ("x.csv", b"0,O,1\n0,1,1\n", "column 2 holds what"),
    "words": ("x.csv", b"1,2\n3,word\n", "column 2 holds what is no number"),
    "semicolons": ("x.csv", b"1;2\n3;4\n", "column 1"),
    "a longer row": ("x.amat", b"1 0\n1 0 1\n", "in line 2, saw 3): give all rows as many numbers"),
    "a shorter row": (
        "x.csv",
        b"a,b\n1,0\n1\n",
        "image 2 lacks numbers): give all rows as many numbers",
    ),
}


@pytest.mark.parametrize(("name", "content", "said"), NOT_READ.values(), ids=NOT_READ)
def test_other_files_are_refused_with_the_formats_that_are_read(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    remedy = "" if said.endswith(OTHERWISE) else ".npz (np.savez), .csv"
    with refused(DataError, str(path), said, remedy):
        read_images(path)


@pytest.fixture
def images(tmp_path):
    """Five grey images as bytes."""
    np.save(tmp_path / "images.npy", GREY)
    return tmp_path / "images.npy"


def scored(path, run_id, capsys, *options):
    return printed(capsys, "score", str(path), "--run", run_id, "--samples", "5", *options)


def test_grey_images_are_scored_once_binarised(trained, images, capsys):
    found = scored(images, trained.id, capsys, "--binarise")
    assert (found["images"], found["K"], len(found["each"]["LK"])) == (5, 5, 5)
    assert found["LK"] == pytest.approx(np.mean(found["each"]["LK"]))
    assert found["LK_se"] == pytest.approx(np.std(found["each"]["LK"], ddof=1) / 5**0.5)
    out = images.with_suffix(".csv")
    asked = ("score", str(images), "--run", trained.id, "--binarise", "--out", str(out))
    assert "L_500" in told(capsys, *asked)
    assert pd.read_csv(out).columns.tolist() == ["image", "L1", "LK"]
    for place, said in ((images, "the images themselves"), (images.parent, "a folder")):
        assert said in refusal(capsys, *asked[:-1], str(place), code=2)


@pytest.mark.parametrize("trained", [LADDER], indirect=True)
@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_a_ladder_network_takes_bytes_and_says_classes(trained, local, images, capsys, kind):
    np.save(images, ladder_small.raw().test.astype(kind))
    out = images.with_suffix(".csv")
    said = told(capsys, "score", str(images), "--run", trained.id, "--out", str(out))
    expected = local.record(PROFILE, trained.id).arrays("predictions")["predicted"]
    assert pd.read_csv(out)["class"].tolist() == expected.tolist()
    assert all(f"{n} of class {c}" in said for c, n in Counter(expected.tolist()).items())


def test_however_binary_images_are_stored_they_score_the_same(trained, images, capsys):
    kinds = [BITS.astype(kind) for kind in (np.int64, bool, ">f8")]
    found = []
    for array in (BITS, *kinds, np.asfortranarray(BITS), BITS.reshape(5, 1, X)):
        np.save(images, array)
        found.append(scored(images, trained.id, capsys)["each"])
    assert found == [found[0]] * 6


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
    # Bytes of its shape, or pixels.
    (LADDER, np.zeros(()), [], "shape ()"),
    (LADDER, WIDE, [], f"give [N, {X}]"),
    (LADDER, np.zeros((3, X), "M8[s]"), [], "give real numbers"),
    (LADDER, np.zeros((3, X), [("a", "u1")]), [], "give real numbers"),
    (LADDER, np.full((3, X), 1e300), [], "not finite"),
    # Bytes, floats of bytes, bits, negatives, booleans.
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
    asked = ("score", str(images), "--run", trained.id)
    assert said in refusal(capsys, *asked, *options, code=2)


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


def test_what_is_drawn_once_has_no_monte_carlo_error(trained, images, capsys):
    once = (*AIS, "1", "--samples", "1")
    said = told(capsys, "score", str(images), "--run", trained.id, *once)
    assert all(f"one {drawn}: no MC error" in said for drawn in ("sample", "chain"))
    found = scored(images, trained.id, capsys, *once)
    assert found["LK_mc_error"] is found["AIS_mc_error"] is None


INFINITE, ZERO = np.full(5, -np.inf), np.zeros(5)


def test_an_infinite_bound_is_refused(trained, images, capsys, monkeypatch):
    asked = ("score", str(images), "--run", trained.id, "--json", *AIS, "2")
    for method, found in (
        ("annealed", Annealed(INFINITE, ZERO, ZERO, 0.0, [])),
        ("score", Scores(INFINITE, INFINITE, 500, 0.0)),
    ):
        monkeypatch.setattr(TrainedHierarchy, method, lambda *_, found=found: found)
        assert "a bound is infinite" in refusal(capsys, *asked, code=2)


def test_scoring_writes_nothing_into_the_store(trained, local, images, capsys):
    before = files(local.root)
    with read_only(local.root):
        scored(images, trained.id, capsys, "--binarise")
    assert files(local.root) == before


def test_a_run_is_found_in_whatever_profile_and_store_has_it_unless_one_is_named(
    trained, trainings, local, images, capsys
):
    """Its own profile is not the fullest of `runs/`; another Run is in `results/` alone."""
    shutil.copytree(trainings(LADDER), NAMED["results"])
    for wanted, where, code, said in (
        (LADDER.id, ["--store", "runs"], 2, f"unknown Run '{LADDER.id}'"),
        ("mnist-none-L1-s1", [], 2, "unknown Run 'mnist-none-L1-s1'"),
        (quick_run().id, ["--store", "runs"], 3, f"no record of {quick_run().id}"),
    ):
        asked = ("score", str(images), "--run", wanted, *where)
        assert said in refusal(capsys, *asked, code=code)
    fixture_store.write(local, "quick", quick_run())
    for run, options in ((trained, ["--binarise"]), (LADDER, [])):
        found = scored(images, run.id, capsys, *options)
        assert (found["run"], found["profile"]) == (run.id, PROFILE)
