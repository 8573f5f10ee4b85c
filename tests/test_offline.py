"""What reads results asks no network for anything, and loads nothing that fetches or trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import fixture_store
import pytest
from commands import LVAE

from repro.plan.profiles import profile, runs
from repro.store.places import ROOT

# Runs commands one after another; the first look for another machine ends the process.
GUARDED = """
import json, os, sys
ASKS = ("connect", "connect_ex", "sendto", "sendmsg", "getaddrinfo", "gethostbyname", "bind")
UNUSED = ("torch", "pooch", "requests", "urllib3", "urllib.request", "http.client", "ftplib", "ssl")
def refuse(event, arguments):
    if event in [f"socket.{name}" for name in ASKS]:
        os.write(2, f"{event} {arguments[-1]}".encode())
        os._exit(99)
sys.addaudithook(refuse)
from repro.cli import run
codes = [run(command) for command in json.loads(sys.argv[1])]
print(json.dumps({"codes": codes, "loaded": [name for name in UNUSED if name in sys.modules]}))
"""


def guarded(*commands: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARDED, json.dumps(commands)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


@pytest.mark.slow
def test_readers_try_no_connection_and_load_neither_torch_nor_what_fetches(tmp_path: Path) -> None:
    """Every command of `./run_all.sh --cached`, and those that show what a store holds."""
    drawn = [r for r in runs(profile("quick")) if r.id == LVAE]
    results = fixture_store.build(tmp_path / "results", "quick", runs=drawn)
    here = ["--store", str(results.root), "--profile", "quick"]
    out, page = tmp_path / "out", tmp_path / "report.html"
    commands = [
        *([name, *here] for name in ("list", "status", "check")),
        ["show", LVAE, *here],
        *([name, *here, "--out", str(out)] for name in ("tables", "figures")),
        ["report", *here, "--out", str(page)],
        ["data", "status", "mnist"],
        ["train", "--help"],
    ]
    done = guarded(*commands)
    assert (done.returncode, done.stderr) == (0, "")
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {"codes": [0] * len(commands), "loaded": []}
    assert {"table1.md", "figure2.png", "figure6.pdf"} <= {path.name for path in out.iterdir()}
    assert "<figure" in page.read_text(encoding="utf-8")
    assert LVAE in done.stdout
    assert "\x1b" not in done.stdout  # no colour into a pipe


def test_the_guard_ends_a_process_that_asks_for_another_machine(tmp_path: Path) -> None:
    fetch = ["data", "fetch", "mnist", "--data-dir", str(tmp_path)]
    done = guarded(fetch, REPRO_MIRRORS="http://127.0.0.1:9/", NO_PROXY="127.0.0.1")
    assert done.returncode == 99
    assert "socket." in done.stderr
