"""Figure 7: Figure 3 with the LVAE that has no batch norm."""

from dataclasses import replace

from repro.show.panels.by_depth import FIGURE3, bounds_by_depth
from repro.show.style import Needs, main

FIGURE = replace(
    FIGURE3,
    text="Figure 7. Bounds against depth, MNIST, higher is better, with the LVAE without batch"
    " norm; whether the paper warmed it up is not said, here it is.",
)
NEEDS = Needs("figure7", depths=2)
draw = NEEDS.journal(bounds_by_depth, FIGURE)


if __name__ == "__main__":
    main(draw, __file__)
