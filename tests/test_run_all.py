"""`run_all.sh` as a stranger would run it, in a copy of the checkout."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import fixture_store
import pytest
from commands import quick_run
from fixture_checkout import copy_checkout
from fixture_disk import files, forbidden, read_only
from fixture_offline import AT_EXIT, GUARD

from repro.plan.profiles import profile, runs
from repro.store import Store
from repro.store.places import ROOT

pytestmark = pytest.mark.slow

REQUIREMENTS = ("requirements.txt", "requirements-extras.txt")
COPIED = ("repro", "tables", "figures", "run_all.sh", "pyproject.toml", *REQUIREMENTS)
SECONDS = 1200  # until something must hang
SMOKE = runs(profile("smoke"))

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of this checkout that `run_all.sh` works with, without stores and data."""
    return copy_checkout(tmp_path / "checkout", COPIED)


def call(folder: Path, *command: str | Path, **environment: str) -> Done:
    """Run a program in a folder, with this interpreter's environment in place of a fresh one."""
    env = {**os.environ, "REPRO_VENV": sys.prefix, **environment}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS
    )


def run_all(checkout: Path, *arguments: str, **environment: str) -> Done:
    return call(checkout, "./run_all.sh", *arguments, **environment)


def refusal(done: Done, code: int = 3) -> str:
    """The one line with which it ended."""
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    return done.stderr


def fake(folder: Path, name: str, script: str) -> None:
    """A program to put first on PATH."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_smoke_goes_from_data_to_verdict(checkout, data_dir):
    done = run_all(checkout, "--profile", "smoke", "--data-dir", str(data_dir))
    assert done.returncode == 0, done.stderr
    store = checkout / "runs" / "smoke"
    assert all((store / run.id / "final.json").is_file() for run in SMOKE)
    assert {"table1.md", "table1.csv", "table1.tex"} <= names(store / "tables")
    assert {"figure6.png", "figure5.pdf", "figure9.png"} <= names(store / "figures")
    assert "reduced protocol" in done.stdout
    assert "Profile smoke" in (checkout / "runs" / "report.html").read_text(encoding="utf-8")


def test_cached_draws_from_results_without_writing_there_and_without_network(checkout, tmp_path):
    """Nor does it load torch, or what fetches."""
    fixture_store.build(checkout / "results", "quick", runs=[quick_run()])
    (tmp_path / "sitecustomize.py").write_text(GUARD + AT_EXIT)
    before = files(checkout / "results")
    with read_only(checkout / "results"):
        done = run_all(checkout, "--cached", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert files(checkout / "results") == before
    out = checkout / "runs" / "cached"
    assert "table1.md" in names(out / "quick" / "tables")
    assert {"figure2.png", "figure5.png", "figure6.pdf"} <= names(out / "quick" / "figures")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Profile quick" in page
    assert "<figure" in page


def test_cached_without_results_or_a_place_to_draw_is_one_line_with_the_remedy(checkout):
    assert "run without --cached" in refusal(run_all(checkout, "--cached", "--profile", "quick"))
    fixture_store.build(checkout / "results", "quick", runs=[quick_run()])
    (checkout / "runs").mkdir()
    with forbidden(checkout / "runs"):
        said = refusal(run_all(checkout, "--cached"))
    assert "runs/cached/quick/tables" in said
    assert "make the folder writable" in said


def ended(checkout: Path, repro: str) -> Done:
    """What follows training, with shell code in place of `repro`."""
    script = f"source <(sed '/^profile=/,$d' run_all.sh); python={sys.executable} profile=quick;"
    script += f"repro() {{ {repro}; }}; draw_and_check runs runs/quick runs/report.html"
    return call(checkout, "bash", "-c", f"{script}; exit $checked")


def test_where_every_run_diverged_check_and_report_follow_without_figures(checkout):
    done = ended(checkout, 'echo "did $1"; [ "$1" != figures ] || return 3')
    assert done.returncode == 3
    did = [line for line in done.stdout.splitlines() if line.startswith("did ")]
    assert did == ["did tables", "did figures", "did check", "did report"]


@pytest.mark.parametrize(
    ("seed", "L1_test", "code"), [(1, -90.0, 0), (7, -90.0, 0), (1, -290.0, 1)]
)
def test_the_end_shows_this_run_beside_the_reference(checkout, seed, L1_test, code):
    """Where they have a Run in common; a regression is said, and all is drawn all the same."""
    ours = quick_run().with_seed(seed)
    fixture_store.write(Store(checkout / "results"), "quick", quick_run(), L1_test=-90.0)
    fixture_store.write(Store(checkout / "runs"), "quick", ours, L1_test=L1_test)
    done = ended(checkout, 'case $1 in check) "$python" -m repro.cli "$@" ;; esac')
    assert done.returncode == code, done.stderr
    assert ("verdict there" in done.stdout) == (seed == 1)
    assert "reduced protocol" in done.stdout
    assert "records  runs/quick/" in done.stdout


TRAINING = """case "$*" in *--dry-run*) ;; *"cli train"*)
  trap 'echo >saved; exit 130' TERM; echo >started; while :; do sleep 0.1; done ;;
esac"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_the_script_ends_what_it_runs_which_saves_first(checkout, tmp_path, number):
    fake(tmp_path / "venv" / "bin", "python", TRAINING)
    env = {**os.environ, "REPRO_VENV": str(tmp_path / "venv")}
    process = subprocess.Popen(["./run_all.sh", "--profile", "smoke"], cwd=checkout, env=env)
    while not (checkout / "started").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert (process.wait(SECONDS), (checkout / "saved").exists()) == (130, True)


def test_no_network_and_no_data_is_one_line_after_what_was_to_be_done(checkout, tmp_path):
    asked = ("--profile", "smoke", "--data-dir", str(tmp_path / "none"))
    done = run_all(checkout, *asked, REPRO_MIRRORS="http://127.0.0.1:9/")
    assert "predicted time here" in done.stdout
    assert all(run.id in done.stdout for run in SMOKE)
    said = refusal(done)
    assert said.startswith("repro: ")
    assert "--data-dir" in said


NO_VENV = f'case "$*" in *ensurepip*) exit 1 ;; esac; exec "{sys.executable}" "$@"'
NO_PIP = (
    'case "$1 $2" in "-m venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python; exit 0 ;;'
    f' "-m pip") exit 1 ;; esac; exec "{sys.executable}" "$@"'
)
PYTHONS = ("python3", "python3.13", "python3.12", "python3.11")
FAULTS = [
    (dict.fromkeys(PYTHONS, "exit 1"), "no Python 3.11 to 3.13 found: install one, or set PYTHON"),
    ({"python3": NO_VENV}, "no venv module: install it"),
    ({"python3": NO_PIP}, "set-up failed at 'pip install torch=="),
    (
        {"df": "echo header; echo /dev/x 100 99 1024 99% /"},
        "1 MB free here, set-up needs about 2000 MB: free some space",
    ),
]


def test_set_up_leaves_an_environment_that_is_linked_alone(checkout, tmp_path):
    (tmp_path / "other").mkdir()
    (checkout / ".venv").symlink_to(tmp_path / "other")
    assert ".venv is a link" in refusal(run_all(checkout, "test", REPRO_VENV="", PYTHON=""))
    assert names(tmp_path / "other") == set()


@pytest.mark.parametrize(("programs", "said"), FAULTS, ids=lambda value: str(value)[:20])
def test_what_set_up_lacks_is_one_line_with_the_remedy(checkout, tmp_path, programs, said):
    for name, script in programs.items():
        fake(tmp_path / "bin", name, script)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    assert said in refusal(run_all(checkout, "test", PATH=path, REPRO_VENV="", PYTHON=""))


def test_help_has_examples_and_wrong_usage_is_one_line_and_exits_2(checkout):
    done = run_all(checkout, "--help")
    assert done.returncode == 0
    assert "examples:" in done.stdout
    for wrong in ("--frobnicate", "--profile", "--cached --seed 3", "smoke", "--seeds="):
        assert refusal(run_all(checkout, *wrong.split()), 2).startswith("run_all.sh: ")


@pytest.fixture
def called_from(checkout: Path) -> Path:
    """A folder beside the checkout, with an environment whose Python only notes what it is told."""
    folder = checkout.parent / "called from"
    noting = f'echo "$REPRO_DATA $*" >>"{folder}/noted"; pwd -P >>"{folder}/in"'
    fake(folder / "venv" / "bin", "python", noting)
    fake(folder / "not python", "python3", "exit 1")
    return folder


@pytest.mark.parametrize(
    "script", ["../checkout/run_all.sh", "{}/run_all.sh", "checkout/run_all.sh", "link"]
)
def test_paths_are_meant_where_it_was_called(checkout, called_from, script):
    (called_from / "checkout").symlink_to(checkout)
    (called_from / "link").symlink_to(checkout / "run_all.sh")
    (called_from / "cdpath" / "checkout").mkdir(parents=True)
    command = ["bash", script.format(checkout), "--profile=smoke", "--seed", "7"]
    settings = {"CDPATH": "cdpath", "REPRO_VENV": "venv", "REPRO_DATA": "../data"}
    done = call(called_from, *command, "--data-dir=./my data", **settings)
    assert done.returncode == 0, done.stderr
    noted = (called_from / "noted").read_text().splitlines()
    fetched = next(s for s in noted if "fetch" in s)
    asked = f"data fetch --data-dir {called_from}/./my data"
    assert fetched == f"{called_from}/../data -m repro.cli {asked}"
    assert any(s.endswith("train --profile smoke --seed 7 --dry-run") for s in noted)
    assert (called_from / "in").read_text().split() == [str(checkout)] * len(noted)


@pytest.mark.parametrize("name", ["PYTHON", "REPRO_VENV"])
def test_a_relative_python_is_meant_where_it_was_called(checkout, called_from, name):
    named = {"PYTHON": "", "REPRO_VENV": "", name: "not python/python3"}
    done = call(called_from, checkout / "run_all.sh", "--cached", **named)
    assert done.returncode == 3
    assert f"{name}={called_from}/not python/python3 " in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("shell", ["dash", "zsh", "ksh", "mksh"])
def test_another_shell_is_told_that_it_needs_bash(checkout, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    assert "needs bash: run ./run_all.sh" in refusal(call(checkout, shell, "run_all.sh"), 2)


def test_a_failing_check_fails_the_test_command_which_ends_with_a_summary(tmp_path):
    """In as little of the checkout as there is to check."""
    checkout = tmp_path / "checkout"
    for name in ("repro", "tables", "figures", "tests"):
        (checkout / name).mkdir(parents=True)
    for name in ("run_all.sh", "pyproject.toml", "repro/needed.py", "repro/errors.py"):
        shutil.copy2(ROOT / name, checkout / name)
    for name in ("repro/__init__.py", "tables/table1.py", "figures/figure2.py"):
        (checkout / name).touch()
    (checkout / "repro" / "wrong.py").write_text("import os\n")
    (checkout / "tests" / "test_one.py").write_text("def test_one():\n    assert 1 + 1 == 2\n")
    done = run_all(checkout, "test", "-k", "one")
    assert done.returncode == 1
    failed, *passed = done.stdout.strip().splitlines()[-4:]
    assert failed.startswith("ruff check           FAILED")
    assert passed[-1].startswith("pytest               passed: 1 passed")
    assert all(" passed: " in line for line in passed), done.stdout
