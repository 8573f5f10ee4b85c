"""`repro status`: what is shown of stacks that train, or were interrupted."""

import re
import sys
from types import SimpleNamespace

import fixture_report
import fixture_store
import pytest
from commands import LVAE, QUICK, VAE, printed, quick_run, told
from fixture_status import GONE, noted

from repro.cli import status as watching
from repro.cli.shared import planned
from repro.errors import RecordError
from repro.machine import cost
from repro.plan.profiles import runs
from repro.store import Store
from repro.store.places import ROOT


def test_a_training_stack_is_shown_with_its_numbers(local, capsys):
    noted(local)
    out = told(capsys, "status").splitlines()
    assert out[:3] == [
        "profile quick: 2 missing, 2 training",
        f"{LVAE} and 1 more: training (compiled)",
        "  epoch 3 of 5, bound -91.02, L_1 -92.11, 1,234 images/s, 10 min left",
    ]
    assert out[3].startswith("time left: 10 min of training, then about ")
    assert max(map(len, out)) <= 80


@pytest.mark.parametrize(
    ("saved", "again"),
    [(2.25, "saved at 2.25; continue with"), (None, "nothing saved; begin again with")],
)
def test_a_killed_stack_says_how_it_continues(saved, again, local, capsys):
    noted(local, process=GONE, saved=saved)
    out = told(capsys, "status")
    assert f"{LVAE} and 1 more: stopped (compiled)\n  epoch 3 of 5, " in out
    assert f"  {again}: repro train " in out
    assert "nothing is training" in out.splitlines()
    assert "images/s" not in out


def test_the_command_that_is_named_trains_those_runs(local, capsys):
    """Also one that the profile leaves out, or of another seed."""
    noted(local, process=GONE, runs=(beyond := "mnist-lvae_bn_wu-L3-s1", seeded := f"{VAE[:-1]}3"))
    command = printed(capsys, "status")["profiles"][0]["stacks"][0]["command"]
    assert command == f"repro train {beyond} {seeded} --profile quick"


def test_what_lies_elsewhere_is_not_continued_from_here(tmp_path, capsys):
    noted(copy := Store(tmp_path / "copy"), process=GONE)
    said = printed(capsys, "status", "--store", str(copy.root))
    assert said["profiles"][0]["stacks"][0]["command"] is None


def test_json_has_the_keys_that_are_documented(local, capsys):
    noted(local)
    content = printed(capsys, "status")
    assert list(content) == ["store", "profiles"]
    ((p, stack),) = ((p, p["stacks"][0]) for p in content["profiles"])
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").partition("## Watching")[2]
    rows = [line.split("|") for line in text.partition("\n## ")[0].splitlines() if "|" in line]
    documented = {key for row in rows for key in re.findall(r"`(\w+)`", row[2])}
    assert documented == {*p, *stack}
    assert stack["runs"] == [LVAE, VAE]
    assert (stack["epoch"], stack["step"], stack["seconds_left"]) == (2, 78, 600.0)
    assert p["runs"] == {"missing": 2, "training": 2}


def test_every_run_of_the_profile_is_counted_once(local, capsys):
    first, second, third, fourth = (r.id for r in runs(QUICK))
    fixture_store.write(local, "quick", quick_run(first))
    fixture_store.diverge(local, "quick", quick_run(second), epoch=2)
    fixture_report.fail(local, "quick", third, "out of memory")
    noted(local, runs=(fourth, third), process=GONE)
    content = printed(capsys, "status")["profiles"][0]
    assert content["runs"] == {"diverged": 1, "done": 1, "failed": 1, "interrupted": 1}
    assert content["stacks"][0]["reason"] == "out of memory"


def test_a_stack_whose_runs_are_all_recorded_is_not_unfinished(local, capsys):
    for run_id in (LVAE, VAE):
        fixture_store.write(local, "quick", quick_run(run_id))
    noted(local, process=GONE)
    assert printed(capsys, "status")["profiles"][0]["stacks"] == []


def test_what_is_trained_already_is_not_predicted_again(local, capsys):
    noted(local, process=GONE, saved=1.0)
    behind = {LVAE: 0.2, VAE: 0.2}
    alone = {run.id: cost.seconds([run], behind) for run in runs(QUICK)}
    begun = quick_run()
    final = cost.scoring_flops(begun, left=0.0)  # L_K is all ahead
    assert 0 < final < cost.scoring_flops(begun, left=0.8) < cost.scoring_flops(begun)
    assert 0.8 * (whole := cost.seconds([begun])) < alone[LVAE] < whole
    ahead = printed(capsys, "status")["profiles"][0]["predicted_seconds"]
    assert ahead == pytest.approx(sum(alone.values()), abs=0.1)
    listed = {row["run"]: row for row in printed(capsys, "list", "--profile", "quick")}
    assert listed[LVAE]["state"] == "interrupted"
    assert listed[LVAE]["predicted_seconds"] == pytest.approx(alone[LVAE], abs=0.1)
    plan = planned.plan(local, QUICK, runs(QUICK))
    assert plan.states[VAE] == "interrupted"
    assert plan.seconds(plan.todo) == cost.seconds(plan.todo, behind)


def test_of_stacks_that_train_at_once_the_last_one_ends_the_training(local, capsys):
    noted(local, runs=(LVAE,), seconds_left=100.0)
    noted(local, name="another", runs=(VAE,), seconds_left=300.0)
    assert printed(capsys, "status")["profiles"][0]["seconds_left"] == 300


def test_the_profile_with_a_stack_is_shown_before_a_fuller_one(local, capsys):
    fixture_store.build(local.root, "reduced")
    noted(local)
    assert [p["profile"] for p in printed(capsys, "status")["profiles"]] == ["quick"]


def test_a_profile_that_is_asked_for_is_shown_whatever_another_holds(local, capsys, monkeypatch):
    noted(local)
    unfinished = watching.unfinished

    def damaged_but_for_quick(store, name):
        if name != "quick":
            raise RecordError(f"{name}: damaged")
        return unfinished(store, name)

    monkeypatch.setattr(watching, "unfinished", damaged_but_for_quick)
    shown = printed(capsys, "status", "--profile", "quick")["profiles"]
    assert [p["profile"] for p in shown] == ["quick"]


def test_it_takes_no_lock_and_writes_nothing(local, capsys, monkeypatch):
    noted(local)
    lock = local.folder("quick", ".locks") / f"{LVAE}.lock"
    lock.parent.mkdir()
    lock.touch()
    monkeypatch.setattr("filelock.FileLock.acquire", SimpleNamespace())  # would raise
    before = {p: p.stat().st_mtime_ns for p in local.root.rglob("*")}
    printed(capsys, "status")
    assert {p: p.stat().st_mtime_ns for p in local.root.rglob("*")} == before


def test_watching_shows_it_anew_until_it_is_interrupted(local, capsys, monkeypatch):
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        noted(local, note=f"look {len(looks)}")
        if len(looks) == 3:
            raise KeyboardInterrupt

    noted(local, note="look 0")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(watching.time, "sleep", sleep)
    out = told(capsys, "status", "--watch")
    assert all(f"look {n}" in out for n in range(3))
    assert looks == [watching.REFRESH] * 3


@pytest.mark.parametrize("name", ["[red]x[/red]", "../../etc"])
def test_what_a_file_says_is_shown_as_it_is(name, local, capsys):
    """No markup, and no path."""
    noted(local, runs=(name,), process=GONE)
    out = told(capsys, "status")
    assert f"{name}: stopped" in out
    assert "repro train --profile quick" in out
