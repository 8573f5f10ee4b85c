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


def shown(capsys, *options):
    """What the JSON says of the one profile that it speaks of."""
    (profile,) = printed(capsys, "status", *options)["profiles"]
    return profile


def test_the_command_that_is_named_trains_those_runs(local, capsys, tmp_path):
    """Also one that the profile leaves out, or of another seed; none of what lies elsewhere."""
    noted(local, process=GONE, runs=(beyond := "mnist-lvae_bn_wu-L3-s1", seeded := f"{VAE[:-1]}3"))
    command = shown(capsys)["stacks"][0]["command"]
    assert command == f"repro train {beyond} {seeded} --profile quick"
    noted(copy := Store(tmp_path / "copy"), process=GONE)
    assert shown(capsys, "--store", str(copy.root))["stacks"][0]["command"] is None


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
    content = shown(capsys)
    assert content["runs"] == {"diverged": 1, "done": 1, "failed": 1, "interrupted": 1}
    assert content["stacks"][0]["reason"] == "out of memory"


def test_a_stack_whose_runs_are_all_recorded_is_not_unfinished(local, capsys):
    for run_id in (LVAE, VAE):
        fixture_store.write(local, "quick", quick_run(run_id))
    noted(local, process=GONE)
    assert shown(capsys)["stacks"] == []


def test_what_is_trained_already_is_not_predicted_again(local, capsys):
    noted(local, process=GONE, saved=1.0)
    assert shown(capsys)["predicted_seconds"] == 2 * 100 + 2 * 80


def test_of_stacks_that_train_at_once_the_last_one_ends_the_training(local, capsys):
    noted(local, runs=(LVAE,), seconds_left=100.0)
    noted(local, name="another", runs=(VAE,), seconds_left=300.0)
    assert shown(capsys)["seconds_left"] == 300


def test_the_profile_with_a_stack_is_shown_before_a_fuller_one_and_alone_if_asked_for(
    local, capsys, monkeypatch
):
    fixture_store.build(local.root, "reduced")
    noted(local)
    assert shown(capsys)["profile"] == "quick"
    looked, unfinished = [], watching.unfinished
    monkeypatch.setattr(
        watching, "unfinished", lambda store, name: looked.append(name) or unfinished(store, name)
    )
    assert shown(capsys, "--profile", "quick")["profile"] == "quick"
    assert set(looked) == {"quick"}, "another may be damaged"


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
