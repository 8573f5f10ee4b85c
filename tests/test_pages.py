"""Pages for readers: short where they are the first, and true of what lies in the checkout."""

from __future__ import annotations

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
