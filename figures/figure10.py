"""Figure 10: true data, reconstructions and prior samples of the 5-layer LVAE on OMNIGLOT."""

from __future__ import annotations

from functools import partial

from repro.show.panels.mosaic import mosaics
from repro.show.style import journal, main

from repro.show.gallery import Needs

NEEDS = Needs("figure10")
draw = journal(partial(mosaics, "figure10", "Figure 10. 5-layer LVAE+BN+WU on OMNIGLOT"))


if __name__ == "__main__":
    main(draw, __file__)
