"""An environment that lacks a library: one line says which, and only where it is needed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixture_checkout import copy_checkout

from repro import needed
from repro.cli import run
from repro.store.places import ROOT

OPTIONAL = ("scipy", "requests", "matplotlib", "jinja2", "PIL", "ray")
ABSENT = """
import importlib.abc, os, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in os.environ["ABSENT"].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """The environment of an interpreter in which the modules of $ABSENT are not installed."""
    (tmp_path / "sitecustomize.py").write_text(ABSENT)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}


def ended(environment: dict[str, str], *command: str, absent: tuple[str, ...], **where: Any) -> Any:
    environment = {**environment, "ABSENT": ",".join(absent)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, **where)


@pytest.mark.parametrize(
    ("arguments", "absent", "names"),
    [
        (["-m", "repro.cli", "--help"], ("typer", "filelock"), "filelock, typer"),
        (["-m", "repro.needed"], ("torch", "PIL"), "torch, pillow"),
        (["-m", "repro.cli", "report", "--store", "results"], ("jinja2",), "jinja2"),
    ],
)
def test_what_is_missing_is_said_in_one_line(arguments, absent, names, without):
    done = ended(without, sys.executable, *arguments, absent=absent)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"repro: {sys.executable}: not installed: {names}: `pip install ")


def test_what_a_command_does_not_need_may_be_missing(without: dict[str, str]) -> None:
    command = (sys.executable, "-m", "repro.cli", "train", "--profile", "smoke", "--dry-run")
    done = ended(without, *command, absent=OPTIONAL)
    assert (done.returncode, done.stderr) == (0, "")


def test_where_data_must_be_fetched_what_fetches_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "requests", None)
    assert run(["data", "fetch", "mnist", "--data-dir", str(tmp_path)]) == 3
    err = capsys.readouterr().err
    assert "requests is needed, which is not installed" in err
    assert str(tmp_path / "mnist") in err


def test_an_old_python_is_refused_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    assert "Python 3.10 is too old" in str(needed.fault(()))


@pytest.mark.slow
def test_run_all_names_what_its_environment_lacks(tmp_path: Path, without: dict[str, str]) -> None:
    """The environment has a python3 alone, as many machines do."""
    checkout = copy_checkout(tmp_path / "checkout", ("repro", "run_all.sh"))
    python3 = tmp_path / "env" / "bin" / "python3"
    python3.parent.mkdir(parents=True)
    python3.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python3.chmod(0o755)
    environment = {**without, "REPRO_VENV": str(tmp_path / "env")}
    command = ("./run_all.sh", "--cached")
    done = ended(environment, *command, absent=("typer", "rich"), cwd=checkout)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "not installed: typer, rich: " in done.stderr
