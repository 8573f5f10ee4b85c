"""Figure 3: L_1 on training and test set and L_K on the test set against the number of layers."""

from __future__ import annotations

import sys

from repro.show.panels.by_depth import FIGURE3, bounds_by_depth
from repro.show.style import journal, main

from matplotlib.figure import Figure

from repro.show.gallery import by_depth
from repro.store import Store

NEEDS = by_depth("figure3")


@journal
def draw(store: Store, profile: str) -> Figure:
    """Three panels, one curve per variant. Raises UsageError, RecordError."""
    return bounds_by_depth(FIGURE3, store, profile)


if __name__ == "__main__":
    sys.exit(main(draw, __file__))
