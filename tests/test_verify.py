"""`repro verify`: what a record says beside what its weights do; and `repro evaluate`."""

from pathlib import Path

import ladder_small
import numpy as np
import pytest
import small
import torch
from commands import printed, refusal
from fixture_disk import files, read_only
from small_training import OPTIONS

from repro.cli import run
from repro.machine import rescoring
from repro.machine.local import train
from repro.machine.saved import weights
from repro.model import streams
from repro.train import score as scoring
from repro.train.evaluate import ROWS

PROFILE = "smoke"
HERE = ("--profile", PROFILE, "--threads", "1")
LVAE, LADDER = small.run("lvae", 3), ladder_small.run()
BOTH = pytest.mark.parametrize("trained", [LVAE, LADDER], ids=["lvae", "ladder"], indirect=True)
OF_LADDER = pytest.mark.parametrize("trained", [LADDER], indirect=True)


@pytest.fixture
def verified(trained, capsys):
    """What is said of each metric."""
    return lambda code=0: printed(capsys, "verify", trained.id, *HERE, code=code)


@pytest.fixture
def differing(verified):
    """The metrics that do not agree, where some do not."""
    return lambda: {row["name"] for row in verified(code=1) if not row["agrees"]}


@pytest.fixture
def path(trained, local):
    return weights.weights_path(local.folder(PROFILE), trained)


@pytest.fixture
def spoil(trained, path):
    """Saves other weights than those that gave the record."""
    params = weights.load_weights(path)[1]
    return lambda change: weights.save_weights(
        path, trained, {name: change(name, p) for name, p in params.items()}
    )


@pytest.fixture
def record(trained, local):
    return local.record(PROFILE, trained.id)


@pytest.fixture
def alter(record, local):
    """Rewrites the record with other values, under checksums of its own."""
    names = [Path(name).stem for name in record.files if name.endswith(".npz")]
    arrays = {name: record.arrays(name) for name in names}

    def change(final, env=None, **changed):
        written = {name: {**held, **changed.get(name, {})} for name, held in arrays.items()}
        env, final = {**record.env, **(env or {})}, {**record.final, **final}
        local.write(PROFILE, record.run, env, final, record.curve(), written)

    return change


@BOTH
def test_a_record_of_a_read_only_store_agrees_with_its_weights_to_the_last_digit(verified, local):
    before = files(local.root)
    with read_only(local.root):
        rows = verified()
    assert files(local.root) == before
    assert len(rows) > 4
    measured = [row for row in rows if "of its images" not in row["name"]]
    assert all(row["again"] == row["recorded"] for row in measured)
    assert all(row["agrees"] for row in rows)


@BOTH
def test_other_weights_than_the_record_s_are_one_line_and_a_table(trained, spoil, capsys):
    spoil(lambda _, p: p * 0.9)
    assert run(["verify", trained.id, *HERE]) == 1
    shown = capsys.readouterr()
    assert f"{trained.id}: its weights do not give what its record says" in shown.err
    assert "differs" in shown.out


@BOTH
def test_weights_that_give_no_finite_number_are_refused(trained, spoil, capsys):
    spoil(lambda _, p: p * torch.nan)
    for command in (["verify", trained.id, "--json"], ["evaluate", trained.id]):
        assert "no finite numbers" in refusal(capsys, *command, *HERE)


def test_weights_of_another_training_are_found_out_although_its_means_agree(spoil, differing):
    """As where a Run was trained again and its older weights stayed."""

    def other(name: str, p: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
        return p + 0.05 * noise if name == "x.out.W" else p  # in whatever order they are read

    spoil(other)
    found = differing()
    assert "L1 apart, rms" in found
    assert "L1_test" not in found


def move_elsewhere(monkeypatch: pytest.MonkeyPatch, told: bool = True) -> None:
    """From now on draws are others, as on a CUDA device, and the record says so."""

    def other(_, epoch, __):
        return lambda purpose, i, shape: streams.normal(99, purpose, epoch, i, shape=shape)

    monkeypatch.setattr(scoring, "noise_of", other)
    if told:
        monkeypatch.setattr(rescoring, "on_cpu", lambda _: False)


def test_draws_of_another_device_are_allowed_for_there_alone(verified, differing, monkeypatch):
    move_elsewhere(monkeypatch, told=False)
    assert "L1 apart, rms" in differing()
    move_elsewhere(monkeypatch)
    rows = verified()
    assert all(row["agrees"] for row in rows)
    assert any(abs(row["again"] - row["recorded"]) > 0.01 for row in rows)


@pytest.mark.parametrize(("same", "rows"), [(True, 5), (False, ROWS)])
def test_chunks_are_the_record_s_on_a_like_device(trained, alter, monkeypatch, same, rows):
    """Those of a large GPU would not fit elsewhere, and name no draw there."""
    alter({}, env={"scoring_rows": 5})
    seen, score = [], rescoring._score
    monkeypatch.setattr(rescoring, "on_cpu", lambda _: same)
    monkeypatch.setattr(rescoring, "_score", lambda *a: seen.append(a[2].room.rows) or score(*a))
    run(["verify", trained.id, *HERE])
    assert seen == [rows]


@pytest.mark.parametrize(
    ("trained", "name", "change", "row"),
    [
        *((LVAE, n, 0.05, n) for n in ("L1_train", "L1_test", "LK_test", "L1_se", "LK_mc_error")),
        (LVAE, "LK_jackknife_error", 0.05, "LK_jackknife_error"),
        (LVAE, "kl_layers", -1, "KL_1"),
        (LVAE, "active_units", -1, "active_1"),
        (LADDER, "denoising", -0.01, "C_0"),
    ],
    indirect=["trained"],
)
def test_one_altered_number_is_found_out(record, alter, differing, name, change, row):
    value = record.final[name]
    alter({name: [value[0] + change, *value[1:]] if isinstance(value, list) else value + change})
    found = differing()
    assert row in found
    assert found <= {row, f"{row}, of its images"}


@pytest.mark.parametrize("name", ["L1_test", "LK_test"])
def test_a_mean_is_held_against_its_images_elsewhere(record, alter, differing, monkeypatch, name):
    alter({name: record.final[name] + 0.05})
    move_elsewhere(monkeypatch)
    assert f"{name}, of its images" in differing()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "another device"])
@pytest.mark.parametrize("bound", ["L1", "LK"])
def test_noise_on_bounds_hides_nothing(record, alter, differing, monkeypatch, bound, elsewhere):
    """Differences that spread widely would allow means to lie far apart."""
    if elsewhere:
        move_elsewhere(monkeypatch)
    before = record.arrays("per_image")[bound]
    noisy = before + np.random.default_rng(0).normal(0, 30, len(before)).astype(np.float32)
    alter({f"{bound}_test": float(noisy.astype(float).mean())}, per_image={bound: noisy})
    assert f"{bound} apart, rms" in differing()


@OF_LADDER
def test_one_image_more_classified_right_is_found_out(record, alter, differing):
    told, true = record.arrays("predictions")["predicted"].copy(), ladder_small.raw().test_labels
    wrong = np.flatnonzero(told != true)[0]
    told[wrong] = true[wrong]
    errors = record.final["errors"] - 1
    better = {"errors": errors, "error_percent": 100 * errors / len(told)}
    alter(better)
    assert "errors, of its images" in differing()
    alter(better, predictions={"predicted": told})
    assert "classified otherwise" in differing()


def test_bounds_of_other_images_and_a_damaged_record_are_refused(record, alter, capsys):
    alter({}, per_image={"L1": record.arrays("per_image")["L1"][:3]})
    assert "per_image.npz" in refusal(capsys, "verify", record.run.id, *HERE)
    (record.folder / "curve.csv").write_text("epoch\n")
    assert "checksum differs" in refusal(capsys, "verify", record.run.id, *HERE)


def test_a_diverged_run_has_nothing_to_verify(local, capsys, monkeypatch):
    wild = ladder_small.run(optim={"lr": 1e30})
    monkeypatch.setattr("repro.data.load", ladder_small.raw)
    assert train([wild], local, PROFILE, OPTIONS).diverged == [wild.id]
    final = local.record(PROFILE, wild.id).final
    assert (final["state"], final["diverged_at"], final["error_percent"]) == ("diverged", 1, None)
    assert "diverged" in refusal(capsys, "verify", wild.id, *HERE)


@BOTH
def test_evaluating_completes_weights_of_an_older_version(trained, path):
    expected, adam = weights.load_statistics(path, trained), weights.load_adam(path)
    named = {weights.ADAM + n: p for n, p in adam.items()}
    weights.save_weights(path, trained, {**weights.load_weights(path)[1], **named})
    assert run(["evaluate", trained.id, *HERE]) == 0
    found = weights.load_statistics(path, trained)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[n].var, expected[n].var) for n in expected)
    assert weights.load_adam(path).keys() == adam.keys()


@OF_LADDER
def test_a_ladder_network_is_not_annealed(trained, capsys):
    said = refusal(capsys, "evaluate", trained.id, *HERE, "--ais", "4", code=2)
    assert "which has no p(x)" in said


def test_annealing_is_kept_beside_a_record(trained, local, capsys, monkeypatch):
    """Another evaluation without it keeps what was estimated from the same weights, and by whom."""

    def of(commit: str, dirty: bool) -> None:
        code = {"commit": commit, "dirty": dirty}
        monkeypatch.setattr("repro.machine.work.software", lambda: code)

    monkeypatch.setattr("repro.train.score.TEMPERATURES", 3)
    monkeypatch.setattr("repro.train.score.CHAINS", 2)
    asked = ["evaluate", trained.id, *HERE]
    with monkeypatch.context() as patch:  # before anything is scored
        patch.setattr("repro.machine.rescoring._score", None)
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
    env = record.env["evaluated_again"]
    assert (env["commit"], env["earlier_commits"], env["dirty"]) == ("b", ["a"], True)
    assert env["annealed_on"] == {"device": "an accelerator", "precision": "float32"}
    kept = {name for name in first if name.startswith("AIS_")}
    assert {name: record.final[name] for name in kept} == {name: first[name] for name in kept}
