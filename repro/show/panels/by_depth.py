"""What Figures 3, 7 and 8 share: three panels of bounds against the number of layers."""

import functools
import math
from dataclasses import dataclass, field
from typing import Any

from repro.show.style import PAGE, look, write_in

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D

from repro.judge import measures
from repro.judge.evidence import Evidence
from repro.judge.targets import TARGETS
from repro.judge.targets.target import K_TEST, Target
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import MAX_DEPTH
from repro.plan.profiles import profile as find_profile
from repro.show.captions import add_caption, missing
from repro.show.panels import cut_axis
from repro.show.words import nothing, of_first, sampling

PANELS = {"L1_train": "(a) training set", "L1_test": "(b) test set", "LK_test": "(c) test set"}
OVER_IMAGES = {"L1_test": "L1_se", "LK_test": "LK_se"}  # of the training set none is saved
HEIGHT = 3.3
STRIP = (1, 4)  # heights: what was published above the axis, and the axis
STRIP_MARGIN = 0.2


@dataclass(frozen=True)
class ByDepth:
    """One such figure: what it is of, the targets that each panel shows, and where they stand."""

    text: str
    where: str = "values stated in the paper's text"
    published: dict[str, tuple[str, ...]] = field(default_factory=dict)


def bounds_by_depth(figure: ByDepth, cells: list[Evidence], profile: str) -> Figure:
    """One curve a variant in each panel. Raises RecordError."""
    k = find_profile(profile).evaluation.importance_samples
    names = (r"$\mathcal{L}_1$", r"$\mathcal{L}_1$", rf"$\mathcal{{L}}_{{{k}}}$")
    fig = Figure(figsize=(PAGE, HEIGHT))
    grid: Any = fig.add_gridspec(1, len(PANELS))
    panels = [
        Panel(metric, cells, [TARGETS[name] for name in figure.published.get(metric, ())])
        for metric in PANELS
    ]
    rooms = [panel.room(place) for panel, place in zip(panels, grid, strict=True)]
    axes = [fig.add_subplot(room[-1]) for room in rooms]
    strips = [fig.add_subplot(room[0]) if len(room) > 1 else None for room in rooms]
    for panel, ax, strip, title, name in zip(
        panels, axes, strips, PANELS.values(), names, strict=True
    ):
        panel.draw(ax, strip)
        (strip or ax).set_title(f"{title}, {name}")
    fig.supylabel("bound (nats per example)", fontsize=9)
    legend(fig, cells, bool(figure.published))
    add_caption(fig, caption(figure, panels, cells, profile), profile, cells)
    engine = fig.get_layout_engine()
    assert engine is not None, "the common look sets constrained layout"
    engine.set(h_pad=0.025, hspace=0)  # type: ignore[call-arg]
    return fig


class Panel:
    """One bound of all variants: what is drawn of it, and where its axis is cut."""

    def __init__(self, metric: str, cells: list[Evidence], targets: list[Target]) -> None:
        self.done, self.none = [s for s in cells if s.done], nothing(cells)
        self.variants = variants(cells)
        self.curves = [curve(v, self.done, metric) for v in variants(self.done)]
        self.window = cut_axis.window(self.curves, [t.paper for t in targets])
        self.named = len(targets) <= cut_axis.NAMED
        self.over = [t for t in targets if t.paper > self.window.high]
        self.inside = [t for t in targets if self.window.low <= t.paper <= self.window.high]
        self.low = below(self.curves, targets, self.window)
        name = OVER_IMAGES.get(metric)
        read = functools.partial(measures.metric, name=name or "")
        found = [measures.known(r, read) for s in self.done for r in s.done if name]
        self.image_error = max((e for e in found if not math.isnan(e)), default=math.nan)

    def room(self, place: SubplotSpec) -> list[SubplotSpec]:
        """Of the strip, where there is one, and of the axis."""
        parts: Any = place.subgridspec(2, 1, height_ratios=STRIP)
        return [*parts] if self.over else [place]

    def draw(self, ax: Axes, strip: Axes | None) -> None:
        beside = cut_axis.offsets(self.variants)
        for c in self.curves:
            cut_axis.draw_curve(ax, c, beside[c.variant])
        for target in self.inside:
            cut_axis.draw_published(ax, target, beside, self.named)
        if not math.isnan(self.image_error):
            cut_axis.draw_image_error(ax, self.image_error, self.window)
        across(ax)
        cut_axis.draw_below(ax, self.low, self.window)
        ax.set_xlabel("number of layers")
        if not self.curves:
            write_in(ax, self.none)
        if not ax.lines:
            ax.set_yticks([])
        if strip is not None:
            self.strip(strip)
            cut_axis.tear(strip, 0)
            cut_axis.tear(ax, 1)

    def strip(self, ax: Axes) -> None:
        for target in self.over:
            cut_axis.draw_published(ax, target, cut_axis.offsets(self.variants), self.named)
        shown = cut_axis.Window.around([t.paper for t in self.over], STRIP_MARGIN)
        ax.set_ylim(max(shown.low, self.window.high), shown.high)
        across(ax)
        ax.locator_params(axis="y", nbins=2)
        ax.tick_params(axis="x", bottom=False, labelbottom=False)
        ax.spines["bottom"].set_visible(False)
        ax.set_facecolor(cut_axis.GREY)


def across(ax: Axes) -> None:
    ax.set_xticks(range(1, MAX_DEPTH + 1))
    ax.set_xlim(*cut_axis.LIMITS)
    ax.locator_params(axis="y", nbins=6)


def variants(cells: list[Evidence]) -> list[str]:
    """Those of a figure, in grid order."""
    return list(dict.fromkeys(s.cell.variant for s in cells))


def curve(variant: str, done: list[Evidence], metric: str) -> cut_axis.Curve:
    """Means over seeds; errors: their spread, or of one seed the Monte-Carlo error of L_K."""
    mean, error = {}, {}
    for s in (s for s in done if s.cell.variant == variant):
        depth = s.cell.depth
        mean[depth], sd = float(s.mean(metric)), s.sd(metric)
        error[depth] = math.nan if sd is None else sd
        if s.seeds == 1 and metric == "LK_test":
            error[depth] = measures.known(s.done[0], measures.mc_error)
    return cut_axis.Curve(variant, mean, error)


def below(
    curves: list[cut_axis.Curve], targets: list[Target], shown: cut_axis.Window
) -> dict[int, list[cut_axis.Low]]:
    """By depth, what the axis does not reach down to: ours and published."""
    found = [(d, cut_axis.Low(m, c.variant, "below")) for c in curves for d, m in c.mean.items()]
    for t in targets:
        cell, note = t.cells[-1], " published" if t.cell else " best VAE"
        found.append((cell.depth, cut_axis.Low(t.paper, cell.variant, t.id, note)))
    low: dict[int, list[cut_axis.Low]] = {}
    for depth, mark in found:
        if mark.value < shown.low:
            low.setdefault(depth, []).append(mark)
    return low


def caption(figure: ByDepth, panels: list[Panel], cells: list[Evidence], profile: str) -> str:
    text = f"{figure.text}{missing(cells)}"
    if any(x.low for x in panels):
        text += " The axes are cut: ↓ marks values that lie below."
    if figure.published:
        text += f" Short lines, in the legend's order from left to right: {figure.where}"
        k = find_profile(profile).evaluation.importance_samples
        text += f" (in (c) L_{K_TEST}, ours L_{k})" if k != K_TEST else ""
        if any(t.cell is None for x in panels for t in (*x.inside, *x.over)):
            text += ", dashed that of the best VAE, of whatever depth"
        above = any(x.over for x in panels)
        text += "; those above the axis, on a grey strip of another scale." if above else "."
    if (images := find_profile(profile).evaluation.lk_images) and cells:
        text += f" (c) is {of_first(cells[0].cell.data, images)}."
    return text + errors(panels, cells)


def errors(panels: list[Panel], cells: list[Evidence]) -> str:
    """What the bars show, and what they do not."""
    text = ""
    if any(not math.isnan(p.image_error) for p in panels):
        text = (
            " Grey bars: largest standard error over test images, which all models share, being"
            " scored on the same images."
        )
    counts = {min(len(s.done), 2) for s in cells if s.done}
    if 2 in counts:
        text += " Whiskers: one standard deviation over seeds"
        text += "; of one seed, in (c), the Monte-Carlo error." if 1 in counts else "."
    elif counts:
        text += (
            " Whiskers in (c), mostly smaller than the markers: Monte-Carlo error. Neither holds"
            " the spread over seeds."
        )
    return text + sampling([s for s in cells if s.seeds == 1])


def legend(fig: Figure, cells: list[Evidence], with_published: bool) -> None:
    handles = []
    for variant in variants(cells):
        mine = [s for s in cells if s.cell.variant == variant]
        name, none = label_of(mine[0].cell), not any(s.done for s in mine)
        label = f"{name} ({nothing(mine)})"
        handles.append(Line2D([], [], label=label if none else name, **look(variant)))
    if with_published:
        handles.append(Line2D([], [], label="published", color="black", linewidth=1.8))
    fig.legend(handles=handles, loc="outside upper center", ncols=3)


FIGURE3 = ByDepth(
    "Figure 3. Bounds against depth, MNIST, higher is better.",
    published={
        "L1_test": ("text/L1_test/lvae5", "text/L1_test/vae3"),
        "LK_test": ("text/L5000_test/lvae5", "text/L5000_test/vae_best"),
    },
)
