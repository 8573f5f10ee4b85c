"""What Figures 9 and 10 share: mosaics of images, reconstructions and prior samples."""

from repro.show.style import PAGE, say

import numpy as np
from matplotlib.figure import Figure

from repro.judge.evidence import Evidence
from repro.judge.measures import array
from repro.show.captions import add_caption, first_seed, firsts

PANELS = {
    "true": "(a) test images, binarised",
    "reconstruction": "(b) reconstructions",
    "prior": "(c) samples from the prior",
}
GRID, GAP = 10, 2  # images of a row, pixels between two


def mosaics(begin: str, cells: list[Evidence], profile: str) -> Figure:
    """Three mosaics of 10 x 10 images of one cell. Raises RecordError.

    begin: of the caption, up to the data set's name.
    """
    (lvae,) = cells
    fig = Figure(figsize=(PAGE, 2.58))
    axes = fig.subplots(1, len(PANELS), gridspec_kw={"wspace": 0.12})
    for ax, (name, title) in zip(axes, PANELS.items(), strict=True):
        ax.set_title(title)
        ax.set_box_aspect(1)
        if not lvae.done:
            say(ax, lvae.state)
            continue
        images, shape = (array(lvae.done[0], "samples", n) for n in (name, "shape"))
        ax.imshow(mosaic(images, *shape), cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        ax.set_axis_off()
    text = (
        f"{begin}; (b) and (c) show the mean of x given z_1, in (b) for the images of (a), in (c)"
        " by ancestral sampling." + first_seed(cells)
    )
    add_caption(fig, text, profile, firsts(cells))
    return fig


def mosaic(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Up to 100 images [N, height * width] as one picture, row by row, gaps between."""
    tiles = np.zeros((GRID**2, height + GAP, width + GAP), dtype=images.dtype)
    tiles[: len(images), :height, :width] = images.reshape(-1, height, width)
    rows = tiles.reshape(GRID, GRID, height + GAP, width + GAP).transpose(0, 2, 1, 3)
    return rows.reshape(GRID * (height + GAP), -1)[:-GAP, :-GAP]
