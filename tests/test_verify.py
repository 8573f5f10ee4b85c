"""`repro verify` and `repro score`: models against their records, and on images of a user."""

from __future__ import annotations

import json
from pathlib import Path

import ladder_small
import numpy as np
import pandas as pd
import pytest
import small
import torch
from commands import one_line

from repro import score as scoring
from repro import streams
from repro.cli import run
from repro.config import Run
from repro.engine.local import Options, train
from repro.engine.weights import (
    ADAM,
    load_adam,
    load_statistics,
    load_weights,
    save_weights,
    weights_path,
)
from repro.evaluate import Noise
from repro.store import Store

PROFILE = "smoke"
LVAE, LADDER = small.run("lvae", 3), ladder_small.run()
OPTIONS = Options(engine="eager", threads=1)
DATA = {LVAE.id: small.raw, LADDER.id: ladder_small.raw}
BOTH = pytest.mark.parametrize("trained", [LVAE, LADDER], ids=["lvae", "ladder"], indirect=True)


@pytest.fixture
def trained(request: pytest.FixtureRequest, local: Store, monkeypatch) -> Run:
    """A Run of `runs/` with its weights."""
    chosen: Run = getattr(request, "param", LVAE)
    monkeypatch.setattr("repro.data.load", DATA[chosen.id])
    train([chosen], local, PROFILE, OPTIONS)
    return chosen


def weights(store: Store, of: Run) -> Path:
    return weights_path(store.folder(PROFILE), of)


def verified(capsys: pytest.CaptureFixture[str], run_id: str, code: int = 0) -> list[dict]:
    assert run(["verify", run_id, "--json", "--threads", "1"]) == code
    rows: list[dict] = json.loads(capsys.readouterr().out)
    return rows


@BOTH
def test_a_record_agrees_with_its_weights_to_the_last_digit(trained, capsys):
    rows = verified(capsys, trained.id)
    assert len(rows) > 4
    assert all(row["again"] == row["recorded"] for row in rows)


@BOTH
def test_verifying_changes_nothing(trained, local, capsys):
    files = {p: p.read_bytes() for p in local.root.rglob("*") if p.is_file()}
    verified(capsys, trained.id)
    assert {p: p.read_bytes() for p in local.root.rglob("*") if p.is_file()} == files


@BOTH
def test_other_weights_than_the_record_s_are_found_out(trained, local, capsys):
    path = weights(local, trained)
    params = {name: value * 0.9 for name, value in load_weights(path)[1].items()}
    save_weights(path, trained, params)
    rows = verified(capsys, trained.id, code=1)
    assert not all(row["agrees"] for row in rows)


def test_a_difference_is_one_line_and_a_table(trained, local, capsys):
    path = weights(local, trained)
    save_weights(path, trained, {n: p * 0.9 for n, p in load_weights(path)[1].items()})
    assert run(["verify", trained.id]) == 1
    shown = capsys.readouterr()
    assert f"{trained.id}: its weights do not give what its record says" in shown.err
    assert "differs" in shown.out


def test_draws_of_another_device_are_allowed_for(trained, capsys, monkeypatch):
    def other(of: Run, epoch: int, device: torch.device) -> Noise:
        return lambda purpose, i, shape: streams.normal(99, purpose, epoch, i, shape=shape)

    monkeypatch.setattr(scoring, "noise_of", other)
    rows = verified(capsys, trained.id)
    assert all(row["agrees"] for row in rows)
    assert any(abs(row["again"] - row["recorded"]) > 0.01 for row in rows)


def test_a_damaged_record_is_refused(trained, local, capsys):
    (local.folder(PROFILE, trained.id) / "curve.csv").write_text("epoch\n")
    capsys.readouterr()
    assert run(["verify", trained.id]) == 3
    assert "checksum differs" in one_line(capsys)


def test_a_diverged_run_has_nothing_to_verify(local, capsys, monkeypatch):
    wild = ladder_small.run(optim={"lr": 1e30})
    monkeypatch.setattr("repro.data.load", ladder_small.raw)
    train([wild], local, PROFILE, OPTIONS)
    capsys.readouterr()
    assert run(["verify", wild.id]) == 3
    assert "diverged" in one_line(capsys)


@BOTH
def test_evaluating_completes_weights_of_an_older_version(trained, local, capsys):
    path = weights(local, trained)
    expected, adam = load_statistics(path, trained), load_adam(path)
    params = {**load_weights(path)[1], **{ADAM + n: p for n, p in adam.items()}}
    save_weights(path, trained, params)
    assert run(["evaluate", trained.id, "--profile", PROFILE, "--threads", "1"]) == 0
    found = load_statistics(path, trained)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[n].var, expected[n].var) for n in expected)
    assert load_adam(path).keys() == adam.keys()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Five grey images as bytes."""
    np.save(tmp_path / "images.npy", small.grey(5))
    return tmp_path / "images.npy"


def test_grey_images_are_scored_once_binarised(trained, images, capsys):
    capsys.readouterr()
    asked = ["score", str(images), "--run", trained.id, "--samples", "9", "--binarise", "--json"]
    assert run(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["K"], len(told["each"]["LK"])) == (5, 9, 5)
    assert told["LK"] == pytest.approx(np.mean(told["each"]["LK"]))
    assert told["LK_se"] == pytest.approx(np.std(told["each"]["LK"], ddof=1) / 5**0.5)


def test_grey_images_without_binarisation_are_refused(trained, images, capsys):
    capsys.readouterr()
    assert run(["score", str(images), "--run", trained.id]) == 2
    assert "--binarise" in one_line(capsys)


def test_only_bytes_are_binarised(trained, images, capsys):
    np.save(images, small.grey(5) / 255)
    capsys.readouterr()
    assert run(["score", str(images), "--run", trained.id, "--binarise"]) == 2
    assert "dtype uint8" in one_line(capsys)


@pytest.mark.parametrize("trained", [LADDER], indirect=True)
def test_a_ladder_network_takes_bytes_and_says_classes(trained, local, tmp_path, capsys):
    np.save(tmp_path / "images.npy", ladder_small.raw().test)
    out = tmp_path / "classes.csv"
    asked = ["score", str(tmp_path / "images.npy"), "--run", trained.id, "--out", str(out)]
    assert run(asked) == 0
    expected = local.record(PROFILE, trained.id).arrays("predictions")["predicted"]
    assert pd.read_csv(out)["class"].tolist() == expected.tolist()


def test_one_line_an_image_is_written_and_said(trained, images, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    asked = ["score", str(images), "--run", trained.id, "--binarise", "--out", str(out)]
    assert run(asked) == 0
    assert pd.read_csv(out).columns.tolist() == ["image", "L1", "LK"]
    assert "L_500" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read"),
        (b"nonsense", "no plain array"),
        (b"", "no plain array"),
        (b"\x93NUMPY\x01\x00", "no plain array"),
    ],
)
def test_a_file_that_holds_no_images_is_refused(trained, tmp_path, capsys, content, said):
    path = tmp_path / "own.npy"
    if content is not None:
        path.write_bytes(content)
    capsys.readouterr()
    assert run(["score", str(path), "--run", trained.id]) == 3
    assert said in one_line(capsys)


def test_pickled_images_are_never_loaded(trained, tmp_path, capsys):
    np.save(tmp_path / "own.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    capsys.readouterr()
    assert run(["score", str(tmp_path / "own.npy"), "--run", trained.id]) == 3
    assert "np.save" in one_line(capsys)


def test_several_arrays_in_one_file_are_refused(trained, tmp_path, capsys):
    np.savez(tmp_path / "own.npz", a=small.grey(2), b=small.grey(2))
    capsys.readouterr()
    assert run(["score", str(tmp_path / "own.npz"), "--run", trained.id]) == 3
    assert "several arrays" in one_line(capsys)


def test_an_unknown_run_is_refused(trained, images, capsys):
    capsys.readouterr()
    assert run(["score", str(images), "--run", "mnist-none-L1-s1"]) == 3
    assert "no record of mnist-none-L1-s1" in one_line(capsys)
