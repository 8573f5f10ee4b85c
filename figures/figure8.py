"""Figure 8: bounds on OMNIGLOT against the number of layers."""

from __future__ import annotations

import sys

from repro.show.panels.by_depth import ByDepth, bounds_by_depth
from repro.show.style import journal, main

from matplotlib.figure import Figure

from repro.judge.targets import TARGETS
from repro.show.gallery import by_depth
from repro.store import Store

FIGURE = ByDepth(
    "figure8",
    "Figure 8. Bounds against depth, OMNIGLOT, higher is better.",
    where="values of the paper's Table 2",
    published={"LK_test": tuple(name for name in TARGETS if name.startswith("table2/omniglot/"))},
)
NEEDS = by_depth("figure8")


@journal
def draw(store: Store, profile: str) -> Figure:
    """Three panels, one curve per variant. Raises UsageError, RecordError."""
    return bounds_by_depth(FIGURE, store, profile)


if __name__ == "__main__":
    sys.exit(main(draw, __file__))
