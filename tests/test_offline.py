"""What reads results asks no network for anything, and could not: it loads nothing that fetches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import fixture_store
import pytest
from commands import LVAE

from repro.store import Store
from repro.store.places import ROOT

# Runs commands one after another; the first look for another machine ends the process.
GUARDED = """
import json, os, sys
ASKS = ("connect", "connect_ex", "sendto", "sendmsg", "getaddrinfo", "gethostbyname", "bind")
FETCH = ("pooch", "requests", "urllib3", "urllib.request", "http.client", "ftplib", "ssl")
def refuse(event, arguments):
    if event in [f"socket.{name}" for name in ASKS]:
        os.write(2, f"{event} {arguments[-1]}".encode())
        os._exit(99)
sys.addaudithook(refuse)
from repro.cli import run
codes = [run(command) for command in json.loads(sys.argv[1])]
print(json.dumps({"codes": codes, "fetch": [name for name in FETCH if name in sys.modules]}))
"""


def guarded(*commands: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARDED, json.dumps(commands)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fixture_store.build(tmp_path_factory.mktemp("results"), "quick")


def asked(results: Store, out: Path) -> dict[str, list[str]]:
    """Every command of `./run_all.sh --cached`, and those that show what a store holds."""
    here = ["--store", str(results.root), "--profile", "quick"]
    return {
        "list": ["list", *here],
        "show": ["show", LVAE, *here],
        "check": ["check", *here],
        "tables": ["tables", *here, "--out", str(out)],
        "figures": ["figures", *here, "--out", str(out)],
        "report": ["report", *here, "--out", str(out / "report.html")],
    }


@pytest.mark.parametrize(
    "names",
    [
        ["list", "show", "check", "tables"],
        pytest.param(["figures"], marks=pytest.mark.slow),
        pytest.param(["report"], marks=pytest.mark.slow),
    ],
    ids="-".join,
)
def test_no_connection_is_tried_and_nothing_that_fetches_is_loaded(
    names: list[str], results: Store, tmp_path: Path
) -> None:
    commands = asked(results, tmp_path)
    done = guarded(*(commands[name] for name in names))
    assert done.returncode == 0, done.stderr[-2000:]
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {"codes": [0] * len(names), "fetch": []}


def test_the_guard_ends_a_process_that_asks_for_another_machine(tmp_path: Path) -> None:
    fetch = ["data", "fetch", "mnist", "--data-dir", str(tmp_path)]
    done = guarded(fetch, REPRO_MIRRORS="http://127.0.0.1:9/", NO_PROXY="127.0.0.1")
    assert done.returncode == 99
    assert "socket." in done.stderr
