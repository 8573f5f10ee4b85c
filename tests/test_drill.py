"""The scripts of a first training on a GPU, `benchmarks/gpu`, as far as a CPU can try them."""

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import small_training
import torch

from repro.machine.saved import checkpoint
from repro.store import Store
from repro.store.places import ROOT

GPU = ROOT / "benchmarks" / "gpu"
FAULT = ". benchmarks/gpu/env.sh; commit_fault"


@pytest.mark.parametrize("script", sorted(GPU.glob("*.py")), ids=lambda path: path.name)
def test_scripts_import_what_there_is(script: Path) -> None:
    """Most run on a device alone, so that a module that has moved would be missed only there."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("repro"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                assert hasattr(module, alias.name) or importlib.import_module(name)


def test_what_a_drill_found_becomes_the_benchmark_that_is_published() -> None:
    bench = ROOT / "results" / "bench"
    published = json.loads((bench / "h100.json").read_text())
    said = [f"--{name}={published[name]}" for name in ("commit", "date", "note")]
    done = subprocess.run(
        [sys.executable, GPU / "record.py", bench / "h100" / "best.json", *said],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == published


def test_a_mistyped_choice_trains_nothing() -> None:
    command = [sys.executable, GPU / "drill.py", "next", "600", "seed3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no 'seed3': choose from seeds3" in done.stderr


def in_shell(folder: Path, line: str) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHONPATH"))}
    places = {"DRILL_HOME": "home", "OUT": "out", "REPRO_DATA": "data", "HOME": ""}
    env |= {name: str(folder / place) for name, place in places.items()}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    command = ["bash", "-ec", line]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_records_name_the_packed_commit_beside_another_git(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout")
    machine = tmp_path / "machine"
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(machine)], check=True)
    shutil.copytree(GPU, machine / "benchmarks" / "gpu", dirs_exist_ok=True)
    (machine / "data" / "mnist").mkdir(parents=True)
    in_shell(machine, "bash benchmarks/gpu/prepare.sh")
    shutil.rmtree(machine / ".git")
    other = "git -c user.name=x -c user.email=x commit -qm other --allow-empty"
    in_shell(machine, f"git init -q && {other}")
    on_cpu = f"export DRILL_DEVICE=cpu; {FAULT}"
    packed = (machine / ".drill" / "_commit.txt").read_text().split()[0]
    assert f"packed was {packed}" in in_shell(machine, on_cpu)
    assert in_shell(machine, FAULT).startswith("set aside: .drill/")
    assert in_shell(machine, on_cpu) == ""
    with (machine / "repro" / "errors.py").open("a") as source:
        source.write("# changed\n")
    assert f"commit {packed}, dirty True" in in_shell(machine, on_cpu)


def test_the_last_checkpoint_before_a_divergence_comes_back(tmp_path, monkeypatch, capsys):
    """Of the lane that diverged; a later checkpoint, in which it has, does not take its place."""
    monkeypatch.syspath_prepend(str(GPU))
    monkeypatch.setenv("DRILL_HOME", str(tmp_path / "home"))
    keep: Any = importlib.import_module("keep")
    save, saved = checkpoint.save_checkpoint, []

    def save_and_keep(path: Path, stack: Any, state: Any, log: Any, pinned: Any) -> None:
        if saved:
            log.lanes[0].diverged_at = 2
        save(path, stack, state, log, pinned)
        saved.append(log.epoch)
        keep.keep(path)

    options = small_training.Options(engine="eager", threads=1, checkpoint_seconds=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", save_and_keep)
        store: Store = small_training.trained(tmp_path, small_training.RUNS, options)
    (record,) = [r for r in store.records(small_training.PROFILE) if r.diverged]
    keep.before_divergence([record], tmp_path)
    assert f"{record.run.id} diverged; kept from epoch {saved[0]}: " in capsys.readouterr().out
    (part,) = tmp_path.glob("before-divergence-*.part-aa")
    assert [run.id for run in checkpoint.load_header(part)[0]] == [record.run.id]
    state, log = checkpoint.load_checkpoint(part, torch.device("cpu"))
    assert log.lanes[0].diverged_at is None
    assert all(bool(p.isfinite().all()) for p in state.params.values())
    shutil.rmtree(keep.KEPT)
    keep.before_divergence([record], tmp_path)
    assert "no checkpoint from before was kept" in capsys.readouterr().out
