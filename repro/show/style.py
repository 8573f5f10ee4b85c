"""What all figures share: looks, the records of an experiment, saving, arguments.

A script is run as `python figures/figure5.py --store results --profile quick`. Nothing here
computes results.
"""

import functools
import io
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.show.plotting import matplotlib

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from repro.judge.evidence import Evidence, books
from repro.plan.experiments import EXPERIMENTS
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import profile as profile_named
from repro.show import scripts
from repro.store import Store
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
LADDER = {"full": "lvae_bn_wu", "bottom": "vae_bn_wu", "gamma": "vae_bn", "baseline": "vae"}
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


def look(variant: str) -> dict[str, Any]:
    """Of a variant, in every figure; a Ladder network looks as LADDER says."""
    alike = LADDER.get(variant, variant)
    return {"color": COLOURS[alike], "marker": MARKERS[alike]}


@dataclass(frozen=True)
class Needs:
    """Which experiment's cells a figure shows, and what it must hold of them, or of those of some
    variants alone.
    """

    experiment: str
    depths: int = 1  # with a finished Run, of one variant; one point is no curve
    epochs: int = 1  # evaluated, of one Run; two points are a straight line, whatever was trained
    variants: tuple[str, ...] = ()
    metric: str = ""  # of final.json, which older records lack

    @property
    def shown(self) -> list[Cell]:
        every = EXPERIMENTS[self.experiment]
        return [c for c in every if c.variant in (self.variants or {c.variant})]

    def cells(self, store: Store, profile: str) -> list[Evidence]:
        """What answers them, in grid order. Raises UsageError, RecordError."""
        found = books(store, profile_named(profile).name)
        return [found.of(cell) for cell in self.shown]

    def journal(self, draw: Callable[..., Figure], *asked: Any) -> Draw:
        """Draws its cells, and what is `asked` before them, in the common look.

        The caller's matplotlib settings are left alone.
        """

        @functools.wraps(draw)
        def styled(store: Store, profile: str) -> Figure:
            with looks():
                return draw(*asked, self.cells(store, profile), profile)

        return styled

    def lacking(self, store: Store, profile: str) -> str:
        """Why there is too little to draw; empty where there is enough.

        Raises UsageError, RecordError.
        """
        done = [s for s in self.cells(store, profile) if s.done]
        if not done:
            return "no finished Run"
        if self.metric and not any(s.done[0].final.get(self.metric) for s in done):
            measures = f"`repro evaluate --profile {profile}` measures it"
            return f"no {self.metric} in any record: of Runs in runs/ {measures}"
        if (most := max(Counter(s.cell.variant for s in done).values())) < self.depths:
            return f"depths of a variant: {most}, needed: {self.depths}"
        if (most := max(len(r.run.evaluation.epochs) for s in done for r in s.done)) < self.epochs:
            return f"evaluated epochs: {most}, needed: {self.epochs}"
        return ""


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


def webp(fig: Figure) -> bytes:
    """What `save` writes as PNG in fewer bytes: without loss, a cloud of points hardly with any."""
    content = io.BytesIO()
    way = {"quality": 90} if fig.findobj(PathCollection) else {"lossless": True, "method": 2}
    with looks():
        fig.savefig(content, format="webp", dpi=DPI, pil_kwargs=way)
    return content.getvalue()


def main(draw: Draw, script: str) -> None:
    """The command line of one figure script."""

    def write(store: Store, profile: str, stem: Path) -> str:
        return "\n".join(map(str, save(draw(store, profile), stem)))

    scripts.main(script, write)
