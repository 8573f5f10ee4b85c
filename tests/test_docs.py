"""Pages for readers: what they name is there, what they show runs, from top to bottom."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fixture_checkout import copy_checkout

from repro.store import Store
from repro.store.places import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "results/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
    *sorted((ROOT / "results" / "weights").rglob("*.md")),
]
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")
FILE = re.compile(  # alone, or run by a command
    r"(?:`|(?<!`)(?:python|bash) )"
    r"((?:repro|tables|figures|tests|docs|benchmarks|results)/[\w./-]+\.\w+)"
)
ADDED = "a new file"  # what the tutorial says of a file that its reader writes


def test_a_first_page_is_short():
    for name, most in {"README.md": 120, "ARCHITECTURE.md": 150}.items():
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= most, name


def anchors(page: Path) -> set[str]:
    """Of every heading, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_names_what_is_there(page):
    text = page.read_text(encoding="utf-8")
    for target, anchor in LINK.findall(text):
        found = page.parent / target if target else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"
    lines = [line for line in text.splitlines() if ADDED not in line]
    named = [name for line in lines for name in FILE.findall(line)]
    assert [name for name in named if not (ROOT / name).exists()] == []


# `docs/errors.md`: every text that it explains is one that the program says

TEXTS = re.compile(r"^\| (`[^|]*?) ?\|", re.MULTILINE)


def said() -> str:
    """Every string of the program, the parts of an f-string with `...` for what is put in."""
    found = []
    for path in (ROOT / "repro").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            kinds = ast.Constant | ast.FormattedValue
            told = [getattr(p, "value", "") for p in parts if isinstance(p, kinds)]
            found.append("".join("..." if isinstance(v, ast.AST) else str(v) for v in told))
    return "\n".join(found)


def test_every_text_of_the_page_is_said():
    page, program = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), said()
    texts = [t for cell in TEXTS.findall(page) for t in re.findall(r"`([^`]+)`", cell)]
    assert len(texts) > 30
    # What the system says stands in brackets.
    assert [t for t in texts if t.removesuffix("Permission denied)") not in program] == []


# `docs/api.md` and `docs/tutorial.md` are followed as a reader would

COPIED = ("repro", "tables", "figures", "results", "tests", "pyproject.toml", "requirements.txt")
PATCH = ("patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch")
PIPED: Any = {"capture_output": True, "text": True}
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Does what it is told, each time in a fresh copy of itself: only the libraries are loaded once.
READER = """
import json, os, runpy, shlex, subprocess, sys
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


class Reader:
    """Follows a page in a copy of this checkout, which it may change."""

    def __init__(self, checkout: Path, process: subprocess.Popen[str]) -> None:
        self.checkout, self.process = checkout, process

    def follow(self, page: str) -> list[str]:
        """What each block of a page printed: Python is run as a whole, commands one by one."""
        text, printed = (ROOT / "docs" / page).read_text(encoding="utf-8"), []
        for match in FENCE.finditer(text):
            language, file, content = match.groups()
            place = self.checkout / (file or "")
            parts = content.splitlines() if language == "bash" else [content]
            if file:
                assert not place.exists(), f"{page}: {file} is there already"
                place.write_text(content, encoding="utf-8")
            elif language == "diff":
                done = subprocess.run(PATCH, cwd=place, input=content, **PIPED)
                assert done.returncode == 0, f"{page}: {content}: {done.stdout}{done.stderr}"
            else:
                printed.append("".join(self.do(language, part) for part in parts))
        return printed

    def do(self, language: str, part: str) -> str:
        out = self.checkout.parent / "out"
        out.write_text("", encoding="utf-8")
        self.process.stdin.write(json.dumps([language, part, str(out)]) + "\n")
        self.process.stdin.flush()
        code, said = self.process.stdout.readline(), out.read_text(encoding="utf-8")
        assert code == "0\n", f"{part}: exit {code}{said}"
        return said


@pytest.fixture
def reader(tmp_path, data_dir):
    checkout = copy_checkout(tmp_path / "checkout", COPIED)
    places = {"PYTHONPATH": str(checkout), "REPRO_DATA": str(data_dir.resolve())}
    with subprocess.Popen(
        [sys.executable, "-c", READER],
        cwd=checkout, env={**os.environ, **places, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield Reader(checkout, process)


@pytest.mark.slow
def test_every_example_of_the_api_runs(reader):
    said = reader.follow("api.md")
    assert len(said) >= 8
    record = Store(reader.checkout / "runs").record("smoke", "mnist-lvae_bn_wu-L5-s1")
    measured = f"{record.final['LK_test']:.4f}"
    lines = [line for text in said for line in text.splitlines() if "LK_test" in line]
    assert any(line.count(measured) == 2 for line in lines if "images" not in line)
    assert "no weights of mnist-vae-L1-s1" in said[-1]


@pytest.mark.slow
def test_the_tutorial_can_be_followed(reader):
    said = reader.follow("tutorial.md")
    store = Store(reader.checkout / "runs")
    trained = {f"bars-{variant}_bn_wu-L5-s1" for variant in ("vae", "mean_field", "lvae")}
    assert {folder.name for folder in store.root.glob("smoke/bars-*")} == trained
    assert any("bars/entropy" in text and "reduced protocol" in text for text in said)
    table = (store.folder("smoke", "tables") / "bars.md").read_text(encoding="utf-8")
    assert "side by side" in table
    assert "not run" not in table
    report = (store.root / "report.html").read_text(encoding="utf-8")
    assert "bars-mean_field_bn_wu-L5-s1" in report
