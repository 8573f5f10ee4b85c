"""Figure 3: L_1 on training and test set and L_K on the test set against the number of layers."""

from __future__ import annotations

import sys

from by_depth import ByDepth, bounds_by_depth
from style import journal, main

from matplotlib.figure import Figure

from repro.store import Store

FIGURE = ByDepth(
    "figure3",
    "Figure 3. Bounds against depth, MNIST, higher is better.",
    published={
        "L1_test": ("text/L1_test/lvae5", "text/L1_test/vae3"),
        "LK_test": ("text/L5000_test/lvae5",),
    },
)


@journal
def draw(store: Store, profile: str) -> Figure:
    """Three panels, one curve per variant. Raises UsageError, RecordError."""
    return bounds_by_depth(FIGURE, store, profile)


if __name__ == "__main__":
    sys.exit(main(draw, __file__))
