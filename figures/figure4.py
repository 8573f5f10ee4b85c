"""Figure 4: KL of every latent unit while training, four variants."""

import math
from typing import Any

from repro.show.style import PAGE, PANEL, Needs, main, say

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from repro.judge.evidence import Evidence
from repro.judge.measures import array
from repro.plan.experiments.grid import VARIANTS
from repro.show.captions import add_caption, first_seed, firsts, missing, with_records
from repro.store.sealed import ACTIVE_NATS, Arrays

MAP = "viridis_r"
TICK = "#d55e00"  # of evaluated epochs
NEEDS = Needs("figure4", epochs=3)


@NEEDS.journal
def draw(cells: list[Evidence], profile: str) -> Figure:
    """A heat map a model, and a colour bar. Raises RecordError."""
    names = ("epochs", "test", "layer")  # [E], KL [E, units], layer of each unit
    units = {s: {n: array(s.done[0], "kl_units", n) for n in names} for s in cells if s.done}
    most = max((float(u["test"][-1].max()) for u in units.values()), default=1.0)
    norm = LogNorm(ACTIVE_NATS, max(1.0, most))
    shown = with_records(cells)
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    fig = Figure(figsize=(PAGE if columns > 1 else PANEL, 2.65 * rows))
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    for ax, s in zip(axes.flat, shown, strict=False):
        ax.set_title(VARIANTS[s.cell.variant].label)
        ax.spines[:].set_visible(True)
        if s.done:
            heat_map(ax, units[s], norm)
        else:
            say(ax, s.state)
    for ax in axes[:, 0]:
        ax.set_ylabel("latent units")
    for ax in axes.flat[: len(shown)][-columns:]:
        ax.set_xlabel("epoch")
    label = "KL of a unit (nats per example, log scale)"
    bar = fig.colorbar(
        ScalarMappable(norm, MAP),
        ax=axes,
        label=label,
        aspect=22.5 * rows,
        pad=0.02,
        extend="max",  # the first epochs may lie above the last
    )
    bar.ax.yaxis.set_major_formatter("{x:g}")
    text = (
        "Figure 4. KL of every latent unit of the 5-layer models, mean over the MNIST test set;"
        " units grouped by layer (1 is nearest the data) and sorted by their last value. White:"
        f" inactive, at most {ACTIVE_NATS:g} nats. Orange ticks: the evaluated epochs; each colour"
        " reaches half-way to the next." + negatives(units) + first_seed(cells) + missing(cells)
    )
    add_caption(fig, text, profile, firsts(cells))
    return fig


def heat_map(ax: Axes, units: Arrays, norm: LogNorm) -> None:
    """Units upward, from layer 1; in each layer the largest final value on top."""
    layer, kl, at = units["layer"], units["test"], units["epochs"]
    if len(at) == 1:  # one column has no neighbour that gives it a width
        at, kl = at + np.array([-0.25, 0.25]), np.repeat(kl, 2, axis=0)
    order = np.lexsort((kl[-1], layer))
    shown = np.ma.masked_less_equal(kl[:, order].T, ACTIVE_NATS)
    look: dict[str, Any] = {"norm": norm, "cmap": MAP, "shading": "nearest", "rasterized": True}
    ax.pcolormesh(at, np.arange(len(layer)) + 0.5, shown, **look)
    ax.set_xlim(right=units["epochs"][-1] + 0.5)  # nothing was trained beyond
    sizes = np.bincount(layer)[1:]
    tops = np.cumsum(sizes)
    ax.hlines(tops[:-1], 0, 1, transform=ax.get_yaxis_transform(), color="#888888", linewidth=0.5)
    ax.set_yticks(tops - sizes / 2, [f"$z_{i}$" for i in range(1, len(sizes) + 1)])
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    ax.xaxis.remove_overlapping_locs = False  # an evaluated epoch may have a number as well
    ax.xaxis.set_minor_locator(FixedLocator(units["epochs"].tolist()))
    ax.tick_params(axis="x", which="minor", length=5, width=0.8, color=TICK)


def negatives(units: dict[Evidence, Arrays]) -> str:
    """How many cells are negative, and how far; they are drawn white as well.

    Of an LVAE by chance alone: its term of a unit is a KL divergence given the layers above.
    """
    kl = {s.label: u["test"] for s, u in units.items()}
    found = [
        f"{label} {(of < 0).sum()} of {of.size}, lowest {of.min():.1g}"
        for label, of in kl.items()
        if (of < 0).any()
    ]
    if not found:
        return ""
    why = "of a VAE the term of z_i may be, as its prior sees a layer above drawn given z_i"
    why += "; of an LVAE by chance"
    return f" Negative, also white ({why}): {'; '.join(found)}.".replace("-", "−")


if __name__ == "__main__":
    main(draw, __file__)
