"""Where a library or the network is lacking, and where the package was installed from a wheel."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fixture_store
import numpy as np
import pytest
from commands import LVAE, quick_run
from fixture_checkout import committed, copy_checkout, git
from fixture_offline import GUARD

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


Environment = Callable[..., dict[str, str]]


@pytest.fixture
def without(tmp_path: Path) -> Environment:
    """Makes the environment of an interpreter in which some modules are not installed."""
    (tmp_path / "sitecustomize.py").write_text(ABSENT)
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    return lambda *absent: {**os.environ, "PYTHONPATH": path, "ABSENT": ",".join(absent)}


def ended(*command: str | Path, **where: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, **where)


@pytest.mark.parametrize(
    ("arguments", "absent", "names"),
    [
        (["-m", "repro.cli", "--help"], ("typer", "filelock"), "filelock, typer"),
        (["-m", "repro.needed"], ("torch", "PIL"), "torch, pillow"),
        (["-m", "repro.cli", "report", "--store", "results"], ("jinja2",), "jinja2"),
    ],
)
def test_what_is_missing_is_said_in_one_line(arguments, absent, names, without):
    done = ended(sys.executable, *arguments, env=without(*absent))
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"repro: {sys.executable}: not installed: {names}: `pip install ")


def test_what_a_command_does_not_need_may_be_missing(without: Environment) -> None:
    command = (sys.executable, "-m", "repro.cli", "train", "--profile", "smoke", "--dry-run")
    done = ended(*command, env=without(*OPTIONAL))
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
def test_run_all_names_what_its_environment_lacks(tmp_path: Path, without: Environment) -> None:
    """The environment has a python3 alone, as many machines do."""
    checkout = copy_checkout(tmp_path / "checkout", ("repro", "run_all.sh"))
    python3 = tmp_path / "env" / "bin" / "python3"
    python3.parent.mkdir(parents=True)
    python3.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python3.chmod(0o755)
    environment = {**without("typer", "rich"), "REPRO_VENV": str(tmp_path / "env")}
    done = ended("./run_all.sh", "--cached", env=environment, cwd=checkout)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "not installed: typer, rich: " in done.stderr


# Runs commands one after another, then says how each ended.
COMMANDS = """
import json
from repro.cli import run
codes = [run(command) for command in json.loads(sys.argv[1])]
print(json.dumps({"codes": codes, "loaded": loaded()}))
"""


def guarded(*commands: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", GUARD + COMMANDS, json.dumps(commands)]
    return ended(*command, cwd=ROOT, env={**os.environ, **environment}, timeout=1200)


@pytest.mark.slow
def test_readers_try_no_connection_and_load_neither_torch_nor_what_fetches(tmp_path):
    """What shows or draws what a store holds; `./run_all.sh --cached` is held to the same."""
    fixture_store.build(tmp_path, "quick", runs=[quick_run()])
    here = ["--store", str(tmp_path), "--profile", "quick"]
    commands = [
        *([name, *here] for name in ("list", "status", "check")),
        ["show", LVAE, *here],
        ["data", "status", "mnist"],
        ["train", "--help"],
    ]
    done = guarded(*commands)
    assert (done.returncode, done.stderr) == (0, "")
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {"codes": [0] * len(commands), "loaded": []}
    assert LVAE in done.stdout
    assert "\x1b" not in done.stdout  # no colour into a pipe


def test_the_guard_ends_a_process_that_asks_for_another_machine(tmp_path):
    fetch = ["data", "fetch", "mnist", "--data-dir", str(tmp_path)]
    done = guarded(fetch, REPRO_MIRRORS="http://127.0.0.1:9/", NO_PROXY="127.0.0.1")
    assert done.returncode == 99
    assert "socket." in done.stderr


COPIED = ("repro", "tables", "figures", "pyproject.toml", "setup.py", "requirements.txt", "LICENSE")
BUILT = ("README.md", ".gitignore")
BUILD = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
ALONE = ("--no-deps", "--no-index")
# Runs commands one after another, then says how each ended and where things live.
DRIVER = """
import json, sys
from repro import api, cli
from repro.data.sources import directory
from repro.store import places
from repro.machine.provenance import software
codes = [cli.run(command) for command in json.loads(sys.argv[1])]
model = api.load_model(sys.argv[2], "reduced", store="published")
places = [str(p.resolve()) for p in (*places.NAMED.values(), directory())]
told = {"codes": codes, "samples": len(model.sample(2)), "places": places, **software()}
print("\\n" + json.dumps(told))
"""


def call(*command: str | Path, **options: Any) -> str:
    done = ended(*command, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def installed(clone: Path) -> Path:
    """An empty environment's folder with the package, by way of a source distribution."""
    out, folder = clone.parent / "out", clone.parent / "site"
    call(sys.executable, "-c", BUILD, out, cwd=clone)
    shutil.unpack_archive(next(out.glob("*.tar.gz")), clone.parent / "source")
    source = next((clone.parent / "source").iterdir())
    call(*PIP, "wheel", *ALONE, "--no-build-isolation", source, "--wheel-dir", out)
    call(*PIP, "install", *ALONE, "--target", folder, next(out.glob("*.whl")))
    return folder


def times(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


@pytest.mark.slow
def test_the_wheel_works_from_any_folder_and_writes_only_there(tmp_path, monkeypatch):
    clone, away = committed(copy_checkout(tmp_path / "clone", (*COPIED, *BUILT))), tmp_path / "away"
    site = installed(clone)
    assert {p.name for p in site.iterdir()} - {"bin"} == {
        "repro",
        "lvae_repro-0.1.0.dist-info",  # a top-level `tables` would shadow PyTables
    }
    for name in (f"quick/{LVAE}", f"reduced/{LVAE}", "weights"):
        shutil.copytree(ROOT / "results" / name, away / "published" / name)
    np.save(away / "images.npy", np.eye(784, dtype=np.uint8)[:3])
    store = ["--store", "published"]
    quick = [*store, "--profile", "quick"]
    codes = {
        ("check", *quick, "--json"): 0,
        ("tables", *quick, "--out", "tables"): 0,
        ("show", LVAE, *store, "--profile", "reduced"): 0,
        ("list", *quick): 0,
        ("score", "images.npy", "--run", LVAE, *store, "--profile", "reduced", "--samples", "2"): 0,
        ("report", *quick): 0,  # draws as `repro figures` does
        ("publish", "--profile", "quick"): 3,
    }
    before = times(site)
    monkeypatch.delenv("REPRO_DATA", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    out = call(sys.executable, "-c", DRIVER, json.dumps([*codes]), LVAE, cwd=away)
    told = json.loads(out.splitlines()[-1])
    assert told["codes"] == [*codes.values()]
    assert told["samples"] == 2
    assert told["places"] == [str(away.resolve() / name) for name in ("runs", "results", "data")]
    assert (told["commit"], told["dirty"]) == (git(clone, "rev-parse", "HEAD"), False)
    assert times(site) == before
    assert (away / "tables" / "table1.md").is_file()
    assert (away / "published" / "report.html").is_file()
