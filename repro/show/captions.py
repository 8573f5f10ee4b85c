"""Captions of figures: what is shown, profile, seeds, divergence and rounding, wrapped."""

import re
from collections.abc import Iterable
from dataclasses import replace

from repro.show.style import LOOK

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from repro.judge.evidence import NOT_RUN, Evidence
from repro.plan.experiments import label_of
from repro.plan.profiles import profile as profile_named
from repro.show.words import closing, other_data, protocol

CAPTION_SIZE = 7.5
MARGIN = 0.06  # inches left and right of the caption


def first_seed(found: Iterable[Evidence]) -> str:
    """A sentence for figures that show single Runs although there are more."""
    found = list(found)
    if any(len(e.trainings) > e.seeds for e in found):
        return " Shown: the first training of the lowest finished seed."
    return " Shown: the lowest finished seed." if any(e.seeds > 1 for e in found) else ""


def firsts(found: Iterable[Evidence]) -> list[Evidence]:
    """Each with the one training that figures of single Runs draw, for their captions."""
    return [replace(e, trainings=e.done[:1]) for e in found]


def with_records(cells: list[Evidence]) -> list[Evidence]:
    """Those that a record answers, counted or not, for a panel each; all where there is none."""
    return [s for s in cells if s.state != NOT_RUN] or cells


def missing(cells: list[Evidence]) -> str:
    """The depths of each variant that were not run; divergence is named elsewhere."""
    absent = [s.cell for s in cells if s.state == NOT_RUN]
    depths: dict[str, list[str]] = {}
    for cell in absent:
        depths.setdefault(label_of(cell), []).append(str(cell.depth))
    labels: dict[str, list[str]] = {}
    for label, mine in depths.items():
        labels.setdefault(", ".join(mine), []).append(label)
    parts = [f"{', '.join(of)} of depth {alike}" for alike, of in labels.items()]
    return f" Not run: {'; '.join(parts)}." if parts else ""


def add_caption(fig: Figure, text: str, profile: str, found: Iterable[Evidence]) -> None:
    """Add room below the panels for what is shown, and what every caption ends with."""
    p, found = profile_named(profile), list(found)
    number, _, rest = text.partition(". ")
    whole = f"{number}{protocol(p)}. {rest}{other_data(found)}{closing(p, found)}"
    width, height = fig.get_size_inches()
    fig.set_label(whole)
    lines = wrapped(whole, width - 2 * MARGIN)
    room = (len(lines) * CAPTION_SIZE * 1.25 + 6) / 72
    fig.set_size_inches(width, height + room)
    bottom = room / (height + room)
    engine = fig.get_layout_engine()
    assert engine is not None, "the common look sets constrained layout"
    engine.set(rect=(0, bottom, 1, 1 - bottom))  # type: ignore[call-arg]
    fig.text(
        MARGIN / width,
        4 / 72 / (height + room),
        "\n".join(as_math(line) for line in lines),
        fontsize=CAPTION_SIZE,
        color="#333333",
        linespacing=1.25,
        va="bottom",
        gid="caption",
    )


def wrapped(text: str, inches: float) -> list[str]:
    """Lines of caption type no wider than that; `N_t = 2` stays in one piece."""
    type_ = FontProperties(family=LOOK["font.family"], size=CAPTION_SIZE)
    lines = [""]
    for word in re.split(r" (?!=|seeds?\b|(?<== ))", text):
        longer = f"{lines[-1]} {word}".lstrip()
        if text_to_path.get_text_width_height_descent(longer, type_, ismath=False)[0] > 72 * inches:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def as_math(text: str) -> str:
    """Plain subscripts such as L_500 or N_t in mathematical type."""
    return re.sub(r"\b([A-Za-z])_(\w+)\b", r"$\\mathit{\1}_{\2}$", text)
