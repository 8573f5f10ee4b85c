"""Report pages of small stores, undrawn: figures have tests of their own; a reader of pages."""

import json
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

from repro.show.style import DPI

import pytest
from matplotlib.figure import Figure

from repro.cli import report as reporting
from repro.cli import run
from repro.show.report.content import Behind
from repro.store import Store

VOID = {"meta", "link", "img", "br", "wbr", "input", "hr"}
LOADING = {"src", "srcset", "poster", "data", "action", "formaction", "background"}


@dataclass
class Element:
    tag: str
    attrs: dict[str, str]
    kind: str = ""  # of the table that it lies in
    text: str = ""


@dataclass
class Html(HTMLParser):
    """Elements in document order; an element's text holds that of its children."""

    source: str
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[Element] = []
        self._kind = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        self._kind = given.get("data-kind", "") if tag == "table" else self._kind
        element = Element(tag, given, self._kind)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attrs: str) -> list[Element]:
        """Elements of a tag that have these attributes; data_x stands for data-x."""
        wanted = {k.replace("_", "-"): v for k, v in attrs.items()}
        return [e for e in self.elements if e.tag == tag and wanted.items() <= e.attrs.items()]

    def part(self, begin: str, end: str) -> "Html":
        """What lies between as a page of its own."""
        start = self.source.index(begin)
        return Html(self.source[start : self.source.index(end, start)])

    def within(self, id_: str) -> "Html":
        return self.part(f'<section id="{id_}"', "</section>")

    def count(self, kind: str, attribute: str) -> Counter[str]:
        """Rows of the tables of a kind, by a data attribute."""
        rows = (r.attrs for r in self.all("tr") if r.kind == kind)
        return Counter(attrs[attribute] for attrs in rows if attribute in attrs)

    def runs(self) -> dict[str, Element]:
        """The rows of the ledger by Run."""
        return {r.attrs["data-run"]: r for r in self.all("tr") if "data-run" in r.attrs}

    def tally(self, name: str) -> Counter[str]:
        """The counts that a card of the summary shows."""
        items = self.part(f'data-tally="{name}"', "</ul>").all("li")
        return Counter({i.attrs["data-verdict"]: int(i.attrs["data-count"]) for i in items})

    @property
    def loaded(self) -> list[str]:
        """Every address that opening the page would fetch."""
        found = [v for e in self.elements for k, v in e.attrs.items() if k in LOADING]
        return found + [e.attrs.get("href", "") for e in self.all("link")]


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
