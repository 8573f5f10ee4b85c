"""What tests read off a drawn figure."""

import importlib
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

style: Any = importlib.import_module("repro.show.style")


def caption(figure: Figure) -> str:
    (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
    plain = text.get_text().replace("$", "").replace("\\mathit", "").replace("\n", " ")
    return plain.replace("{", "").replace("}", "")


def legend_labels(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(a.get_legend() for a in figure.axes)]
    return [t.get_text() for legend in legends if legend for t in legend.get_texts()]


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def line(ax: Axes, gid: str, colour: str | None = None) -> Line2D:
    found = [n for n in ax.lines if n.get_gid() == gid]
    (one,) = [n for n in found if colour is None or to_hex(n.get_color()) == colour]
    return one


def heights(ax: Axes, gid: str, colour: str | None = None) -> np.ndarray:
    """Of the points of a line."""
    return np.asarray(line(ax, gid, colour).get_ydata(), float)


def bands(ax: Axes) -> list[PolyCollection]:
    return [c for c in ax.collections if isinstance(c, PolyCollection)]


def half_lengths(bars: ErrorbarContainer) -> np.ndarray:
    """Of the whiskers."""
    ends = np.array(bars.lines[2][0].get_segments())[:, :, 1]
    return np.diff(ends, axis=1)[:, 0] / 2


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """Every axis, legend and caption lies on the page, and all else above the caption."""
    with matplotlib.rc_context(style.LOOK):
        figure.draw_without_rendering()
        (text,) = [t for t in figure.texts if t.get_gid() == "caption"]
        below = text.get_window_extent()
        boxes = [a.get_tightbbox() for a in figure.axes]
        boxes += [n.get_window_extent() for n in figure.legends]
    page = figure.bbox
    for box in (*boxes, below):
        assert page.x0 - 0.5 <= box.x0 < box.x1 <= page.x1 + 0.5
        assert page.y0 - 0.5 <= box.y0 < box.y1 <= page.y1 + 0.5
    assert all(box.y0 >= below.y1 for box in boxes)
