"""Figure 7: Figure 3 with the LVAE that has no batch norm."""

from __future__ import annotations

import sys
from dataclasses import replace

from repro.show.panels.by_depth import FIGURE3, bounds_by_depth
from repro.show.style import journal, main

from matplotlib.figure import Figure

from repro.show.gallery import by_depth
from repro.store import Store

FIGURE = replace(
    FIGURE3,
    experiment="figure7",
    text="Figure 7. Bounds against depth, MNIST, higher is better, with the LVAE without batch"
    " norm; whether the paper warmed it up is not said, here it is.",
)
NEEDS = by_depth("figure7")


@journal
def draw(store: Store, profile: str) -> Figure:
    """Three panels, one curve per variant. Raises UsageError, RecordError."""
    return bounds_by_depth(FIGURE, store, profile)


if __name__ == "__main__":
    sys.exit(main(draw, __file__))
