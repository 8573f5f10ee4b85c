"""`repro list`, `show`, `tables` and `check`: the contract of the commands that read."""

import fixture_store
import pytest
from check_records import otherwise
from commands import LVAE, QUICK, printed, quick_run, refusal, told
from filelock import FileLock

from repro.cli import run
from repro.judge.targets import TARGETS
from repro.plan.experiments import EXPERIMENTS, UNLISTED
from repro.plan.profiles import profile, runs
from repro.show import results, scripts


def listed(capsys, *arguments) -> dict[str, dict]:
    return {row["run"]: row for row in printed(capsys, "list", "--profile", "quick", *arguments)}


def test_list_has_every_run_of_tables_and_figures_with_the_keys_of_the_contract(local, capsys):
    found = listed(capsys)
    assert list(found) == [r.id for r in runs(QUICK, [e for e in EXPERIMENTS if e not in UNLISTED])]
    assert list(listed(capsys, "--experiment", "table1")) == [LVAE]
    row = found[LVAE]
    assert {"run", "experiment", "profile", "state", "seed", "variant", "layers"} <= set(row)
    figures = [f"figure{n}" for n in (2, 3, 4, 5, 6, 7, 9)]
    assert {"table1", *figures, "mnist"} <= set(row["experiment"])
    assert (row["seed"], row["variant"], row["layers"]) == (1, "lvae_bn_wu", 5)
    assert row["predicted_seconds"] > 0


def test_list_shows_every_cell_of_table_2(local, capsys):
    shown = {row["run"] for row in printed(capsys, "list", "--profile", "paper")}
    cells = [t.cells[0] for name, t in TARGETS.items() if name.startswith("table2/")]
    assert len(cells) == 38
    assert {f"{c.data}-{c.variant}-L{c.depth}-s1" for c in cells} <= shown


def write_other(store, seed=1) -> None:
    fixture_store.write(store, "quick", otherwise(quick_run().with_seed(seed)))


def leave(store, folder, name):
    """An empty object in a file beside the records."""
    path = store.folder("quick", folder) / f"{LVAE}{name}"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    return path


STATES = {
    "missing": lambda store: None,
    "missing, its lock held by nobody": lambda store: leave(store, ".locks", ".lock"),
    "running": lambda store: FileLock(leave(store, ".locks", ".lock")).acquire(),
    "done": lambda store: fixture_store.write(store, "quick", quick_run()),
    "diverged": lambda store: fixture_store.diverge(store, "quick", quick_run(), epoch=2),
    "failed": lambda store: leave(store, ".failed", ".json"),
    "other configuration": write_other,
}


@pytest.mark.parametrize("expected", STATES)
def test_list_says_how_far_a_run_is(local, capsys, expected):
    held = STATES[expected](local)
    assert listed(capsys)[LVAE]["state"] == expected.partition(",")[0]
    del held  # a lock is held as long as its object lives


def test_a_seed_beyond_the_profile_is_held_to_what_the_profile_would_train(local, capsys):
    fixture_store.write(local, "quick", quick_run().with_seed(7))
    write_other(local, seed=8)
    states = {i: row["state"] for i, row in listed(capsys).items()}
    assert states["mnist-lvae_bn_wu-L5-s7"] == "done"
    assert states["mnist-lvae_bn_wu-L5-s8"] == "other configuration"
    (shown,) = printed(capsys, "status", "--profile", "quick")["profiles"]
    assert (shown["runs"]["done"], shown["runs"]["other configuration"]) == (1, 1)


def test_how_products_were_rounded_is_listed_shown_and_said_below_the_table(local, capsys):
    assert listed(capsys)[LVAE]["precision"] is None
    fixture_store.write(local, "quick", quick_run(), env={"precision": "bfloat16"})
    assert listed(capsys)[LVAE]["precision"] == "bfloat16"
    for command in (["list"], ["show", LVAE]):
        assert "bfloat16" in told(capsys, *command, "--profile", "quick")
    assert run(["tables", "--profile", "quick"]) == 0
    table = (local.folder("quick", "tables") / "table1.md").read_text(encoding="utf-8")
    said = "Matrix products: bfloat16 in 1 of 1 Runs."
    assert said in table
    p, trained = profile("quick"), f"`repro train {LVAE} --profile quick --precision bfloat16`"
    for text in (results.summary(local, p), results.page(local, p)):
        assert said in text
        assert trained in text
    assert said in str(scripts.load("figures", "figure5").draw(local, "quick").get_label())


def test_show_has_the_keys_of_the_contract_and_for_people_configuration_and_metrics(full, capsys):
    shown = printed(capsys, "show", LVAE)
    assert list(shown) == ["run", "profile", "config", "env", "final"]
    assert {"L1_train", "L1_test", "LK_test", "K", "LK_se", "LK_mc_error"} <= set(shown["final"])
    assert len(shown["final"]["kl_layers"]) == len(shown["final"]["active_units"]) == 5
    assert shown["final"] == full.record("quick", LVAE).final
    out = told(capsys, "show", LVAE)
    assert all(name in out for name in ("L1_test", "optim.lr", "commit"))


@pytest.mark.parametrize("file", ["run.json", "env.json", "final.json"])
def test_a_corrupt_record_is_named_with_its_file(full, capsys, file):
    path = full.folder("quick", LVAE) / file
    path.write_text("{ not json")
    assert str(path) in refusal(capsys, "show", LVAE, "--profile", "quick")


@pytest.mark.parametrize("out", [None, "here"])
def test_tables_are_written_into_the_store_or_where_they_are_asked_for(full, tmp_path, out):
    place = tmp_path / out if out else full.folder("quick", "tables")
    assert run(["tables", "--profile", "quick", *(["--out", str(place)] if out else [])]) == 0
    assert {p.suffix for p in place.iterdir()} == {".md", ".csv", ".tex"}
    assert full.folder("quick", "tables").exists() == (out is None)


def test_strict_exits_1_on_a_short_target(local):
    lvae = next(r for r in runs(profile("paper")) if r.id == LVAE)
    for seed in (1, 2, 3):
        fixture_store.write(local, "paper", lvae.with_seed(seed), L1_test=-120.0, LK_test=-119.0)
    assert run(["check", "--profile", "paper"]) == 0
    assert run(["check", "--profile", "paper", "--strict"]) == 1


def test_a_regression_against_another_store_exits_1(full, tmp_path):
    better = fixture_store.build(tmp_path / "better", "quick")
    against = ["check", "--profile", "quick", "--against", str(better.root)]
    assert run(against) == 0
    final = full.record("quick", LVAE).final
    worse = {name: final[name] - 50 for name in ("L1_test", "LK_test")}
    fixture_store.write(full, "quick", quick_run(), **worse)
    assert run(against) == 1
