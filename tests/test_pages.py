"""Pages for readers: short where they are the first, and true of what lies in the checkout."""

import ast
import re
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("name", "most"), [("README.md", 120), ("ARCHITECTURE.md", 150)])
def test_a_first_page_is_short(name: str, most: int) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= most


def anchors(page: Path) -> set[str]:
    """Of every heading, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_page_names_what_is_there(page: Path) -> None:
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
            whole = "".join(
                str(p.value) if isinstance(p, ast.Constant) else "..."
                for p in parts
                if isinstance(p, ast.Constant | ast.FormattedValue)
            )
            found.append(whole)
    return "\n".join(found)


def test_every_text_of_the_page_is_said():
    page, program = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), said()
    texts = [t for cell in TEXTS.findall(page) for t in re.findall(r"`([^`]+)`", cell)]
    assert len(texts) > 30
    # What the system says stands in brackets.
    unknown = [t for t in texts if t.removesuffix("Permission denied)") not in program]
    assert not unknown
