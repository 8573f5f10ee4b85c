"""Figure 6: two principal components of samples z_i ~ q, layer by layer, four variants."""

from repro.show.style import PAGE, Needs, main, say

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from repro.judge.evidence import Evidence
from repro.judge.measures import array, projections
from repro.plan.experiments.grid import VARIANTS
from repro.show.captions import add_caption, first_seed, firsts, missing, with_records

CLASSES = [
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
]
NEEDS = Needs("figure6")


@NEEDS.journal
def draw(cells: list[Evidence], profile: str) -> Figure:
    """One row per model, one panel per layer. Raises RecordError."""
    depth = max(s.cell.depth for s in cells)
    shown = with_records(cells)
    fig = Figure(figsize=(PAGE, 0.65 + 1.275 * len(shown)))
    axes = fig.subplots(len(shown), depth, squeeze=False)
    for ax in axes.flat:
        ax.tick_params(labelsize=6, length=2, pad=1.5)
    for row, s in zip(axes, shown, strict=True):
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
        " projected on the layer's first two principal components (PC), from their mean. Each"
        " panel has a scale of its own, the same on both axes. Circles: one (solid) and two"
        " (dashed) standard deviations of N(0, I), the prior of z_5; a lower layer's prior"
        " depends on the layer above, and its circles compare the scales."
        + first_seed(cells)
        + missing(cells)
    )
    add_caption(fig, text, profile, firsts(cells))
    return fig


def panel(ax: Axes, i: int, seeds: Evidence) -> None:
    ax.spines[:].set_visible(True)
    ax.set_box_aspect(1)
    if not seeds.done:
        say(ax, seeds.state)
        return
    z = projections(seeds.done[0], i)
    ax.scatter(
        z[:, 0],
        z[:, 1],
        c=array(seeds.done[0], "pca", "labels"),
        cmap=ListedColormap(CLASSES),
        vmin=-0.5,
        vmax=9.5,
        s=1 if len(z) > 2000 else 4,
        alpha=0.8,
        linewidths=0,
        rasterized=True,
    )
    limit = 1.04 * float(np.abs(z).max())
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit))
    ax.locator_params(nbins=4, steps=[1, 2, 5, 10])
    for radius, dashes in ((1, "-"), (2, "--")):
        look = {"fill": False, "linewidth": 0.7, "linestyle": dashes, "gid": f"{radius} sd"}
        ax.add_patch(Circle((0, 0), radius, **look))


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
    main(draw, __file__)
