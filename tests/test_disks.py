"""A full disk, and a store that nobody can write to.

One line with place and remedy, nothing half written, and the same numbers later; whoever only
reads does not notice.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fixture_store
import pytest
from commands import LVAE, printed, quick_run, refusal
from fixture_data import refused
from fixture_disk import Disk, files, limited, read_only, small_disk
from fixture_report import undrawn
from matplotlib.figure import Figure
from small_training import EPOCHS, PROFILE, RUNS, STEPS, assert_same, hooked, strays

from repro import cli
from repro.errors import MachineError
from repro.machine.local import train
from repro.machine.work import Options
from repro.plan.profiles import profile, runs
from repro.show import style
from repro.store import Store
from repro.store.locks import lock
from repro.store.places import NAMED, ROOT
from repro.train.minibatch import BLOCK

OPTIONS = Options(engine="eager", threads=1, checkpoint_seconds=0.0)  # saves after every block
QUICK = [run for run in runs(profile("quick")) if run.data.name == "mnist"]


@pytest.fixture(params=[small_disk, limited], ids=["full", "limited"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with request.param(tmp_path / "disk") as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disk", "step", "saved"),  # where the disk is full, and the last checkpoint before
    [(small_disk, BLOCK + 1, BLOCK), (limited, EPOCHS * STEPS, STEPS + BLOCK)],
    indirect=["disk"],
    ids=["full amid", "limited at the end"],
)
def test_training_stops_at_a_checkpoint_and_continues_to_the_same_record(
    step: int, saved: int, disk: Disk, store: Store, whole: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.fixture
def both(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Store]:
    """`runs/` with new records, `results/` on the disk with an old one; no figures, no README."""
    source, target = Store(disk.root.parent / "runs"), Store(disk.root / "results")
    for name, store in (("runs", source), ("results", target)):
        monkeypatch.setitem(NAMED, name, store.root)
    for run in QUICK:
        fixture_store.write(source, "quick", run)
    fixture_store.write(target, "quick", quick_run(), L1_test=-99.0)
    monkeypatch.setattr("repro.cli.publish.draw", lambda *_: None)
    return source, target


def test_publishing_leaves_what_was_published(both, disk, capsys):
    source, target = both
    before = files(target.root)
    with disk.full():
        said = refusal(capsys, "publish", "--profile", "quick")
    assert str(target.folder("quick")) in said
    assert disk.remedy in said
    assert files(target.root) == before
    assert cli.run(["publish", "--profile", "quick"]) == 0
    assert files(target.root) == files(source.root)


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


def test_a_figure_stays_whole(disk: Disk) -> None:
    figure = Figure()
    old = {p: p.read_bytes() for p in style.save(figure, disk.root / "figure")}
    figure.suptitle("Another")
    with disk.full(), refused(MachineError, str(disk.root / "figure.png"), disk.remedy):
        style.save(figure, disk.root / "figure")
    assert {p: p.read_bytes() for p in disk.root.iterdir()} == old


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_output_to_a_full_disk_is_one_line() -> None:
    command = [sys.executable, "-m", "repro.cli", "list", "--profile", "quick"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3
    assert done.stderr == "repro: output: cannot write (No space left on device): free some space\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_an_error_that_cannot_be_said_keeps_its_code() -> None:
    command = [sys.executable, "-m", "repro.cli", "show", "nonsense"]
    with Path("/dev/full").open("w") as full:
        assert subprocess.run(command, cwd=ROOT, stdout=full, stderr=full).returncode == 2


# Stores that nobody can write to

RUN = quick_run()
OUT = "out"  # stands for a place that can be written


@pytest.fixture
def results(local: Store) -> Iterator[Store]:
    """`results/` with a record of every Run of profile quick; nothing in it can be written."""
    store = fixture_store.build(NAMED["results"], "quick")
    with lock(store.folder("quick"), LVAE):  # as if it had been trained there
        pass
    with forbidden(store.root):
        yield store


@contextlib.contextmanager
def forbidden(folder: Path) -> Iterator[None]:
    with read_only(folder):
        if os.access(folder, os.W_OK):
            pytest.skip("nothing is read-only here: this is root, who may not mount")
        yield


@pytest.mark.parametrize(
    "command",
    [["list"], ["show", LVAE], ["check"], ["tables", "--out", OUT], ["report", "--out", OUT]],
    ids=lambda command: command[0],
)
def test_what_reads_a_store_needs_not_write_there(command, results, monkeypatch, tmp_path):
    undrawn(monkeypatch)
    before = files(results.root)
    words = [str(tmp_path / OUT) if part == OUT else part for part in command]
    assert cli.run([*words, "--store", "results", "--profile", "quick"]) == 0
    assert files(results.root) == before


def test_a_run_is_done_although_its_lock_cannot_be_tried(results, capsys):
    rows = printed(capsys, "list", "--store", "results", "--profile", "quick")
    assert {row["run"]: row["state"] for row in rows}[LVAE] == "done"


@pytest.mark.parametrize("command", ["tables", "report"])
def test_what_writes_there_is_one_line_with_place_and_remedy(command, results, capsys, monkeypatch):
    undrawn(monkeypatch)
    said = refusal(capsys, command, "--store", "results", "--profile", "quick")
    assert str(results.root) in said
    assert "make the folder writable, or move it" in said


def test_publishing_there_is_one_line_with_place_and_remedy(results, local, capsys):
    fixture_store.write(local, "quick", RUN, L1_test=-99.0)
    before = files(results.root)
    said = refusal(capsys, "publish", "--profile", "quick")
    assert str(results.folder("quick", LVAE)) in said
    assert "make the folder writable, or move it" in said
    assert files(results.root) == before


def test_training_there_is_one_line_with_place_and_remedy(store):
    store.root.mkdir()
    with (
        forbidden(store.root),
        refused(MachineError, str(store.folder(PROFILE)), "make the folder writable"),
    ):
        train(RUNS, store, PROFILE, OPTIONS)
