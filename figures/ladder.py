"""Ladder networks with 100 labels: error and costs while training, and learned combinators."""

from typing import Any

from repro.show.style import LADDER, PAGE, Needs, look, main

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from repro.judge.evidence import Evidence
from repro.plan.profiles import profile as find_profile
from repro.plan.profiles import run_of
from repro.show.captions import add_caption
from repro.show.panels.ladder import combinators, costs, errors
from repro.show.panels.over_epochs import bands

NEEDS = Needs("ladder_100", epochs=3, variants=tuple(LADDER))


@NEEDS.journal
def draw(cells: list[Evidence], profile: str) -> Figure:
    """Error, costs and a strip of combinators. Raises RecordError."""
    epochs = run_of(cells[0].cell, find_profile(profile)).schedule.epochs
    fig = Figure(figsize=(PAGE, 4.6))
    grid = fig.add_gridspec(2, 1, height_ratios=(1.7, 1))
    panels: Any = grid[0].subgridspec(1, 2).subplots()
    left, right = panels
    errors(left, cells, epochs)
    handles = [Line2D([], [], markersize=3, label=s.label, **look(s.cell.variant)) for s in cells]
    fig.legend(handles=handles, loc="outside upper center", ncols=2)
    full = next(s for s in cells if s.cell.variant == "full")
    stuck = costs(right, full, epochs)
    combinators(fig, grid[1], full)
    text = (
        "Ladder networks with 100 labels, MNIST. (a) Error on the test set after each epoch;"
        " (b) full model: denoising cost C_i of each layer before its weight, on training images;"
        " (c) full model, lowest finished seed: learned combinators for u = −2 (dashed), 0 (dotted)"
        " and 2 (solid), median and quartiles over the units of a layer, each on its own scale."
    )
    shaded = bands(cells, " in (a) and (b)" if full.seeds > 1 else " in (a)")
    add_caption(fig, text + stuck + shaded, profile, cells)
    return fig


if __name__ == "__main__":
    main(draw, __file__)
