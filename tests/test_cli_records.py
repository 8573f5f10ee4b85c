"""`repro list`, `show`, `tables` and `check`: the contract of the commands that read."""

from __future__ import annotations

import json
from dataclasses import replace

import fixture_store
import pytest
from commands import LVAE, QUICK, one_line, quick_run
from filelock import FileLock

from repro.cli import run
from repro.judge.targets import TARGETS
from repro.plan.experiments import EXPERIMENTS, UNLISTED
from repro.plan.profiles import profile, runs


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict]:
    assert run(["list", "--profile", "quick", "--json", *arguments]) == 0
    return {row["run"]: row for row in json.loads(capsys.readouterr().out)}


def test_list_has_the_keys_of_the_contract(local, capsys):
    row = listed(capsys)[LVAE]
    assert {"run", "experiment", "profile", "state", "seed", "variant", "layers"} <= set(row)
    figures = [f"figure{n}" for n in (2, 3, 4, 5, 6, 7, 9)]
    assert {"table1", *figures, "mnist"} <= set(row["experiment"])
    assert (row["seed"], row["variant"], row["layers"]) == (1, "lvae_bn_wu", 5)
    assert row["predicted_seconds"] > 0


def test_list_shows_every_run_of_the_tables_and_figures(local, capsys):
    shown = [e for e in EXPERIMENTS if e not in UNLISTED]
    assert list(listed(capsys)) == [r.id for r in runs(QUICK, shown)]


def test_list_shows_every_cell_of_table_2(local, capsys):
    assert run(["list", "--profile", "paper", "--json"]) == 0
    shown = {row["run"] for row in json.loads(capsys.readouterr().out)}
    cells = [t.cells[0] for name, t in TARGETS.items() if name.startswith("table2/")]
    assert len(cells) == 38
    assert {f"{c.data}-{c.variant}-L{c.depth}-s1" for c in cells} <= shown


def test_list_of_an_experiment_shows_only_its_runs(local, capsys):
    assert list(listed(capsys, "--experiment", "table1")) == [LVAE]


def test_list_shows_seeds_beyond_the_profile(local, capsys):
    fixture_store.write(local, "quick", replace(quick_run(), seed=7))
    assert listed(capsys)["mnist-lvae_bn_wu-L5-s7"]["state"] == "done"


def test_a_run_without_record_is_missing(local, capsys):
    assert listed(capsys)[LVAE]["state"] == "missing"


def test_a_run_with_a_record_is_done(full, capsys):
    assert listed(capsys)[LVAE]["state"] == "done"


def test_how_products_were_rounded_is_listed_shown_and_said_below_the_table(
    local, capsys, monkeypatch
):
    assert listed(capsys)[LVAE]["precision"] is None
    env = {**fixture_store.environment(), "precision": "bfloat16"}
    monkeypatch.setattr(fixture_store, "environment", lambda: env)
    fixture_store.write(local, "quick", quick_run())
    assert listed(capsys)[LVAE]["precision"] == "bfloat16"
    for command in (["list"], ["show", LVAE]):
        assert run([*command, "--profile", "quick"]) == 0
        assert "bfloat16" in capsys.readouterr().out
    assert run(["tables", "--profile", "quick"]) == 0
    table = (local.folder("quick", "tables") / "table1.md").read_text(encoding="utf-8")
    assert "Matrix products: bfloat16 in 1 of 1 Runs." in table


def test_a_diverged_record_is_diverged(local, capsys):
    fixture_store.diverge(local, "quick", quick_run(), epoch=2)
    assert listed(capsys)[LVAE]["state"] == "diverged"


def test_a_run_that_crashed_is_failed(local, capsys):
    note = local.folder("quick") / ".failed" / f"{LVAE}.json"
    note.parent.mkdir(parents=True)
    note.write_text("{}")
    assert listed(capsys)[LVAE]["state"] == "failed"


def test_a_run_whose_lock_is_held_is_running(local, capsys):
    path = local.folder("quick") / ".locks" / f"{LVAE}.lock"
    path.parent.mkdir(parents=True)
    with FileLock(path):
        assert listed(capsys)[LVAE]["state"] == "running"


def test_a_lock_file_that_nobody_holds_is_not_running(local, capsys):
    path = local.folder("quick") / ".locks" / f"{LVAE}.lock"
    path.parent.mkdir(parents=True)
    path.touch()
    assert listed(capsys)[LVAE]["state"] == "missing"


def test_a_record_of_another_configuration_is_not_done(local, capsys):
    asked = quick_run()
    other = replace(asked, optim=replace(asked.optim, lr=2e-3))
    fixture_store.write(local, "quick", other)
    assert listed(capsys)[LVAE]["state"] == "other configuration"


def test_list_for_people_names_every_run(full, capsys):
    assert run(["list", "--profile", "quick"]) == 0
    assert all(r.id in capsys.readouterr().out for r in runs(QUICK)[:1])


def test_an_unknown_experiment_is_a_usage_error(local, capsys):
    assert run(["list", "--experiment", "figure99"]) == 2
    assert "unknown experiment 'figure99'" in one_line(capsys)


def test_show_has_the_keys_of_the_contract(full, capsys):
    assert run(["show", LVAE, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == ["run", "profile", "config", "env", "final"]
    assert {"L1_train", "L1_test", "LK_test", "K", "LK_se", "LK_mc_error"} <= set(shown["final"])
    assert len(shown["final"]["kl_layers"]) == len(shown["final"]["active_units"]) == 5
    assert "files" not in shown["final"]


def test_show_prints_the_numbers_of_the_record(full, capsys):
    assert run(["show", LVAE, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["final"]["L1_test"] == full.record("quick", LVAE).final["L1_test"]


def test_show_for_people_has_configuration_and_metrics(full, capsys):
    assert run(["show", LVAE]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("L1_test", "optim.lr", "commit"))


def test_show_of_an_unknown_run_is_a_usage_error(full, capsys):
    assert run(["show", "mnist-vae-L9-s1"]) == 2
    assert "unknown Run 'mnist-vae-L9-s1'" in one_line(capsys)


def test_show_of_a_run_without_record_says_how_to_make_one(local, capsys):
    assert run(["show", LVAE, "--profile", "quick"]) == 3
    assert "repro train --profile quick" in one_line(capsys)


@pytest.mark.parametrize("file", ["run.json", "env.json", "final.json"])
def test_a_corrupt_record_is_named_with_its_file(full, capsys, file):
    path = full.folder("quick", LVAE) / file
    path.write_text("{ not json")
    assert run(["show", LVAE, "--profile", "quick", "--store", str(full.root)]) == 3
    assert str(path) in one_line(capsys)


def test_tables_are_written_into_the_store(full):
    assert run(["tables", "--profile", "quick"]) == 0
    written = {p.suffix for p in full.folder("quick", "tables").iterdir()}
    assert written == {".md", ".csv", ".tex"}


def test_out_takes_the_place_of_the_store(full, tmp_path):
    assert run(["tables", "--profile", "quick", "--out", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "table1.md").is_file()
    assert not full.folder("quick", "tables").exists()


def test_check_has_the_keys_of_the_contract(full, capsys):
    assert run(["check", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["profile"] == "quick"
    targets = {"id", "source", "paper", "ours", "sd", "seeds", "mc_error", "tolerance", "verdict"}
    assert targets | {"runs"} <= set(report["targets"][0])
    assert {"id", "text", "source", "verdict", "evidence"} <= set(report["claims"][0])


def test_strict_exits_1_on_a_short_target(local, capsys):
    lvae = next(r for r in runs(profile("paper")) if r.id == LVAE)
    for seed in (1, 2, 3):
        fixture_store.write(local, "paper", lvae.with_seed(seed), L1_test=-120.0, LK_test=-119.0)
    assert run(["check", "--profile", "paper"]) == 0
    assert run(["check", "--profile", "paper", "--strict"]) == 1


def test_a_regression_against_another_store_exits_1(full, tmp_path, capsys):
    better = fixture_store.build(tmp_path / "better", "quick")
    assert run(["check", "--profile", "quick", "--against", str(better.root)]) == 0
    final = full.record("quick", LVAE).final
    worse = {name: final[name] - 50 for name in ("L1_test", "LK_test")}
    fixture_store.write(full, "quick", quick_run(), **worse)
    assert run(["check", "--profile", "quick", "--against", str(better.root)]) == 1
