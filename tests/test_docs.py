"""The pages of `docs/`: what they show is run, from top to bottom, as a reader would."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from fixture_checkout import copy_checkout

from repro.store import Store
from repro.store.places import ROOT

pytestmark = pytest.mark.slow

COPIED = ("repro", "tables", "figures", "results", "tests", "pyproject.toml", "requirements.txt")
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Does what it is told, each time in a fresh copy of itself: only the libraries are loaded once.
READER = """
import json, os, runpy, shlex, subprocess, sys, traceback
import numpy, pandas, rich, safetensors, scipy.stats, torch, typer

def do(language, content):
    if language == "python":
        return exec(compile(content, "<page>", "exec"), {"__name__": "__main__"})
    words = shlex.split(content)
    if words[0] == "repro":
        from repro.cli import run
        sys.exit(run(words[1:]))
    if words[:2] == ["python", "-m"]:
        sys.argv = words[2:]
        return runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    sys.exit(subprocess.run(["bash", "-euc", content]).returncode)

for line in sys.stdin:
    language, content, out = json.loads(line)
    if (pid := os.fork()) == 0:
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        do(language, content)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Block(NamedTuple):
    """What stands between fences: its language, the file that it is, and the line it begins at."""

    language: str
    file: str
    content: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        language, file, content = match.groups()
        yield Block(language, file or "", content, text[: match.start()].count("\n") + 1)


@dataclass
class Reader:
    """Follows a page in a copy of this checkout, which it may change."""

    checkout: Path
    process: subprocess.Popen[str]

    def follow(self, page: str) -> list[str]:
        """What each block of a page printed."""
        return [self.do(block, f"{page}, line {block.line}") for block in blocks(page)]

    def do(self, block: Block, where: str) -> str:
        """Write or patch the block's file, or run it: Python as a whole, commands one by one."""
        if block.file:
            path = self.checkout / block.file
            assert not path.exists(), f"{where}: {block.file} is there already"
            path.write_text(block.content, encoding="utf-8")
            return ""
        if block.language == "diff":
            return self.patch(block.content, where)
        out = self.checkout.parent / "out"
        out.write_text("", encoding="utf-8")
        parts = block.content.splitlines() if block.language == "bash" else [block.content]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for part in parts:
            self.process.stdin.write(json.dumps([block.language, part, str(out)]) + "\n")
            self.process.stdin.flush()
            code = self.process.stdout.readline()
            assert code == "0\n", f"{where}: {part}: exit {code}{out.read_text(encoding='utf-8')}"
        return out.read_text(encoding="utf-8")

    def patch(self, content: str, where: str) -> str:
        command = ["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch"]
        done = subprocess.run(
            command, cwd=self.checkout, input=content, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
        return ""


@pytest.fixture
def reader(tmp_path: Path, data_dir: Path) -> Iterator[Reader]:
    checkout = copy_checkout(tmp_path / "checkout", COPIED)
    places = {"PYTHONPATH": str(checkout), "REPRO_DATA": str(data_dir.resolve())}
    with subprocess.Popen(
        [sys.executable, "-c", READER],
        cwd=checkout, env={**os.environ, **places, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield Reader(checkout, process)


def test_every_example_of_the_api_runs(reader: Reader) -> None:
    said = reader.follow("api.md")
    assert len(said) >= 8
    record = Store(reader.checkout / "runs").record("smoke", "mnist-lvae_bn_wu-L5-s1")
    measured = f"{record.final['LK_test']:.4f}"
    lines = [line for text in said for line in text.splitlines() if "LK_test" in line]
    assert any(line.count(measured) == 2 for line in lines if "images" not in line)
    assert "no weights of mnist-vae-L1-s1" in said[-1]


def test_the_tutorial_can_be_followed(reader: Reader) -> None:
    said = reader.follow("tutorial.md")
    store = Store(reader.checkout / "runs")
    assert {folder.name for folder in store.root.glob("smoke/bars-*")} == {
        "bars-vae_bn_wu-L5-s1",
        "bars-mean_field_bn_wu-L5-s1",
        "bars-lvae_bn_wu-L5-s1",
    }
    assert any("bars/entropy" in text and "reduced protocol" in text for text in said)
    table = (store.folder("smoke", "tables") / "bars.md").read_text(encoding="utf-8")
    assert "side by side" in table
    assert "not run" not in table
    report = (store.root / "report.html").read_text(encoding="utf-8")
    assert "bars-mean_field_bn_wu-L5-s1" in report
