"""Figure 9: true data, reconstructions and prior samples of the 5-layer LVAE on MNIST."""

from repro.show.panels.mosaic import mosaics
from repro.show.style import Needs, main

NEEDS = Needs("figure9")
draw = NEEDS.journal(mosaics, "Figure 9. 5-layer LVAE+BN+WU on MNIST")


if __name__ == "__main__":
    main(draw, __file__)
