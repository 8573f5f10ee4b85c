"""`docs/errors.md`: every text that it explains is one that the program says."""

from __future__ import annotations

import ast
import re

from repro.store.places import ROOT

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
