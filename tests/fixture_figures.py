"""What the tests of figures share: stores, and figures drawn of them."""

import functools
import importlib
import tempfile
from pathlib import Path
from typing import Any

import fixture_store
import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from repro.plan import profiles
from repro.plan.experiments.grid import VARIANTS, Cell
from repro.plan.run import Run
from repro.show import scripts
from repro.store import Record, Store

style: Any = importlib.import_module("repro.show.style")
captions: Any = importlib.import_module("repro.show.captions")

NAMES = (*(f"figure{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10)), "ladder")
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
    asked = ([], ["figure7", "figure8", "ladder_100"]) if seeds else ()
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


def record(variant: str, data: str = "mnist", profile: str = "quick") -> Record:
    """Of the shared store."""
    return shared(profile).record(profile, run_of(variant, data=data).id)


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
