"""Figure 5: the KL divergence of each stochastic layer, four variants."""

from typing import Any

from repro.show.style import COLOURS, PANEL, Needs, main

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from repro.judge.evidence import Evidence
from repro.judge.measures import kl_layers
from repro.plan.experiments.grid import MAX_DEPTH
from repro.show.captions import add_caption

TOP = 25.0  # nats: the paper's axis
WIDTH = 0.2
HATCHES = {
    "vae": "",
    "vae_bn": "/////",
    "vae_bn_wu": "xxxxx",
    "lvae_bn_wu": ".....",
}  # without colour
NEEDS = Needs("figure5")


@NEEDS.journal
def draw(cells: list[Evidence], profile: str) -> Figure:
    """One panel of grouped bars. Raises RecordError."""
    fig = Figure(figsize=(PANEL, 2.7))
    ax = fig.add_subplot()
    shown = [s for s in cells if s.done]
    for place, s in enumerate(shown):
        bars(ax, s, (place - (len(shown) - 1) / 2) * WIDTH)
    layers = range(1, MAX_DEPTH + 1)
    ax.set_xticks(layers, [f"$i={i}$" for i in layers])
    ax.tick_params(axis="x", length=0)
    ax.set_xlabel("stochastic layer")
    ax.set_ylabel(r"KL of layer $i$ (nats per example)")
    ax.set_xlim(0.5, MAX_DEPTH + 0.5)
    ax.set_ylim(0, max(TOP, ax.dataLim.y1 * 1.05))
    ax.legend(handles=[Patch(label=s.label, **look(s)) for s in cells], loc="upper right")
    text = (
        "Figure 5. Contribution of each layer to the KL term, mean over the MNIST test set;"
        " layer 1 is nearest the data." + negatives(cells)
    )
    if any(len(s.done) > 1 for s in cells):
        text += " Whiskers: one standard deviation over seeds; none of one seed."
    else:
        text += " No whiskers: records hold no error of their KL terms, and one seed has no spread."
    add_caption(fig, text, profile, cells)
    return fig


def bars(ax: Axes, seeds: Evidence, offset: float) -> None:
    """One variant's bars."""
    means = seeds.mean(kl_layers)
    sd = np.std(seeds.values(kl_layers), axis=0, ddof=1) if seeds.seeds > 1 else None
    x = np.arange(1, len(means) + 1) + offset
    ax.bar(
        x,
        means,
        WIDTH * 0.92,
        yerr=sd,
        error_kw={"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8},
        label=seeds.cell.variant,
        **look(seeds),
    )
    tops = means if sd is None else means + sd
    for at, mean, top in zip(x, means, tops, strict=True):
        ax.text(at, max(0.0, top) + 0.1, tenths(mean), ha="center", va="bottom", fontsize=5.5)


def tenths(nats: float) -> str:
    """With a true minus, which zero has not."""
    return f"{nats:z.1f}".replace("-", "−")


def look(seeds: Evidence) -> dict[str, Any]:
    colour, hatch = COLOURS[seeds.cell.variant], HATCHES[seeds.cell.variant]
    return {"facecolor": colour, "edgecolor": "white", "linewidth": 0, "hatch": hatch}


def negatives(cells: list[Evidence]) -> str:
    found = sum(v < 0 for s in cells if s.done for v in s.mean(kl_layers))
    return f" Estimates below zero, not visible: {found}." if found else ""


if __name__ == "__main__":
    main(draw, __file__)
