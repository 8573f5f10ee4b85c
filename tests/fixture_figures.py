"""What the tests of figures share: stores, drawn figures, and what can be read off them."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

import fixture_store
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.plan import profiles
from repro.plan.experiments.grid import VARIANTS, Cell
from repro.plan.run import Run
from repro.show import scripts
from repro.store import Store

style: Any = importlib.import_module("repro.show.style")
captions: Any = importlib.import_module("repro.show.captions")

NAMES = tuple(f"figure{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10))
DATA = {"figure8": "omniglot", "figure10": "omniglot"}
LABELS = [v.label for v in VARIANTS.values()]


@functools.cache
def draw(name: str, store: Store, profile: str = "quick") -> Figure:
    """Drawn once for each store: no test changes a figure, or a store that it has drawn."""
    figure: Figure = scripts.load("figures", name).draw(store, profile)
    return figure


def data_of(name: str) -> str:
    """The data set that a figure shows."""
    return DATA.get(name, "mnist")


def run_of(
    variant: str, depth: int = 5, profile: str = "quick", seed: int = 1, data: str = "mnist"
) -> Run:
    return profiles.run_of(Cell(data, variant, depth), profiles.profile(profile), seed)


def others(variant: str, data: str = "mnist") -> list[Run]:
    """The 5-layer Runs of quick without one variant."""
    return [run_of(v, data=data) for v in VARIANTS if v != variant]


def build(root: Path, profile: str = "quick", seeds: int = 1) -> Store:
    """A store with a finished record of every Run that a figure shows."""
    p = profiles.profile(profile)
    runs = [*profiles.runs(p, seeds=seeds), *profiles.runs(p, ["figure7", "figure8"], seeds)]
    return fixture_store.build(root, profile, runs=runs)


@pytest.fixture(scope="module")
def quick_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build(tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="module")
def reduced_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Every configuration with two seeds."""
    return build(tmp_path_factory.mktemp("reduced"), "reduced", seeds=2)


@pytest.fixture
def empty_store(tmp_path: Path) -> Store:
    return Store(tmp_path)


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
