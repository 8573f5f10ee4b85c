"""From content to HTML. Everything shown is escaped; nothing is loaded from elsewhere."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from repro.judge.measures import numbers, precision
from repro.show.layout import NUMBER
from repro.show.report.content import Part
from repro.show.report.ledger import LEGEND
from repro.show.words import scored_again
from repro.store import Record

HERE = Path(__file__).parent
SYMBOL = r"\b([A-Za-z])_(?:\{([^{}]+)\}|(\w+))"  # L_500, z_{i+1}
MINUS = r"(?<![\w-])-(?=\d)|(?<= )-(?= )"  # before a number, or between two

TONES = {  # how a verdict or state is coloured; its word is always written too
    "good": ("reproduced", "holds", "done"),
    "fair": ("one seed", "undecided", "running", "interrupted"),
    "bad": ("different", "fails", "failed", "diverged"),
    "reduced": ("reduced protocol", "other data", "other configuration"),
    "none": ("not run", "missing", "data missing"),
    "quoted": ("quoted",),
}
TONE_OF = {verdict: tone for tone, verdicts in TONES.items() for verdict in verdicts}
VERDICTS = {
    "reproduced": "equivalent to the published value: the 90% interval of the difference, of three"
    " seeds or more, lies within the margin (two one-sided tests at 5%; of several"
    " cells, the lower end at 5% over their number)",
    "different": "that interval lies beyond the margin, or every seed diverged; better or worse is"
    " said beside it, and a better bound asks for a cause as much as a worse one",
    "undecided": "that interval reaches into the margin and beyond it, so that more seeds would"
    " decide, or lies within it and a seed diverged or has no finite bound; or no bound is"
    " finite; or a claim that neither holds nor fails, or would hold without such a seed",
    "one seed": "fewer than three seeds, or a claim whose error is not known: not judged",
    "holds": "a claim whose every contrast is positive at 5%, for Runs of the published protocol of"
    " which none diverged or has no finite bound (a count of parameters aside)",
    "fails": "a claim of which a contrast is negative at 5%, corrected for their number",
    "reduced protocol": "trained or scored with less than the published protocol, or a claim on"
    " another version of the data: shows that the path works, reproduces nothing",
    "other data": "another grey scale, or another version of the data, than the target's",
    "other configuration": "the records of that name are not the profile's Runs: not counted",
    "quoted": "taken from elsewhere, and no Run here is held against it",
    "not run": "no record answers it, or not all that it needs, which is then said",
}
METRICS = {  # as `numbers` names them: heading, digits
    "L1_train": ("L_1 train", 2),
    "L1_test": ("L_1 test", 2),
    "LK_whole": ("L_K test, whole set", 2),
    "LK_whole_error": ("± (regression)", 2),
    "L1_beside_LK": ("L_1, images of L_K", 2),
    "LK_test": ("L_K", 2),
    "K": ("K", 0),
    "LK_se": ("s.e. (images)", 2),
    "LK_mc_error": ("MC error", 3),
    "LK_jackknife_error": ("MC error, jackknife", 3),
    "LK_corrected": ("L_K, bias corrected (no bound)", 2),
    "LK_effective": ("effective samples", 1),
    "LK_khat": ("Pareto k of weights", 2),
    "LK_untrusted": ("share with k > 0.7", 2),
    "AIS_test": ("log p(x) by AIS", 2),
    "AIS_mc_error": ("its MC error", 3),
    "LK_beside_AIS": ("L_K, images of AIS", 2),
    "AIS_images": ("images of AIS", 0),
    "error_percent": ("test error, %", 2),
    "error_se": ("s.e. (images), points", 2),
}


def render(page: Mapping[str, Any]) -> str:
    """The whole page: parts, fullest profile first; benchmarks; and what is not of records."""
    style = (HERE / "style.css").read_text(encoding="utf-8")
    script = (HERE / "sort.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)};"
        f" script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    inline = {"style": Markup(style), "script": Markup(script), "policy": policy}
    said = {"verdicts": VERDICTS, "states": LEGEND, "headline": headline(page["parts"])}
    return _environment().get_template("page.html").render(page=page, **inline, **said)


def headline(parts: Sequence[Part]) -> str:
    """What the page amounts to, in one or two sentences."""
    published = [p for p in parts if p.profile.published_protocol]
    if not parts:
        return "This store holds no Run yet."
    if not published:
        return (
            "Every Run here was trained under a reduced protocol. Nothing on this page reproduces"
            " a published number, and no claim counts as tested."
        )
    counts = {n: published[0].counts[n] for n in ("published numbers", "claims")}
    said = (f"{_listed(c)} of {c.total()} {n}" for n, c in counts.items())
    return f"Under the published protocol: {'; '.join(said)}."


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common())


def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        number=number, symbols=symbols, slug=slug, tone=tone, bar=bar, sort_key=sort_key,
        breakable=breakable, duration=duration, moment=moment,
    )  # fmt: skip
    env.globals.update(
        metrics=metrics,
        versions=versions,
        precision=precision,
        scored_again=scored_again,
        measured_of=numbers,
    )
    return env


def _hash(inline: str) -> str:
    """What a content security policy knows an inline style or script by."""
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """With a true minus; a dash where there is none."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:{'+' if sign else ''}z,.{digits}f}".replace("-", "−")


def symbols(text: str) -> Markup:
    """Escaped text whose subscripts and negative numbers are typeset."""
    safe = re.sub(SYMBOL, r"<i>\1</i><sub>\2\3</sub>", str(escape(text)))
    return Markup(re.sub(MINUS, "−", safe))


def breakable(name: str, after: str = "-") -> Markup:
    """A name that may be broken after these characters."""
    return Markup(re.sub(f"([{re.escape(after)}])", r"\1<wbr>", str(escape(name))))


def slug(text: str) -> str:
    """An anchor: the same for the same text, whatever it holds."""
    plain = re.sub(r"[^\w.-]+", "-", text)
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def tone(verdict: str) -> str:
    return TONE_OF.get(verdict, "none")


def bar(counts: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """Verdict, start and size of the segments of a bar, good verdicts first."""
    order = {name: i for i, name in enumerate(TONE_OF)}
    start = 0
    for name in sorted(counts, key=lambda n: order.get(n, len(order))):
        yield name, start, counts[name]
        start += counts[name]


def sort_key(cell: str) -> str:
    """A cell's number, without separators and error; empty for a word."""
    return cell.partition(" ±")[0].replace(",", "") if re.fullmatch(NUMBER, cell) else ""


def duration(seconds: float | None) -> str:
    if not isinstance(seconds, int | float):
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def moment(stamp: object) -> str:
    """An ISO time stamp as people write it; anything else as it is."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\+00:00|Z)", str(stamp or "–"))
    return f"{match[1]} {match[2]} UTC" if match else str(stamp or "–")


def metrics(records: Iterable[Record]) -> dict[str, tuple[str, int]]:
    """The metrics that any of these records holds."""
    held = {name for r in records for name, value in numbers(r).items() if value is not None}
    return {name: shown for name, shown in METRICS.items() if name in held}


def versions(record: Record) -> str:
    held = record.env.get("versions")
    return ", ".join(f"{k} {v}" for k, v in held.items()) if isinstance(held, dict) else "–"
