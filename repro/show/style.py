"""What all figures share: looks, the records of an experiment, captions, saving, arguments.

A script is run as `python figures/figure5.py --store results --profile quick`. Nothing here
computes results.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.show.plotting import matplotlib

import matplotlib.style
import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from repro.judge.measures import PUBLISHED, data_version
from repro.plan.experiments import EXPERIMENTS, label_of
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.profiles import Profile, run_of
from repro.plan.profiles import profile as profile_named
from repro.show import scripts
from repro.store import Record, Store
from repro.store.files import write_file

Draw = Callable[[Store, str], Figure]

PAGE = 6.9  # inches: a figure across two columns
PANEL = 4.4  # one panel; its type is still readable when scaled to one column, 3.35
DPI = 200
COLOURS = {
    "vae": "#4d4d4d",
    "vae_bn": "#56b4e9",
    "vae_bn_wu": "#0072b2",
    "lvae_bn_wu": "#d55e00",
    "lvae_wu": "#cc79a7",
}
MARKERS = {"vae": "s", "vae_bn": "^", "vae_bn_wu": "D", "lvae_bn_wu": "o", "lvae_wu": "v"}
MUTED = "#666666"
LOOK: dict[Any, Any] = {  # matplotlib spells out every key and value as a literal
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.labelspacing": 0.3,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "hatch.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "figure.dpi": DPI,
    "text.hinting": "no_hinting",  # true widths: captions are wrapped by them
}
CAPTION_SIZE = 7.5
MARGIN = 0.06  # inches left and right of the caption
NOT_RUN = "not run"


@dataclass(frozen=True, eq=False)
class Seeds:
    """All records of one cell, by seed; `other`: of another configuration than the profile's."""

    cell: Cell
    done: tuple[Record, ...]
    diverged: tuple[Record, ...]
    other: tuple[Record, ...]

    @property
    def state(self) -> str:
        """Empty where there is something to draw, else why there is not."""
        if self.done:
            return ""
        if self.diverged:
            return f"diverged at epoch {self.diverged[0].final['diverged_at']}"
        return "other configuration" if self.other else NOT_RUN

    @property
    def label(self) -> str:
        """The variant's name, followed by the reason where nothing can be drawn."""
        name = label_of(self.cell)
        return f"{name} ({self.state})" if self.state else name

    @property
    def colour(self) -> str:
        return COLOURS[self.cell.variant]


def first_seed(seeds: Iterable[Seeds]) -> str:
    """A sentence for figures that show single Runs although there are more."""
    return " Shown: the lowest seed." if any(len(s.done) > 1 for s in seeds) else ""


def gather(store: Store, profile: str, experiment: str) -> list[Seeds]:
    """The records of an experiment's cells, in grid order. Raises UsageError, RecordError."""
    p = profile_named(profile)
    found: dict[Cell, list[Record]] = {cell: [] for cell in EXPERIMENTS[experiment]}
    for record in sorted(store.records(profile), key=lambda r: r.run.seed):
        if (cell := cell_of(record.run)) in found:
            found[cell].append(record)
    return [sort_out(cell, records, p) for cell, records in found.items()]


def sort_out(cell: Cell, records: list[Record], p: Profile) -> Seeds:
    mine = [r for r in records if r.run == run_of(cell, p, r.run.seed)]
    return Seeds(
        cell,
        done=tuple(r for r in mine if not r.diverged),
        diverged=tuple(r for r in mine if r.diverged),
        other=tuple(r for r in records if r not in mine),
    )


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Over seeds; the standard deviation of a single one is NaN."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), sd


def journal(draw: Draw) -> Draw:
    """Draw in the common look, without touching the caller's matplotlib settings."""

    @functools.wraps(draw)
    def styled(store: Store, profile: str) -> Figure:
        with looks():
            return draw(store, profile)

    return styled


def looks() -> AbstractContextManager[None]:
    """The common look upon matplotlib's own defaults, whatever the caller has set."""
    look: AbstractContextManager[None] = matplotlib.style.context(LOOK, after_reset=True)
    return look


def say(ax: Axes, text: str) -> None:
    """Turn an empty panel into a statement of what is missing."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color("#cccccc")
    ax.spines[:].set_visible(True)
    write_in(ax, text)


def write_in(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED)


def add_caption(fig: Figure, text: str, profile: str, seeds: Iterable[Seeds]) -> None:
    """Add room below the panels for what is shown, profile, seeds and divergence."""
    p, seeds = profile_named(profile), list(seeds)
    protocol = "" if p.published_protocol else " (reduced protocol, not a reproduction)"
    number, _, rest = text.partition(". ")
    summary = p.ladder.summary if any(s.cell.labels for s in seeds) else p.summary
    rest += f"{data_note(seeds)} Profile {p.name} ({summary}). {seed_note(seeds)}"
    whole = f"{number}{protocol}. {rest}"
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
    for word in re.split(r" (?!=|(?<== ))", text):
        longer = f"{lines[-1]} {word}".lstrip()
        if text_to_path.get_text_width_height_descent(longer, type_, ismath=False)[0] > 72 * inches:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def data_note(seeds: Iterable[Seeds]) -> str:
    """A sentence for Runs on another version of a data set than the paper's."""
    found = {(s.cell.data, data_version(r)) for s in seeds for r in s.done}
    other = sorted(f"{version} {name.upper()}" for name, version in found if version != PUBLISHED)
    return f" Trained on {', '.join(other)}: other data than the paper's." if other else ""


def seed_note(seeds: list[Seeds]) -> str:
    """How many seeds were drawn, and which Runs diverged."""
    counts = sorted({len(s.done) for s in seeds if s.done})
    if not counts:
        note = "No finished Run."
    elif counts == [1]:
        note = "1 seed."
    elif len(counts) == 1:
        note = f"{counts[0]} seeds."
    else:
        note = f"{counts[0]} to {counts[-1]} seeds."
    for s in seeds:
        for r in s.diverged:
            note += f" {r.run.id} diverged at epoch {r.final['diverged_at']}."
        for r in s.other:
            note += f" {r.run.id} is of another configuration and not shown."
    return note


def as_math(text: str) -> str:
    """Plain subscripts such as L_500 or N_t in mathematical type."""
    return re.sub(r"\b([A-Za-z])_(\w+)\b", r"$\\mathit{\1}_{\2}$", text)


def save(fig: Figure, stem: Path) -> list[Path]:
    """Write PNG (200 dpi, its caption as Description) and PDF, without dates in them.

    Raises MachineError.
    """
    written = []
    described = {"Software": None, "Description": str(fig.get_label()) or None}
    for suffix, metadata in ((".png", described), (".pdf", {"CreationDate": None})):
        content = io.BytesIO()
        with looks():
            fig.savefig(content, format=suffix[1:], dpi=DPI, metadata=metadata)
        path = stem.with_name(stem.name + suffix)
        write_file(path, content.getvalue())
        written.append(path)
    return written


def picture(fig: Figure) -> PIL.Image.Image:
    """What `save` writes as PNG, as pixels R, G, B."""
    with looks():
        canvas: Any = FigureCanvasAgg(fig)
        canvas.draw()
    size = canvas.get_width_height()
    return PIL.Image.frombytes("RGBA", size, bytes(canvas.buffer_rgba())).convert("RGB")


def main(draw: Draw, script: str) -> int:
    """The command line of one figure script; the exit status."""

    def write(store: Store, profile: str, stem: Path) -> str:
        return "\n".join(map(str, save(draw(store, profile), stem)))

    return scripts.main(script, write)
