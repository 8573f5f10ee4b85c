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
    text: str = ""


@dataclass
class Html(HTMLParser):
    """Elements in document order; an element's text holds that of its children."""

    source: str
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[Element] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {k: v or "" for k, v in attrs})
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

    def within(self, id_: str) -> "Html":
        """The section of that id as a page of its own."""
        start = self.source.index(f'<section id="{id_}"')
        return Html(self.source[start : self.source.index("</section>", start)])

    def count(self, kind: str, attribute: str) -> Counter[str]:
        """Body rows of the tables of a kind, by a data attribute."""
        found: Counter[str] = Counter()
        for part in self.source.split("<table")[1:]:
            if f'data-kind="{kind}"' in part.split(">", 1)[0]:
                rows = Html("<table" + part.split("</table>")[0]).all("tr")
                found.update(r.attrs[attribute] for r in rows if attribute in r.attrs)
        return found

    def runs(self) -> dict[str, Element]:
        """The rows of the ledger by Run."""
        return {r.attrs["data-run"]: r for r in self.all("tr") if "data-run" in r.attrs}

    def row(self, id_: str) -> str:
        """The source of the row of a target or claim."""
        start = self.source.index(f'data-id="{id_}"')
        return self.source[start : self.source.index("</tr>", start)]

    def tally(self, name: str) -> Counter[str]:
        """The counts that a card of the summary shows."""
        start = self.source.index(f'data-tally="{name}"')
        items = Html(self.source[start : self.source.index("</ul>", start)]).all("li")
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
