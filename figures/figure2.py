"""Figure 2: the bound L_1 on the training and test set while training, four variants."""

from __future__ import annotations

import sys
from typing import Any

from repro.show.style import MARKERS, NOT_RUN, PANEL, Seeds, add_caption, gather, journal, main, say

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from repro.plan.profiles import profile as find_profile
from repro.store import Store

LINES: dict[str, Any] = {"L1_train": "-", "L1_test": "--"}
FEW = 12  # about so many evaluated epochs are marked


@journal
def draw(store: Store, profile: str) -> Figure:
    """One panel. Raises UsageError, RecordError."""
    cells = gather(store, profile, "figure2")
    schedule = find_profile(profile).schedule
    fig = Figure(figsize=(PANEL, 3.1))
    ax = fig.add_subplot()
    shown = {s: bounds(s) for s in cells if s.done}
    for s, b in shown.items():
        curves(ax, s, b)
    ax.set_xlabel("epoch")
    ax.set_ylabel(r"$\mathcal{L}_1$ (nats per example)")
    cut = crop(ax, list(shown.values()), schedule.warmup_epochs)
    start = begin(ax, cut)
    room = 0.015 * (schedule.epochs - start)
    ax.set_xlim(start - room, schedule.epochs + room)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if not shown:
        say(ax, NOT_RUN)
    legend(fig, cells)
    text = "Figure 2. Lower bound L_1 of the 5-layer models on training and test set, MNIST."
    if cut:
        text += " The lowest values, from the first epochs, lie below the axis; it begins where the"
        text += " first curve rises above its lower end."
    if any(len(s.done) > 1 for s in cells):
        text += " Bands: mean ± one standard deviation over seeds."
    add_caption(fig, text, profile, cells)
    return fig


def bounds(seeds: Seeds) -> pd.DataFrame:
    """Mean and standard deviation over seeds of both bounds, by evaluated epoch."""
    curves = [r.curve()[["epoch", *LINES]].dropna() for r in seeds.done]
    by_epoch: pd.DataFrame = pd.concat(curves).groupby("epoch").agg(["mean", "std"])
    return by_epoch


def curves(ax: Axes, seeds: Seeds, b: pd.DataFrame) -> None:
    for column, dashes in LINES.items():
        mean, sd = b[column, "mean"], b[column, "std"]
        mark: dict[str, Any] = {
            "marker": MARKERS[seeds.cell.variant],
            "markevery": max(1, len(b) // FEW),
        }
        ax.plot(b.index, mean, dashes, color=seeds.colour, markersize=3, gid=column, **mark)
        if sd.notna().any():
            ax.fill_between(
                b.index, mean - sd, mean + sd, color=seeds.colour, alpha=0.2, linewidth=0
            )


def crop(ax: Axes, shown: list[pd.DataFrame], warmup: int) -> bool:
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


def begin(ax: Axes, cut: bool) -> float:
    """The epoch at which the first curve rises into the panel; 0 where nothing was cut."""
    if not cut:
        return 0.0
    low = ax.get_ylim()[0]
    curves = [np.asarray(n.get_xydata(), dtype=float) for n in ax.lines]
    rising = [(c, int(np.argmax(c[:, 1] >= low))) for c in curves if c[-1, 1] >= low]
    return min(float(np.interp(low, *c[max(i - 1, 0) : i + 1, ::-1].T)) for c, i in rising)


def legend(fig: Figure, cells: list[Seeds]) -> None:
    handles = [
        Line2D([], [], color=s.colour, marker=MARKERS[s.cell.variant], markersize=3, label=s.label)
        for s in cells
    ]
    for column, dashes in LINES.items():
        handles.append(Line2D([], [], color="black", linestyle=dashes, label=column[3:]))
    fig.legend(handles=handles, loc="outside upper center", ncols=2)


if __name__ == "__main__":
    sys.exit(main(draw, __file__))
