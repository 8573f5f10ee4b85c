"""Figure 10: true data, reconstructions and prior samples of the 5-layer LVAE on OMNIGLOT."""

from repro.show.panels.mosaic import mosaics
from repro.show.style import Needs, main

NEEDS = Needs("figure10")
draw = NEEDS.journal(mosaics, "Figure 10. 5-layer LVAE+BN+WU on OMNIGLOT")


if __name__ == "__main__":
    main(draw, __file__)
