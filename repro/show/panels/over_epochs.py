"""Curves over epochs: mean and spread over seeds, and an axis without the steep beginning."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from repro.judge.evidence import Evidence

MARKS = 12  # about so many evaluated epochs of a curve are marked


def by_epoch(e: Evidence, columns: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation over seeds, each the mean of its trainings, of some columns."""
    seeds = [
        pd.concat([r.curve()[["epoch", *columns]].dropna() for r in of]).groupby("epoch").mean()
        for of in e.by_seed.values()
    ]
    table: pd.DataFrame = pd.concat(seeds).groupby("epoch").agg(["mean", "std"])
    return table


def band(ax: Axes, table: Any, gid: str, **look: Any) -> None:
    """A column of `by_epoch`: its mean, and where there are seeds one standard deviation about."""
    mean, sd = table["mean"], table["std"]
    every = max(1, len(table) // MARKS)
    ax.plot(table.index, mean, markersize=3, markevery=every, gid=gid, **look)
    if sd.notna().any():
        # Positive values stand on a logarithmic axis, which has no place for zero.
        low = (mean - sd).where(mean < 0, np.maximum(mean - sd, mean / 10))
        ax.fill_between(table.index, low, mean + sd, color=look["color"], alpha=0.2, linewidth=0)


def bands(cells: Sequence[Evidence], where: str = "") -> str:
    """A sentence on what `band` draws about the means."""
    several = any(e.seeds > 1 for e in cells)
    return f" Bands{where}: mean ± one standard deviation over seeds." if several else ""


def crop(ax: Axes, shown: Sequence[pd.DataFrame], warmup: int) -> bool:
    """Leave out the warm-up, whose bounds (beta < 1) would flatten all else; True where it cut."""
    if not shown:
        return False
    whole = pd.concat([b.xs("mean", axis=1, level=1) for b in shown])
    late = whole[whole.index > warmup]
    if late.empty:
        return False
    low, high = late.to_numpy().min(), whole.to_numpy().max()
    margin = 0.05 * (high - low)
    ax.set_ylim(low - margin, high + margin)
    return bool((whole.to_numpy() < low - margin).any())


def begin(ax: Axes) -> float:
    """The epoch at which the first curve rises above the lower end of the axis."""
    low = ax.get_ylim()[0]
    curves = [np.asarray(n.get_xydata(), dtype=float) for n in ax.lines]
    rising = [(c, int(np.argmax(c[:, 1] >= low))) for c in curves if c[-1, 1] >= low]
    return min(float(np.interp(low, *c[max(i - 1, 0) : i + 1, ::-1].T)) for c, i in rising)
