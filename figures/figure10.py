"""Figure 10: true data, reconstructions and prior samples of the 5-layer LVAE on OMNIGLOT."""

from __future__ import annotations

import sys

from repro.show.panels.mosaic import mosaics
from repro.show.style import journal, main

from matplotlib.figure import Figure

from repro.show.gallery import Needs
from repro.store import Store

NEEDS = Needs("figure10")


@journal
def draw(store: Store, profile: str) -> Figure:
    """Three mosaics of 10 x 10 images. Raises UsageError, RecordError."""
    begin = "Figure 10. 5-layer LVAE+BN+WU on OMNIGLOT"
    return mosaics("figure10", begin, store, profile)


if __name__ == "__main__":
    sys.exit(main(draw, __file__))
