"""What reads results asks no network for anything, and loads nothing that fetches or trains."""

import json
import os
import subprocess
import sys

import fixture_store
import pytest
from commands import LVAE, quick_run
from fixture_offline import GUARD

from repro.store.places import ROOT

# Runs commands one after another, then says how each ended.
COMMANDS = """
import json
from repro.cli import run
codes = [run(command) for command in json.loads(sys.argv[1])]
print(json.dumps({"codes": codes, "loaded": loaded()}))
"""


def guarded(*commands: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", GUARD + COMMANDS, json.dumps(commands)]
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1200)


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
