"""The pages of `docs/`: what they show is run, from top to bottom, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from fixture_checkout import copy_checkout

from repro.store import Store
from repro.store.places import ROOT

pytestmark = pytest.mark.slow

COPIED = ("repro", "tables", "figures", "results", "tests", "pyproject.toml", "requirements.txt")
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = f"""python() {{ '{sys.executable}' "$@"; }}; repro() {{ python -m repro.cli "$@"; }}"""
LIMIT = 240  # seconds, of one block


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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout that a reader may change."""
    return copy_checkout(tmp_path / "checkout", COPIED)


def follow(block: Block, checkout: Path, page: str, data_dir: Path) -> str:
    """Do what a block says: write or patch its file, or run it. Returns what it printed."""
    commands = {
        "python": [sys.executable, "-c", block.content],
        "bash": ["bash", "-euc", f"{SHELL}\n{block.content}"],
        "diff": ["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch"],
    }
    if block.file:
        path = checkout / block.file
        assert not path.exists(), f"{page}, line {block.line}: {block.file} is there already"
        path.write_text(block.content, encoding="utf-8")
        return ""
    environment = {"PYTHONPATH": str(checkout), "REPRO_DATA": str(data_dir), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        commands[block.language],
        cwd=checkout,
        env={**os.environ, **environment},
        input=block.content if block.language == "diff" else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    where = f"{page}, {block.language} of line {block.line}"
    assert done.returncode == 0, f"{where}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def test_every_example_of_the_api_runs(checkout: Path, data_dir: Path) -> None:
    said = [follow(b, checkout, "api.md", data_dir.resolve()) for b in blocks("api.md")]
    assert len(said) >= 8
    record = Store(ROOT / "results").record("reduced", "mnist-lvae_bn_wu-L5-s1")
    measured = f"{record.final['LK_test']:.4f}"
    lines = [line for text in said for line in text.splitlines() if "LK_test" in line]
    assert any(line.count(measured) == 2 for line in lines if "images" not in line)
    assert "no weights of mnist-vae-L1-s1" in said[-1]


def test_the_tutorial_can_be_followed(checkout: Path, data_dir: Path) -> None:
    said = [follow(b, checkout, "tutorial.md", data_dir.resolve()) for b in blocks("tutorial.md")]
    store = Store(checkout / "runs")
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
