"""Report pages of small stores, without drawing: figures have tests of their own."""

import json

from repro.show.style import DPI

import pytest
from matplotlib.figure import Figure
from page_reader import Html

from repro.cli import report as reporting
from repro.cli import run
from repro.show.report.content import Behind
from repro.store import Store


def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One grey square in place of every figure."""
    square = Figure(figsize=(0.02, 0.02), dpi=DPI, facecolor="grey")
    drawn = reporting.figure("figure0", "Figure 0: a square.", square, Behind(()))
    monkeypatch.setattr(reporting, "figures", lambda *_: (drawn,))


def written(store: Store, *arguments: str) -> Html:
    """What `repro report` writes of a store, undrawn."""
    out = store.root.parent / "page.html"
    with pytest.MonkeyPatch.context() as patched:
        undrawn(patched)
        assert run(["report", "--store", str(store.root), "--out", str(out), *arguments]) == 0
    return Html(out.read_text(encoding="utf-8"))


def fail(store: Store, profile: str, run_id: str, reason: str) -> None:
    """What a Run that broke leaves behind."""
    note = store.folder(profile, ".failed") / f"{run_id}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"run": run_id, "reason": reason}), encoding="utf-8")
