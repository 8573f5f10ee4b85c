"""Figure 8: bounds on OMNIGLOT against the number of layers."""

from repro.show.panels.by_depth import ByDepth, bounds_by_depth
from repro.show.style import Needs, main

from repro.judge.targets import TARGETS

FIGURE = ByDepth(
    "Figure 8. Bounds against depth, OMNIGLOT, higher is better.",
    where="values of the paper's Table 2",
    published={"LK_test": tuple(name for name in TARGETS if name.startswith("table2/omniglot/"))},
)
NEEDS = Needs("figure8", depths=2)
draw = NEEDS.journal(bounds_by_depth, FIGURE)


if __name__ == "__main__":
    main(draw, __file__)
