"""What the tests of the command line share."""

import json
from typing import Any

import pytest

from repro.cli import run
from repro.plan.profiles import profile, runs
from repro.plan.run import Run

LVAE, VAE = "mnist-lvae_bn_wu-L5-s1", "mnist-vae-L5-s1"
QUICK = profile("quick")


def quick_run(run_id: str = LVAE) -> Run:
    return next(r for r in runs(QUICK) if r.id == run_id)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The error, after a check that it is one line on stderr and nothing else."""
    captured = capsys.readouterr()
    assert captured.err.startswith("repro: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    return captured.err


def printed(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> Any:
    """The JSON of a command that ends well, or as it is told to."""
    capsys.readouterr()
    assert run([*command, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def told(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What a command that ends well prints."""
    assert run([*command]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *command: str, code: int = 3) -> str:
    """The one line with which a command ends, whatever was said before it; with --json in both."""
    capsys.readouterr()
    assert run([*command]) == code
    if "--json" not in command:
        return one_line(capsys)
    said, told = capsys.readouterr()
    assert told == f"repro: {json.loads(said)['error']}\n"
    return told
