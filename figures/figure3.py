"""Figure 3: L_1 on training and test set and L_K on the test set against the number of layers."""

from repro.show.panels.by_depth import FIGURE3, bounds_by_depth
from repro.show.style import Needs, main

NEEDS = Needs("figure3", depths=2)
draw = NEEDS.journal(bounds_by_depth, FIGURE3)


if __name__ == "__main__":
    main(draw, __file__)
