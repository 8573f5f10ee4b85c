"""Installed from a wheel: it works from any folder, and writes nothing beside the package."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import LVAE
from fixture_checkout import committed, copy_checkout, git

from repro.store.places import ROOT

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
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
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
