"""`repro verify`: what a record says beside what its weights do."""

import json
from collections.abc import Callable
from pathlib import Path

import ladder_small
import numpy as np
import pytest
import small
import torch
from commands import refusal
from fixture_disk import files, read_only
from small_training import OPTIONS

from repro.cli import run
from repro.machine import rescoring
from repro.machine.local import train
from repro.machine.saved.weights import (
    ADAM,
    load_adam,
    load_statistics,
    load_weights,
    save_weights,
    weights_path,
)
from repro.model import streams
from repro.plan.run import Run
from repro.store import Store
from repro.train import score as scoring
from repro.train.evaluate import ROWS, Noise

PROFILE = "smoke"
LVAE, LADDER = small.run("lvae", 3), ladder_small.run()
BOTH = pytest.mark.parametrize("trained", [LVAE, LADDER], ids=["lvae", "ladder"], indirect=True)


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
    measured = [row for row in rows if "of its images" not in row["name"]]
    assert all(row["again"] == row["recorded"] for row in measured)
    assert all(row["agrees"] for row in rows)


def spoil(store: Store, of: Run, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Other weights than those that gave the record."""
    path = weights(store, of)
    save_weights(path, of, {name: change(p) for name, p in load_weights(path)[1].items()})


@BOTH
def test_other_weights_than_the_record_s_are_found_out(trained, local, capsys):
    spoil(local, trained, lambda p: p * 0.9)
    assert not all(row["agrees"] for row in verified(capsys, trained.id, code=1))


def test_a_difference_is_one_line_and_a_table(trained, local, capsys):
    spoil(local, trained, lambda p: p * 0.9)
    assert run(["verify", trained.id]) == 1
    shown = capsys.readouterr()
    assert f"{trained.id}: its weights do not give what its record says" in shown.err
    assert "differs" in shown.out


def move_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on draws are others, as on a CUDA device."""

    def other(of: Run, epoch: int, device: torch.device) -> Noise:
        return lambda purpose, i, shape: streams.normal(99, purpose, epoch, i, shape=shape)

    monkeypatch.setattr(scoring, "noise_of", other)
    monkeypatch.setattr(rescoring, "on_cpu", lambda _: False)


def test_draws_of_another_device_are_allowed_for(trained, capsys, monkeypatch):
    move_elsewhere(monkeypatch)
    rows = verified(capsys, trained.id)
    assert all(row["agrees"] for row in rows)
    assert any(abs(row["again"] - row["recorded"]) > 0.01 for row in rows)


@pytest.mark.parametrize(("same", "rows"), [(True, 5), (False, ROWS)])
def test_chunks_are_the_record_s_on_a_device_of_the_same_kind(
    trained, local, capsys, monkeypatch, same, rows
):
    """Those of a large GPU would not fit elsewhere, and name no draw there."""
    record, seen, score = local.record(PROFILE, trained.id), [], rescoring._score
    env = {**record.env, "scoring_rows": 5}
    arrays = {Path(n).stem: record.arrays(Path(n).stem) for n in record.files if n[-4:] == ".npz"}
    local.write(PROFILE, trained, env, record.final, record.curve(), arrays)
    monkeypatch.setattr(rescoring, "on_cpu", lambda _: same)
    monkeypatch.setattr(rescoring, "_score", lambda *a: seen.append(a[2].room.rows) or score(*a))
    run(["verify", trained.id, "--threads", "1"])
    assert seen == [rows]


def altered(store: Store, of: Run, final: dict | None = None, **arrays: dict) -> None:
    """Rewrite a record with other numbers, under checksums of its own."""
    record = store.record(PROFILE, of.id)
    names = [Path(name).stem for name in record.files if name.endswith(".npz")]
    kept = {name: {**record.arrays(name), **arrays.get(name, {})} for name in names}
    store.write(PROFILE, of, record.env, {**record.final, **(final or {})}, record.curve(), kept)


def differing(capsys: pytest.CaptureFixture[str], of: Run) -> set[str]:
    capsys.readouterr()
    return {row["name"] for row in verified(capsys, of.id, code=1) if not row["agrees"]}


@pytest.mark.parametrize("name", ["L1_train", "L1_test", "LK_test", "L1_se", "LK_mc_error"])
def test_one_altered_number_is_found_out(trained, local, capsys, name):
    altered(local, trained, {name: local.record(PROFILE, trained.id).final[name] + 0.05})
    assert name in differing(capsys, trained)


@pytest.mark.parametrize("name", ["L1_test", "LK_test"])
def test_a_mean_is_held_against_its_images_where_draws_are_others(
    trained, local, capsys, monkeypatch, name
):
    altered(local, trained, {name: local.record(PROFILE, trained.id).final[name] + 0.05})
    move_elsewhere(monkeypatch)
    assert f"{name}, of its images" in differing(capsys, trained)


@pytest.mark.parametrize("name", ["kl_layers", "active_units"])
def test_an_altered_layer_is_found_out(trained, local, capsys, name):
    first, *rest = local.record(PROFILE, trained.id).final[name]
    altered(local, trained, {name: [first - 1, *rest]})
    assert differing(capsys, trained) == {f"{'KL' if name == 'kl_layers' else 'active'}_1"}


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "another device"])
@pytest.mark.parametrize("bound", ["L1", "LK"])
def test_noise_on_bounds_of_images_hides_nothing(
    trained, local, capsys, monkeypatch, bound, elsewhere
):
    """Differences that spread widely would allow means to lie far apart."""
    if elsewhere:
        move_elsewhere(monkeypatch)
    before = local.record(PROFILE, trained.id).arrays("per_image")[bound]
    noise = np.random.default_rng(0).normal(0, 30, len(before)).astype(np.float32)
    mean = float((before + noise).astype(float).mean())
    altered(local, trained, {f"{bound}_test": mean}, per_image={bound: before + noise})
    assert f"{bound} apart, rms" in differing(capsys, trained)


def test_weights_of_another_training_are_found_out_although_its_means_agree(trained, local, capsys):
    """As where a Run was trained again and its older weights stayed."""
    path, noise = weights(local, trained), torch.Generator().manual_seed(0)
    params = load_weights(path)[1]
    params["x.out.W"] += 0.05 * torch.randn(params["x.out.W"].shape, generator=noise)
    save_weights(path, trained, params)
    rows = {row["name"]: row for row in verified(capsys, trained.id, code=1)}
    assert rows["L1_test"]["agrees"]
    assert not rows["L1 apart, rms"]["agrees"]


@pytest.mark.parametrize("trained", [LADDER], indirect=True)
def test_one_image_more_classified_right_is_found_out(trained, local, capsys):
    record = local.record(PROFILE, trained.id)
    told, true = record.arrays("predictions")["predicted"].copy(), ladder_small.raw().test_labels
    told[np.flatnonzero(told != true)[0]] = true[np.flatnonzero(told != true)[0]]
    errors = record.final["errors"] - 1
    better = {"errors": errors, "error_percent": 100 * errors / len(told)}
    altered(local, trained, better)
    assert "errors, of its images" in differing(capsys, trained)
    altered(local, trained, better, predictions={"predicted": told})
    assert "classified otherwise" in differing(capsys, trained)


@pytest.mark.parametrize("trained", [LADDER], indirect=True)
def test_an_altered_cost_is_found_out(trained, local, capsys):
    first, *rest = local.record(PROFILE, trained.id).final["denoising"]
    altered(local, trained, {"denoising": [0.99 * first, *rest]})
    assert differing(capsys, trained) == {"C_0"}


@BOTH
def test_weights_that_give_no_finite_number_are_refused(trained, local, capsys):
    spoil(local, trained, lambda p: p * torch.nan)
    for command in (["verify", trained.id, "--json"], ["evaluate", trained.id]):
        said = refusal(capsys, *command, "--profile", PROFILE, "--threads", "1")
        assert "no finite numbers" in said


def test_bounds_of_other_images_are_refused(trained, local, capsys):
    few = local.record(PROFILE, trained.id).arrays("per_image")["L1"][:3]
    altered(local, trained, per_image={"L1": few})
    assert "per_image.npz" in refusal(capsys, "verify", trained.id, "--threads", "1")


@BOTH
def test_a_store_that_nobody_can_write_to_can_be_verified_and_does_not_change(
    trained, local, capsys
):
    before = files(local.root)
    with read_only(local.root):
        verified(capsys, trained.id)
    assert files(local.root) == before


def test_a_damaged_record_is_refused(trained, local, capsys):
    (local.folder(PROFILE, trained.id) / "curve.csv").write_text("epoch\n")
    assert "checksum differs" in refusal(capsys, "verify", trained.id, "--threads", "1")


def test_a_diverged_run_has_nothing_to_verify(local, capsys, monkeypatch):
    wild = ladder_small.run(optim={"lr": 1e30})
    monkeypatch.setattr("repro.data.load", ladder_small.raw)
    train([wild], local, PROFILE, OPTIONS)
    assert "diverged" in refusal(capsys, "verify", wild.id, "--threads", "1")


@BOTH
def test_evaluating_completes_weights_of_an_older_version(trained, local):
    path = weights(local, trained)
    expected, adam = load_statistics(path, trained), load_adam(path)
    params = {**load_weights(path)[1], **{ADAM + n: p for n, p in adam.items()}}
    save_weights(path, trained, params)
    assert run(["evaluate", trained.id, "--profile", PROFILE, "--threads", "1"]) == 0
    found = load_statistics(path, trained)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[n].var, expected[n].var) for n in expected)
    assert load_adam(path).keys() == adam.keys()


@BOTH
def test_annealing_is_kept_beside_a_record_and_a_ladder_refused(
    trained, local, capsys, monkeypatch
):
    """Another evaluation without it keeps what was estimated from the same weights, and by whom."""

    def of(commit: str, dirty: bool) -> None:
        code = {"commit": commit, "dirty": dirty}
        monkeypatch.setattr("repro.machine.work.software", lambda: code)

    monkeypatch.setattr("repro.train.annealing.score.TEMPERATURES", 3)
    monkeypatch.setattr("repro.train.annealing.score.CHAINS", 2)
    asked = ["evaluate", trained.id, "--profile", PROFILE, "--threads", "1"]
    if trained == LADDER:
        assert "which has no p(x)" in refusal(capsys, *asked, "--ais", "4", code=2)
        return
    assert "ask for fewer" in refusal(capsys, *asked, "--ais", "99999", code=2)
    of("a", dirty=True)
    with monkeypatch.context() as patch:
        patch.setattr("repro.machine.provenance.device_name", lambda _: "an accelerator")
        assert run([*asked, "--ais", "4"]) == 0
    first = local.record(PROFILE, trained.id).final
    assert [first[f"AIS_{n}"] for n in ("images", "chains", "temperatures")] == [4, 2, 3]
    assert first["AIS_test"] == pytest.approx(first["L1_test"], abs=5)
    assert 0 < first["AIS_mc_error"] < first["AIS_se"]
    of("b", dirty=False)
    assert run(asked) == 0
    record = local.record(PROFILE, trained.id)
    again, env = record.final, record.env["evaluated_again"]
    assert (env["commit"], env["earlier_commits"], env["dirty"]) == ("b", ["a"], True)
    assert env["annealed_on"] == {"device": "an accelerator", "precision": "float32"}
    assert {n: v for n, v in again.items() if n.startswith("AIS_")} == {
        n: v for n, v in first.items() if n.startswith("AIS_")
    }
