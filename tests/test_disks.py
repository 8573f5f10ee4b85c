"""A full disk, and a store that nobody can write to.

One line with place and remedy, nothing half written, and the same numbers later; whoever only
reads does not notice.
"""

import contextlib
import subprocess
import sys
from pathlib import Path

import fixture_store
import pytest
from commands import LVAE, VAE, printed, quick_run, refusal
from fixture_data import refused
from fixture_disk import files, forbidden, limited, small_disk
from fixture_report import undrawn
from matplotlib.figure import Figure
from small_training import EPOCHS, PROFILE, RUNS, STEPS, assert_same, hooked, strays

from repro import cli
from repro.errors import MachineError
from repro.machine.local import train
from repro.machine.work import Options
from repro.plan.profiles import profile, runs
from repro.show import style
from repro.store import Store, status
from repro.store.locks import lock
from repro.store.places import NAMED, ROOT
from repro.train.minibatch import BLOCK

OPTIONS = Options(engine="eager", threads=1, checkpoint_seconds=0.0)  # saves after every block
QUICK = [run for run in runs(profile("quick")) if run.data.name == "mnist"]


@pytest.fixture(params=[small_disk, limited], ids=["full", "limited"])
def disk(request, tmp_path):
    with request.param(tmp_path / "disk") as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disk", "step", "saved"),  # where the disk is full, and the last checkpoint before
    [(small_disk, BLOCK + 1, BLOCK), (limited, EPOCHS * STEPS, STEPS + BLOCK)],
    indirect=["disk"],
    ids=["full amid", "limited at the end"],
)
def test_training_continues_after_a_full_disk(step, saved, disk, store, whole, monkeypatch):
    store = Store(disk.root)
    with monkeypatch.context() as patch, contextlib.ExitStack() as filled:
        hooked(patch, lambda _, n: filled.enter_context(disk.full()) if n == step else None)
        with refused(MachineError, str(disk.root), ".checkpoints", "cannot write", disk.remedy):
            train(RUNS, store, PROFILE, OPTIONS)
        assert strays(store) == []
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    assert steps == [EPOCHS * STEPS - saved]
    assert_same(store, whole, *RUNS)


def test_publishing_leaves_what_was_published(disk, local, monkeypatch, capsys):
    """`results/` on the disk, with an old record; no figures, no README."""
    published = Store(disk.root / "results")
    monkeypatch.setitem(NAMED, "results", published.root)
    monkeypatch.setattr("repro.cli.publish.draw", lambda *_: None)
    fixture_store.build(local.root, runs=QUICK)
    fixture_store.write(published, "quick", quick_run(), L1_test=-99.0)
    before = files(published.root)
    with disk.full():
        said = refusal(capsys, "publish", "--profile", "quick")
    assert str(published.folder("quick")) in said
    assert disk.remedy in said
    assert files(published.root) == before
    assert cli.run(["publish", "--profile", "quick"]) == 0
    assert files(published.root) == files(local.root)


@pytest.mark.parametrize("command", ["tables", "report"])
def test_what_is_drawn_stays_whole_and_is_drawn_later(command, disk, capsys, monkeypatch, tmp_path):
    held = fixture_store.build(tmp_path / "held", runs=QUICK)
    undrawn(monkeypatch)
    out = disk.root / ("report.html" if command == "report" else "tables")
    asked = [command, "--store", str(held.root), "--profile", "quick", "--out", str(out)]
    assert cli.run(asked) == 0
    first = files(disk.root)
    (held.folder("quick", LVAE) / "final.json").unlink()
    capsys.readouterr()
    with disk.full():
        said = refusal(capsys, *asked)
        now = files(disk.root)
    assert str(out) in said
    assert disk.remedy in said
    assert now == first
    assert cli.run(asked) == 0
    assert files(disk.root) != first


def test_a_figure_stays_whole(disk):
    figure = Figure()
    style.save(figure, disk.root / "figure")
    old = files(disk.root)
    figure.suptitle("Another")
    with disk.full(), refused(MachineError, str(disk.root / "figure.png"), disk.remedy):
        style.save(figure, disk.root / "figure")
    assert files(disk.root) == old


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_output_to_a_full_disk_is_one_line_and_an_error_that_cannot_be_said_keeps_its_code():
    command = [sys.executable, "-m", "repro.cli"]
    listing, unknown = [*command, "list", "--profile", "quick"], [*command, "show", "nonsense"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(listing, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
        assert subprocess.run(unknown, cwd=ROOT, stdout=full, stderr=full).returncode == 2
    assert done.returncode == 3
    assert done.stderr == "repro: output: cannot write (No space left on device): free some space\n"


# Stores that nobody can write to


@pytest.fixture
def results(local):
    """`results/` with a record of every Run of profile quick; nothing in it can be written.

    One trains there once more, as it says itself.
    """
    store = fixture_store.build(NAMED["results"], "quick")
    with lock(store.folder("quick"), LVAE, VAE):  # as if they had been trained there
        pass
    says = status.Status((VAE,), status.this_process(), "eager", 5, 2, doing="training")
    status.StatusFile(store.folder("quick") / status.FOLDER / "vae.json", says)
    with forbidden(store.root):
        yield store


@pytest.mark.parametrize("command", ["list", f"show {LVAE}", "check", "tables", "report"])
def test_what_reads_a_store_needs_not_write_there(command, results, monkeypatch, tmp_path, capsys):
    """A Run is done although its lock cannot be tried."""
    undrawn(monkeypatch)
    before = files(results.root)
    words = [*command.split(), "--store", "results", "--profile", "quick"]
    words += ["--out", str(tmp_path / "out")] if command in ("tables", "report") else []
    assert cli.run(words) == 0
    assert files(results.root) == before
    if command == "list":
        found = {r["run"]: r["state"] for r in printed(capsys, *words)}
        assert (found[LVAE], found[VAE]) == ("done", "running")


def test_what_writes_there_says_place_and_remedy(results, local, capsys, monkeypatch):
    undrawn(monkeypatch)
    fixture_store.write(local, "quick", quick_run(), L1_test=-99.0)
    before = files(results.root)
    for command in ("tables --store results", "report --store results", "publish"):
        said = refusal(capsys, *command.split(), "--profile", "quick")
        assert str(results.root) in said
        assert "make the folder writable, or move it" in said
        assert files(results.root) == before


def test_training_there_is_one_line_with_place_and_remedy(store):
    store.root.mkdir()
    said = (str(store.folder(PROFILE)), "make the folder writable")
    with forbidden(store.root), refused(MachineError, *said):
        train(RUNS, store, PROFILE, OPTIONS)
