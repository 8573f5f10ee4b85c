"""Small records for the tests of what judges: only what those read."""

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from repro.judge.check import check
from repro.judge.targets.target import TEST_IMAGES
from repro.judge.verdicts import TargetResult
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import PROFILES, run_of
from repro.plan.run import Run
from repro.store import Record, Store
from repro.store.sealed import Arrays

IMAGES = 8
HEADLINE = "table1/lvae5"  # published: -82.12
USES_ALL = "mnist/lvae_uses_all_layers"
LOST = {"state": "diverged", "diverged_at": 7, "L1_test": None, "LK_test": None}
BOUNDS = {"L1_train": -90.0, "L1_test": -90.5, "LK_test": -87.0}
ERRORS = {"L1_se": 0.2, "LK_se": 0.2, "LK_mc_error": 0.02}
OF_LAYERS = {"kl_layers": 5.0, "active_units": 4, "probe": 0.5, "class_share": 0.1}
CURVE = {"epoch": [1, 2], "beta": [1.0, 1.0], "L1_train": [-95.0, -90.0], "L1_test": [-95.5, -90.5]}


@dataclass(frozen=True)
class Unwritten(Record):
    """A record in memory, which what judges reads like any other."""

    table: pd.DataFrame
    held: dict[str, Arrays]

    def curve(self) -> pd.DataFrame:
        return self.table

    def arrays(self, name: str) -> Arrays:
        return self.held[name]


def made(
    cell: Cell,
    profile: str = "paper",
    seed: int = 1,
    run: Run | None = None,
    curve: pd.DataFrame | None = None,
    arrays: dict[str, Arrays] | None = None,
    **final: Any,
) -> Unwritten:
    """A finished record of a cell (or of `run`), with the given values of final.json.

    Records with other values have other curves, as other trainings do.
    """
    run = run or run_of(cell, PROFILES[profile], seed)
    content = {"state": "done", "diverged_at": None, **BOUNDS, **ERRORS}
    content["K"] = run.evaluation.importance_samples
    content["LK_images"] = run.evaluation.lk_images or TEST_IMAGES.get(run.data.name, 10_000)
    content |= {name: [value] * run.model.depth for name, value in OF_LAYERS.items()}
    mark = zlib.crc32(repr(content | final).encode())
    usual = pd.DataFrame(CURVE).assign(L1_train_running=float(mark))
    table = usual if curve is None else curve
    files = {**arrays_of(run), **(arrays or {})}
    env = {"commit": "0" * 40, "data": {"hash": "0" * 64}}
    names = dict.fromkeys(("curve.csv", *(f"{name}.npz" for name in files)), str(mark))
    return Unwritten(Path(run.id), profile, run, env, content | final, names, table, files)


def several(
    cell: Cell, *values: float, name: str = "LK_test", profile: str = "paper", **final: Any
) -> list[Unwritten]:
    """Seeds 1, 2, ... of a cell, with these values of one metric."""
    return [made(cell, profile, s, **{name: v, **final}) for s, v in enumerate(values, 1)]


def stored(root: Path, *records: Unwritten) -> Store:
    store = Store(root)
    for r in records:
        store.write(r.profile, r.run, r.env, r.final, r.table, r.held)
    return store


def otherwise(run: Run) -> Run:
    """Another configuration than the profile's Run of that id."""
    return replace(run, optim=replace(run.optim, lr=2 * run.optim.lr))


def rescaled(run: Run) -> Run:
    """Its data at the other grey scale."""
    scale = {255: 256, 256: 255}[run.data.grey_scale]
    return replace(run, data=replace(run.data, grey_scale=scale))


def of_images(**arrays: Any) -> dict[str, Any]:
    """Of `made`: arrays of each image beside, or instead of, the unremarkable ones."""
    plain = {"L1": np.full(IMAGES, -90.5), "LK": np.full(IMAGES, -87.0)}
    return {"arrays": {"per_image": {**plain, **arrays}}}


def arrays_of(run: Run) -> dict[str, Arrays]:
    """The arrays of an unremarkable record; none of a Ladder network."""
    if run.labels:
        return {}
    units = np.ones((2, sum(run.hierarchy.latents)))
    return {**of_images()["arrays"], "kl_units": {"epochs": np.array([1, 2]), "test": units}}


def target(root: Path, name: str = HEADLINE, profile: str = "paper") -> TargetResult:
    """What it says of a target."""
    return next(r for r in check(Store(root), profile).targets if r.target.id == name)


def said(result: TargetResult) -> str:
    """The verdict, with its direction."""
    return ", ".join(filter(None, (result.verdict, result.direction)))
