"""What Figures 3, 7 and 8 share: three panels of bounds against the number of layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from repro.show.style import (
    COLOURS,
    MARKERS,
    NOT_RUN,
    PAGE,
    Seeds,
    add_caption,
    gather,
    mean_and_sd,
    write_in,
)

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.judge.measures import metric as read
from repro.judge.targets import TARGETS
from repro.judge.targets.target import K_TEST, Target
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import MAX_DEPTH
from repro.plan.profiles import profile as find_profile
from repro.store import Store

PANELS = {"L1_train": "(a) training set", "L1_test": "(b) test set", "LK_test": "(c) test set"}


@dataclass(frozen=True)
class ByDepth:
    """One such figure: what it is of, the targets that each panel shows, and where they stand."""

    experiment: str
    text: str
    where: str = "values stated in the paper's text"
    published: dict[str, tuple[str, ...]] = field(default_factory=dict)


def bounds_by_depth(figure: ByDepth, store: Store, profile: str) -> Figure:
    """One curve a variant in each panel. Raises UsageError, RecordError."""
    cells = gather(store, profile, figure.experiment)
    k = find_profile(profile).evaluation.importance_samples
    names = [r"$\mathcal{L}_1$", r"$\mathcal{L}_1$", rf"$\mathcal{{L}}_{{{k}}}$"]
    fig = Figure(figsize=(PAGE, 2.75))
    axes = fig.subplots(1, len(PANELS))
    for ax, (metric, title), name in zip(axes, PANELS.items(), names, strict=True):
        panel(ax, cells, metric, figure.published.get(metric, ()))
        ax.set_title(title)
        ax.set_ylabel(f"{name} (nats per example)")
    legend(fig, cells, bool(figure.published))
    add_caption(fig, caption(figure, cells, k), profile, cells)
    return fig


def variants(cells: list[Seeds]) -> list[str]:
    """Those of a figure, in grid order."""
    return list(dict.fromkeys(s.cell.variant for s in cells))


def panel(ax: Axes, cells: list[Seeds], metric: str, targets: tuple[str, ...]) -> None:
    for variant in variants(cells):
        curve(ax, [s for s in cells if s.cell.variant == variant and s.done], metric)
    for target in (TARGETS[name] for name in targets):
        published(ax, target)
    ax.set_xticks(range(1, MAX_DEPTH + 1))
    ax.set_xlim(0.7, MAX_DEPTH + 0.3)
    ax.set_xlabel("number of layers")
    ax.locator_params(axis="y", nbins=6)
    if not any(s.done for s in cells):
        write_in(ax, NOT_RUN)
    if not ax.lines:
        ax.set_yticks([])


def curve(ax: Axes, seeds: list[Seeds], metric: str) -> None:
    """One variant's means; gaps stay where a depth has no finished Run."""
    if not seeds:
        return
    variant = seeds[0].cell.variant
    stats = {s.cell.depth: mean_and_sd([read(r, metric) for r in s.done]) for s in seeds}
    gap = (float("nan"), float("nan"))
    depths = range(1, MAX_DEPTH + 1)
    mean = [stats.get(d, gap)[0] for d in depths]
    sd = [stats.get(d, gap)[1] for d in depths]
    colour = COLOURS[variant]
    ax.plot(depths, mean, color=colour, marker=MARKERS[variant], gid=variant)
    if not all(map(math.isnan, sd)):
        low = [m - d for m, d in zip(mean, sd, strict=True)]
        high = [m + d for m, d in zip(mean, sd, strict=True)]
        ax.fill_between(depths, low, high, color=colour, alpha=0.2, linewidth=0)


def published(ax: Axes, target: Target) -> None:
    """An open marker where the paper's value lies."""
    for cell in target.cells:
        look: dict[str, Any] = {"marker": MARKERS[cell.variant], "color": COLOURS[cell.variant]}
        ax.plot(cell.depth, target.paper, markerfacecolor="white", zorder=1, gid=target.id, **look)


def caption(figure: ByDepth, cells: list[Seeds], k: int) -> str:
    text = f"{figure.text}{missing(cells)}"
    if figure.published:
        text += f" Open markers: {figure.where}"
        text += f" (in (c) L_{K_TEST}, ours L_{k})." if k != K_TEST else "."
    if any(len(s.done) > 1 for s in cells):
        text += " Bands: mean ± one standard deviation over seeds."
    return text


def missing(cells: list[Seeds]) -> str:
    """The depths of each variant that were not run; divergence is named elsewhere."""
    absent: dict[str, list[str]] = {}
    for variant in variants(cells):
        mine = [s.cell for s in cells if s.cell.variant == variant and s.state == NOT_RUN]
        if mine:
            depths = ", ".join(str(cell.depth) for cell in mine)
            absent.setdefault(depths, []).append(label_of(mine[0]))
    parts = [f"{', '.join(labels)} of depth {depths}" for depths, labels in absent.items()]
    return f" Not run: {'; '.join(parts)}." if parts else ""


def legend(fig: Figure, cells: list[Seeds], with_published: bool) -> None:
    handles = []
    for variant in variants(cells):
        mine = [s for s in cells if s.cell.variant == variant]
        name, none = label_of(mine[0].cell), not any(s.done for s in mine)
        label = f"{name} ({next((s.state for s in mine if s.diverged), NOT_RUN)})"
        look: dict[str, Any] = {"color": COLOURS[variant], "marker": MARKERS[variant]}
        handles.append(Line2D([], [], label=label if none else name, **look))
    if with_published:
        look = {"color": "black", "marker": "o", "markerfacecolor": "white", "linestyle": ""}
        handles.append(Line2D([], [], label="published", **look))
    fig.legend(handles=handles, loc="outside upper center", ncols=3)


FIGURE3 = ByDepth(
    "figure3",
    "Figure 3. Bounds against depth, MNIST, higher is better.",
    published={
        "L1_test": ("text/L1_test/lvae5", "text/L1_test/vae3"),
        "LK_test": ("text/L5000_test/lvae5",),
    },
)
