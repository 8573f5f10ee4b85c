"""A store that nobody can write to: whoever only reads does not notice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import fixture_store
import pytest
from commands import LVAE, one_line, printed, quick_run
from fixture_data import refused
from fixture_disk import files, read_only
from fixture_report import undrawn
from small_training import OPTIONS, PROFILE, RUNS

from repro import cli
from repro.errors import MachineError
from repro.machine.local import train
from repro.store import Store
from repro.store.locks import lock
from repro.store.places import NAMED

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
    assert cli.run([command, "--store", "results", "--profile", "quick"]) == 3
    said = one_line(capsys)
    assert str(results.root) in said
    assert "make the folder writable, or move it" in said


def test_publishing_there_is_one_line_with_place_and_remedy(results, local, capsys):
    fixture_store.write(local, "quick", RUN, L1_test=-99.0)
    before = files(results.root)
    assert cli.run(["publish", "--profile", "quick"]) == 3
    said = one_line(capsys)
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
