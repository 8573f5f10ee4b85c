"""The panels of the figure of Ladder networks: error, denoising costs, learned combinators."""

from typing import Any

from repro.show.style import look, say

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from repro.judge.evidence import Evidence
from repro.judge.measures import array
from repro.show.panels.over_epochs import band, by_epoch
from repro.show.words import nothing

LAYERS = ("#000000", "#0072b2", "#009e73", "#56b4e9", "#cc79a7", "#e69f00", "#d55e00")
ABOVE: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 7, "color": "#666666"}
VERTICALS = ("#7a5c00", "#999999", "#6a3d9a")  # of u, ascending
DASHES = dict(zip(VERTICALS, ("--", ":", "-"), strict=True))
GAP = 0.07  # between two labels, as a share of the axis
STUCK = 0.9  # a denoising cost that ends above this is near 1, that of each unit's mean


def errors(ax: Axes, cells: list[Evidence], epochs: int) -> None:
    ax.set_title("(a) test error (%)")
    if not any(s.done for s in cells):
        say(ax, nothing(cells))
        return
    for s in (s for s in cells if s.done):
        table: Any = by_epoch(s, ["error_percent"])["error_percent"]
        band(ax, table, s.cell.variant, **look(s.cell.variant))
    finish(ax, epochs)


def costs(ax: Axes, full: Evidence, epochs: int) -> str:
    """The panel; and a sentence on the layers whose cost stays near 1, by the weights of a Run."""
    ax.set_title("(b) denoising cost")
    if not full.done:
        say(ax, full.state)
        return ""
    run = full.done[0].run.ladder
    table = by_epoch(full, [f"C_{i}" for i in range(run.depth + 1)])
    ends = {}
    for i, colour in enumerate(LAYERS):
        column: Any = table[f"C_{i}"]
        band(ax, column, f"C_{i}", color=colour)
        ends[i] = float(column["mean"].iloc[-1])
    finish(ax, epochs)
    for i, y in apart(ends, ax.get_ylim()).items():
        ax.text(epochs * 1.03, y, f"$C_{i}$", color=LAYERS[i], va="center")
    near, weights = [i for i, y in ends.items() if i and y > STUCK], run.cost_weights
    if not near:
        return ""
    said = (f"layer {i}: {run.sizes[i]} units, weight {weights[i]:g}" for i in near)
    top = max(ends[i] for i in near)
    ax.text(epochs, 1.06 * top, "\n".join(said), gid="stuck", **ABOVE)
    named = ", ".join(f"C_{i} (weight {weights[i]:g})" for i in near)
    below = " and ".join(f"{w:g}" for w in weights[: near[0]])
    return (
        f" {named} stays near 1, the cost of estimating each unit by its mean, probably as that"
        f" layer's estimate serves those below it, whose costs weigh {below}."
    )


def apart(ends: dict[int, float], limits: tuple[float, float]) -> dict[int, float]:
    """Heights of labels on a logarithmic axis, so that none covers the one below."""
    gap = GAP * np.log(limits[1] / limits[0])
    heights: dict[int, float] = {}
    lowest = -np.inf
    for i in sorted(ends, key=lambda i: ends[i]):
        lowest = max(float(np.log(ends[i])), lowest + gap)
        heights[i] = float(np.exp(lowest))
    return heights


def finish(ax: Axes, epochs: int) -> None:
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("epoch")
    ax.set_xlim(0, epochs * 1.015)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def combinators(fig: Figure, place: SubplotSpec, full: Evidence) -> None:
    if not full.done:
        ax = fig.add_subplot(place)
        ax.set_title("(c) learned combinators")
        say(ax, full.state)
        return
    record = full.done[0]
    layers = record.run.ladder.estimated
    axes: Any = place.subgridspec(1, len(layers)).subplots()
    for i, ax in zip(layers, axes, strict=True):
        z, g = (array(record, "combinators", f"{name}{i}") for name in ("z", "g"))
        for colour, curve in zip(VERTICALS, g, strict=True):
            low, middle, high = np.moveaxis(curve, 1, 0)
            ax.plot(z, middle, DASHES[colour], color=colour, linewidth=1)
            ax.fill_between(z, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.set_title(f"layer {i}", fontsize=8)
        ax.tick_params(labelsize=6)
        ax.set_xlabel(r"$\tilde z$", labelpad=0)
    axes[0].set_ylabel(r"(c)  $\hat z = g(\tilde z, u)$")
