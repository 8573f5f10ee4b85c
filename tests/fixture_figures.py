"""What the tests of figures share: stores, drawn figures, and what can be read off them."""

import functools
import importlib
import tempfile
from pathlib import Path
from typing import Any

import fixture_store
import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.plan import profiles
from repro.plan.experiments.grid import VARIANTS, Cell
from repro.plan.run import Run
from repro.show import scripts
from repro.store import Record, Store

style: Any = importlib.import_module("repro.show.style")
captions: Any = importlib.import_module("repro.show.captions")

NAMES = tuple(f"figure{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10))
DATA = {"figure8": "omniglot", "figure10": "omniglot"}
LABELS = [v.label for v in VARIANTS.values()]
SEEDS = {"quick": 1, "reduced": 2, "paper": 0}
_MADE = tempfile.TemporaryDirectory()


@functools.cache
def shared(profile: str) -> Store:
    """Every Run that a figure shows, finished: of quick one seed, of reduced two, of paper none.

    Made once in a process, as is what is drawn of it: no test changes either.
    """
    p, seeds, root = profiles.profile(profile), SEEDS[profile], Path(_MADE.name) / profile
    asked = ([], ["figure7", "figure8"]) if seeds else ()
    runs = [run for names in asked for run in profiles.runs(p, names, seeds)]
    return fixture_store.build(root, profile, runs=runs)


@functools.cache
def draw(name: str, profile: str = "quick") -> Figure:
    """Of the shared store."""
    return draw_of(name, shared(profile), profile)


def draw_of(name: str, store: Store, profile: str = "quick") -> Figure:
    """Of a test's own store; the caller's settings of matplotlib are left alone."""
    before = dict(matplotlib.rcParams)
    figure: Figure = scripts.load("figures", name).draw(store, profile)
    assert dict(matplotlib.rcParams) == before
    return figure


def record(variant: str, data: str = "mnist") -> Record:
    """Of the shared store, profile quick."""
    return shared("quick").record("quick", run_of(variant, data=data).id)


def reduced(variant: str, depth: int = 5, data: str = "mnist") -> list[Record]:
    """Of the shared store, profile reduced, by seed."""
    run = run_of(variant, depth, "reduced", data=data)
    return fixture_store.seeds(shared("reduced"), "reduced", run)


def over_seeds(metric: str, variant: str, data: str = "mnist") -> pd.DataFrame:
    """Mean and standard deviation of a bound of profile reduced, by the depths that there are."""
    depths = range(2 if variant.startswith("lvae") else 1, 6)
    values = {d: [r.final[metric] for r in reduced(variant, d, data)] for d in depths}
    return pd.DataFrame(values).agg(["mean", "std"]).T


def run_of(
    variant: str, depth: int = 5, profile: str = "quick", seed: int = 1, data: str = "mnist"
) -> Run:
    return profiles.run_of(Cell(data, variant, depth), profiles.profile(profile), seed)


def caption(figure: Figure) -> str:
    (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
    plain = text.get_text().replace("$", "").replace("\\mathit", "").replace("\n", " ")
    return plain.replace("{", "").replace("}", "")


def legend_labels(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(a.get_legend() for a in figure.axes)]
    return [t.get_text() for legend in legends if legend for t in legend.get_texts()]


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def line(ax: Axes, gid: str, colour: str | None = None) -> Line2D:
    found = [n for n in ax.lines if n.get_gid() == gid]
    (one,) = [n for n in found if colour is None or to_hex(n.get_color()) == colour]
    return one


def bands(ax: Axes) -> list[PolyCollection]:
    return [c for c in ax.collections if isinstance(c, PolyCollection)]


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """Every axis, legend and caption lies on the page, and all else above the caption."""
    with matplotlib.rc_context(style.LOOK):
        figure.draw_without_rendering()
        (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
        below = text.get_window_extent()
        boxes = [a.get_tightbbox() for a in figure.axes]
        boxes += [n.get_window_extent() for n in figure.legends]
    page = figure.bbox
    for box in (*boxes, below):
        assert page.x0 - 0.5 <= box.x0 < box.x1 <= page.x1 + 0.5
        assert page.y0 - 0.5 <= box.y0 < box.y1 <= page.y1 + 0.5
    assert all(box.y0 >= below.y1 for box in boxes)
