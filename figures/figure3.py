"""Figure 3: L_1 on training and test set and L_K on the test set against the number of layers."""

from __future__ import annotations

import math
import sys
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from style import (
    COLOURS,
    MARKERS,
    NOT_RUN,
    PAGE,
    Seeds,
    add_caption,
    gather,
    journal,
    main,
    mean_and_sd,
    write_in,
)

from repro.experiments.grid import MAX_DEPTH, VARIANTS
from repro.measures import metric as read
from repro.profiles import profile as find_profile
from repro.store import Store
from repro.targets import K_TEST, TARGETS, Target

# Metric of each panel, and the values of it that the paper's text states with their depth.
PANELS: dict[str, tuple[str, ...]] = {
    "L1_train": (),
    "L1_test": ("text/L1_test/lvae5", "text/L1_test/vae3"),
    "LK_test": ("text/L5000_test/lvae5",),
}


@journal
def draw(store: Store, profile: str) -> Figure:
    """Three panels, one curve per variant. Raises UsageError, RecordError."""
    cells = gather(store, profile, "figure3")
    k = find_profile(profile).evaluation.importance_samples
    titles = ["(a) training set", "(b) test set", "(c) test set"]
    names = [r"$\mathcal{L}_1$", r"$\mathcal{L}_1$", rf"$\mathcal{{L}}_{{{k}}}$"]
    fig = Figure(figsize=(PAGE, 2.75))
    axes = fig.subplots(1, len(PANELS))
    for ax, metric, title, name in zip(axes, PANELS, titles, names, strict=True):
        panel(ax, cells, metric)
        ax.set_title(title)
        ax.set_ylabel(f"{name} (nats per example)")
    legend(fig, cells)
    text = "Figure 3. Bounds against depth, MNIST, higher is better." + missing(cells)
    text += " Open markers: values stated in the paper's text"
    text += f" (in (c) L_{K_TEST}, ours L_{k})." if k != K_TEST else "."
    if any(len(s.done) > 1 for s in cells):
        text += " Bands: mean ± one standard deviation over seeds."
    add_caption(fig, text, profile, cells)
    return fig


def panel(ax: Axes, cells: list[Seeds], metric: str) -> None:
    for variant in VARIANTS:
        curve(ax, [s for s in cells if s.cell.variant == variant and s.done], metric)
    for target in (TARGETS[name] for name in PANELS[metric]):
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


def missing(cells: list[Seeds]) -> str:
    """The depths of each variant that were not run; divergence is named elsewhere."""
    absent: dict[str, list[str]] = {}
    for variant, v in VARIANTS.items():
        depths = [s.cell.depth for s in cells if s.cell.variant == variant and s.state == NOT_RUN]
        if depths:
            absent.setdefault(", ".join(str(d) for d in depths), []).append(v.label)
    parts = [f"{', '.join(labels)} of depth {depths}" for depths, labels in absent.items()]
    return f" Not run: {'; '.join(parts)}." if parts else ""


def legend(fig: Figure, cells: list[Seeds]) -> None:
    handles = []
    for variant, v in VARIANTS.items():
        mine = [s for s in cells if s.cell.variant == variant]
        none = not any(s.done for s in mine)
        label = f"{v.label} ({next((s.state for s in mine if s.diverged), NOT_RUN)})"
        look: dict[str, Any] = {"color": COLOURS[variant], "marker": MARKERS[variant]}
        handles.append(Line2D([], [], label=label if none else v.label, **look))
    look = {"color": "black", "marker": "o", "markerfacecolor": "white", "linestyle": ""}
    handles.append(Line2D([], [], label="published", **look))
    fig.legend(handles=handles, loc="outside upper center", ncols=3)


if __name__ == "__main__":
    sys.exit(main(draw, __file__))
