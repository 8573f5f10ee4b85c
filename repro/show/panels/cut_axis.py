"""One panel of bounds against depth: an axis cut to where the models differ, nothing dropped.

What lies below the cut stands in a grey zone at the lower edge with its value. Published values are
short lines in front of all curves, or across them where the depth is not known; those above the
axis have a grey strip of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from repro.show.style import COLOURS, MUTED, look

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes

from repro.judge.targets.target import Target
from repro.plan.experiments.grid import MAX_DEPTH

STEP = 0.13  # layers between two variants of one depth, so that no marker hides another
LIMITS = (0.45, MAX_DEPTH + 1.0)
IMAGES_AT = MAX_DEPTH + 0.6  # where the error over images stands
REACH = 4.0  # a value that lies so many times further below the median than the best above: cut
MARGIN = 0.06  # of what is shown, above and below it
NEAR = 0.35  # a published value above the axis by no more than this share of it is taken in
ROW = 0.065  # height of a value in the zone below the cut, as a share of the axis
GREY = "#f2f2f2"
LEAST = 1.0  # nats: no axis shows less
NAMED = 3  # so many published values of a panel have their number beside them
SMALL = 6.5
CASING = [patheffects.withStroke(linewidth=3.2, foreground="white")]


@dataclass(frozen=True)
class Curve:
    """One variant's means by depth, and their errors; NaN where none is known."""

    variant: str
    mean: dict[int, float]
    error: dict[int, float]


class Low(NamedTuple):
    """A value below the axis; its note follows its number."""

    value: float
    variant: str
    gid: str
    note: str = ""


@dataclass(frozen=True)
class Window:
    """What of the axis is shown, in nats."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float], margin: float = MARGIN) -> Window:
        low, high = min(values, default=0.0), max(values, default=0.0)
        room = margin * (high - low) + max(0.0, LEAST - (high - low)) / 2
        return cls(low - room, high + room)


def window(curves: Sequence[Curve], published: Sequence[float]) -> Window:
    """Around ours with their errors; without any, around the published.

    Left out are outliers, and of three depths or more the shallowest if it lies below all others.
    Published values just above are taken in.
    """
    ours = {(c.variant, depth): mean for c in curves for depth, mean in c.mean.items()}
    if not ours:
        return Window.around(published)
    best, middle = max(ours.values()), float(np.median(list(ours.values())))
    lowest = middle - REACH * max(best - middle, LEAST / 4)
    kept = {at: mean for at, mean in ours.items() if mean >= lowest}
    depths = sorted({depth for _, depth in ours})
    deeper = {at: mean for at, mean in kept.items() if at[1] > depths[0]}
    shallow = [mean for at, mean in kept.items() if at[1] == depths[0]]
    if len(depths) > 2 and deeper and max(shallow, default=lowest) < min(deeper.values()):
        kept = deeper
    errors = {
        (c.variant, d): 0.0 if math.isnan(e) else e for c in curves for d, e in c.error.items()
    }
    ends = [mean + sign * errors[at] for at, mean in kept.items() for sign in (-1, 1)]
    first = Window.around(ends)
    near = [v for v in published if 0 < v - first.high <= NEAR * (first.high - first.low)]
    return Window.around([*ends, *near])


def offsets(variants: Sequence[str]) -> dict[str, float]:
    """How far beside its depth each variant is drawn, in layers."""
    middle = (len(variants) - 1) / 2
    return {v: (i - middle) * STEP for i, v in enumerate(variants)}


def draw_curve(ax: Axes, curve: Curve, beside: float) -> None:
    """A line through a variant's means, open where a depth is missing, and their errors."""
    depths = range(1, MAX_DEPTH + 1)
    mean = np.array([curve.mean.get(d, math.nan) for d in depths])
    error = np.array([curve.error.get(d, math.nan) for d in depths])
    x = np.array(depths) + beside
    ax.plot(x, mean, linewidth=1, markersize=3.8, gid=curve.variant, **look(curve.variant))
    known = np.isfinite(mean) & np.isfinite(error)
    if known.any():
        caps: Any = {"elinewidth": 0.8, "capsize": 1.8, "capthick": 0.8, "fmt": "none"}
        ours = x[known], mean[known], error[known]
        bars = ax.errorbar(*ours, ecolor=COLOURS[curve.variant], **caps)
        bars.set_label(f"error {curve.variant}")


def draw_published(ax: Axes, target: Target, beside: dict[str, float], named: bool) -> None:
    """A short line at its depth; one that several cells answer crosses the panel, dashed."""
    y = target.paper
    label: dict[str, Any] = {"fontsize": SMALL, "gid": "published", "zorder": 5}
    if target.cell is None:
        ax.axhline(y, color="black", linewidth=0.9, dashes=(4, 2), zorder=5, gid=target.id)
        ax.text(LIMITS[0] + 0.1, y, f"best VAE {number(y)}", va="bottom", **label)
        return
    colour = COLOURS[target.cell.variant]
    x = target.cell.depth + 1.6 * beside[target.cell.variant]  # so that none hides the next
    half = 0.2 if named else 0.1
    ends = [x - half, x + half]
    look: dict[str, Any] = {"linewidth": 1.8, "solid_capstyle": "butt", "path_effects": CASING}
    ax.plot(ends, [y, y], color=colour, zorder=5, gid=target.id, **look)
    if named:
        ax.text(ends[0] - 0.1, y, number(y), ha="right", va="center", **label)


def draw_below(ax: Axes, low: dict[int, list[Low]], shown: Window) -> None:
    """A zone below what is shown: at each depth its lower values, stacked by their height."""
    rows = max(map(len, low.values()), default=0)
    share = ROW * rows + ROW / 2 if rows else 0.0
    bottom = shown.low - share / (1 - share) * (shown.high - shown.low)
    ax.set_ylim(bottom, shown.high)
    if not rows:
        return
    ax.axhspan(bottom, shown.low, color=GREY, linewidth=0, zorder=3, gid="zone")
    ax.set_yticks([y for y in ax.get_yticks() if shown.low <= y <= shown.high])
    tear(ax, share)
    for depth, marks in low.items():
        for place, mark in enumerate(sorted(marks)):
            draw_low(ax, depth, ROW * (place + 0.75), mark)


def draw_low(ax: Axes, depth: int, y: float, mark: Low) -> None:
    place: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "zorder": 4, "gid": mark.gid}
    ax.plot(depth - 0.38, y, markersize=3, **look(mark.variant), **place)
    text = f"↓ {number(mark.value)}{mark.note}"
    ax.text(depth - 0.22, y, text, va="center", fontsize=SMALL, **place)


def draw_image_error(ax: Axes, error: float, shown: Window) -> None:
    """What all models share: the error over test images, beside the curves; no bar of a longer."""
    middle = (shown.low + shown.high) / 2
    if 2 * error < shown.high - shown.low:
        look: dict[str, Any] = {"elinewidth": 0.8, "capsize": 2, "capthick": 0.8}
        bar = ax.errorbar([IMAGES_AT], [middle], [error], fmt="none", ecolor=MUTED, **look)
        bar.set_label("error over images")
    text = f"images ±{error:.2f}"
    look = {"rotation": 90, "ha": "center", "va": "center", "fontsize": SMALL, "color": MUTED}
    ax.text(IMAGES_AT + 0.25, middle, text, gid="error over images", **look)


def tear(ax: Axes, y: float) -> None:
    """A stroke through the axis where it is broken, at a share of its height."""
    stroke: dict[str, Any] = {"marker": [(-1, -0.6), (1, 0.6)], "markersize": 6, "zorder": 6}
    ax.plot(0, y, transform=ax.transAxes, color="black", clip_on=False, gid="break", **stroke)


def number(value: float) -> str:
    """Two decimals, with a true minus."""
    return f"{value:z.2f}".replace("-", "−")
