"""Figure 6: two principal components of samples z_i ~ q, layer by layer, VAE and LVAE."""

from __future__ import annotations

import sys

from repro.show.style import PAGE, Seeds, add_caption, first_seed, gather, journal, main, say

from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.judge.measures import array, projections
from repro.plan.experiments.grid import VARIANTS
from repro.store import Store

CLASSES = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#33343a",
    "#63c7d8",
)


@journal
def draw(store: Store, profile: str) -> Figure:
    """One row per model, one panel per layer. Raises UsageError, RecordError."""
    cells = gather(store, profile, "figure6")
    depth = max(s.cell.depth for s in cells)
    fig = Figure(figsize=(PAGE, 3.22))
    axes = fig.subplots(len(cells), depth)
    for row, s in zip(axes, cells, strict=True):
        row[0].set_ylabel(f"{VARIANTS[s.cell.variant].label}\nPC 2")
        for i, ax in enumerate(row, start=1):
            panel(ax, i, s)
    for i, ax in enumerate(axes[0], start=1):
        ax.set_title(f"$z_{i}$")
    for ax in axes[-1]:
        ax.set_xlabel("PC 1")
    legend(fig)
    text = (
        "Figure 6. Samples of each layer's approximate posterior, one per MNIST test image,"
        " projected on the layer's first two principal components (PC). Each panel has its own"
        " scale." + first_seed(cells)
    )
    add_caption(fig, text, profile, cells)
    return fig


def panel(ax: Axes, i: int, seeds: Seeds) -> None:
    if not seeds.done:
        return say(ax, seeds.state)
    z = projections(seeds.done[0], i)
    ax.scatter(
        z[:, 0],
        z[:, 1],
        c=array(seeds.done[0], "pca", "labels"),
        cmap=ListedColormap(CLASSES),
        vmin=-0.5,
        vmax=9.5,
        s=1.6 if len(z) > 2000 else 4,
        alpha=0.8,
        linewidths=0,
        rasterized=True,
    )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)
    ax.set_box_aspect(1)
    return None


def legend(fig: Figure) -> None:
    handles = [Line2D([], [], linestyle="", label="digit")]
    handles += [
        Line2D([], [], linestyle="", marker="o", markersize=4, color=colour, label=str(digit))
        for digit, colour in enumerate(CLASSES)
    ]
    fig.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        handletextpad=0,
        columnspacing=1.2,
    )


if __name__ == "__main__":
    sys.exit(main(draw, __file__))
