"""Throughput of training, and how near that comes to the device's limits, against lanes.

Drawn from what `repro bench --json` saved.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from repro.show.style import MUTED, PANEL, look, looks, save, say

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from repro.show.captions import CAPTION_SIZE, MARGIN, wrapped
from repro.show.output import ended
from repro.show.report.measured import STEP, read

LOOKS = {  # colour and marker of this variant
    "eager": "vae_bn", "compiled": "lvae_bn_wu", "graph": "vae_bn_wu", "captured": "vae",
}  # fmt: skip
OTHER = "vae_bn_wu"

LANES = "number of lanes K"
TICKS = (1, 1.5, 2, 3, 4, 6)  # of a logarithmic axis, within a power of ten

Value = Callable[[dict[str, Any]], float]  # of an arm


def draw(bench: dict[str, Any]) -> Figure:
    """Model-steps a second against K, and the share of the roofline reached where it is known.

    A curve per engine.
    """
    with looks():
        return _draw(bench)


def _draw(bench: dict[str, Any]) -> Figure:
    measured = with_steps(bench)
    stacks = [entry for entry in measured if is_uniform_stack(entry)]
    near = [entry for entry in stacks if "roofline" in entry]
    fig = Figure(figsize=(PANEL * (2 if near else 1), 3.6))
    ax, *right = fig.subplots(1, 2 if near else 1, squeeze=False)[0]
    for panel in right:
        curves(panel, near, lambda e: 100 * e["roofline"]["fraction"], "", "{} roofline")
        lane_axis(panel, near)
        panel.set(ylim=(0, None), xlabel=LANES, ylabel="share of the roofline (%)")
        for line in panel.lines:  # markers at almost nothing stay whole
            line.set_clip_on(False)
    curves(ax, stacks, speed, "{} stack", "{}")
    limit(ax, stacks, bench["matmul"])
    usual = [e for e in measured if e["arm"] == bench["reference"] and e not in stacks]
    for entry in usual:
        ax.axhline(speed(entry), color="black", linestyle="--", label=entry["arm"])
    ax.set(xlabel=LANES, ylabel="model steps per second")
    if not measured:
        say(ax, "not measured")
    else:
        scale(ax, stacks)
        if ax.get_legend_handles_labels()[0]:
            fig.legend(loc="outside upper center", ncols=2)
    caption(fig, bench, stacks, bool(near), bool(usual))
    return fig


def has_curve(bench: dict[str, Any]) -> bool:
    """Whether stacks of several widths were measured, so that there is something to draw."""
    if "matmul" not in bench:
        return False
    return len({e["lanes"] for e in with_steps(bench) if is_uniform_stack(e)}) > 1


def with_steps(bench: dict[str, Any]) -> list[dict[str, Any]]:
    """The arms whose training steps were measured."""
    return [entry for entry in bench["arms"] if STEP in entry.get("operations", {})]


def is_uniform_stack(entry: dict[str, Any]) -> bool:
    """LVAE lanes of one depth, trained by an engine of this project with the device's precision."""
    lvae = entry.get("model", "lvae") == "lvae" and not entry.get("bfloat16")
    return lvae and entry["engine"] != "plain" and len(set(entry["depths"])) == 1


def speed(entry: dict[str, Any]) -> float:
    return float(entry["operations"][STEP]["model_steps_per_s"])


def curves(ax: Axes, entries: list[dict[str, Any]], value: Value, label: str, gid: str) -> None:
    """One per engine, whose name goes into label and gid."""
    for engine in dict.fromkeys(e["engine"] for e in entries):
        named: Any = {"label": label.format(engine), "gid": gid.format(engine)}
        points = sorted((e["lanes"], value(e)) for e in entries if e["engine"] == engine)
        ax.plot(*zip(*points, strict=True), **named, **look(LOOKS.get(engine, OTHER)))


def limit(ax: Axes, entries: Iterable[dict[str, Any]], matmul: dict[str, Any]) -> None:
    """What the matrix products alone would allow: the fastest seen at each K."""
    best: dict[int, float] = {}
    for e in (e for e in entries if e["arm"] in matmul):
        allowed = e["lanes"] / float(matmul[e["arm"]][STEP]["seconds"])
        best[e["lanes"]] = max(allowed, best.get(e["lanes"], 0.0))
    if best:
        named: Any = {"label": "matrix products alone", "gid": "limit"}
        ax.plot(*zip(*sorted(best.items()), strict=True), ":", color=MUTED, **named)


def scale(ax: Axes, entries: list[dict[str, Any]]) -> None:
    lane_axis(ax, entries)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=TICKS))
    lowest = min((float(np.min(line.get_ydata())) for line in ax.lines), default=1.0)
    tens = 10 ** math.floor(math.log10(lowest))
    ax.set_ylim(bottom=0.95 * tens * max(t for t in TICKS if t * tens <= lowest))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def lane_axis(ax: Axes, entries: list[dict[str, Any]]) -> None:
    lanes = sorted({e["lanes"] for e in entries}) or [1]
    ax.set_xscale("log", base=2)
    ax.set_xlim(lanes[0] / 1.2, lanes[-1] * 1.2)
    ax.set_xticks(lanes, [str(K) for K in lanes])
    ax.set_xticks([], minor=True)


def caption(
    fig: Figure,
    bench: dict[str, Any],
    stacks: list[dict[str, Any]],
    with_roofline: bool,
    with_usual: bool,
) -> None:
    depths = ", ".join(sorted({str(d) for e in stacks for d in e["depths"]}))
    missing = [
        f"{e['arm']} ({e.get('absent', 'failed')})"
        for e in bench["arms"]
        if STEP not in e.get("operations", {})
    ]
    threads = f" {bench['threads']} threads," if bench["threads"] else ""
    precision = f" products in {bench['precision']}," if "precision" in bench else ""
    method = bench.get("method") or f"Medians of {bench['repeats']} repeats."
    scale = f"logarithmic axes{' (right: of K alone)' if with_roofline else ''}"
    text = (
        f"Training steps of LVAE+BN models a second, {depths or 'no'} layers, each on its own"
        f" minibatch of {bench['batch']}; {scale}, higher is better. A step of K lanes counts K."
        f" {bench['device']},{threads} torch {bench['torch']},{precision}"
        f" {bench['date'][:10]}. {method}"
    )
    if bench["matmul"]:
        text += " Dotted: the matrix products alone, which no step can overtake."
    if with_usual:
        text += f" Dashed: {bench['reference']}, one model as usually written."
    text += f" Right: {bench['roofline']}." if with_roofline else ""
    text += f" Not measured: {', '.join(missing)}." if missing else ""
    fig.set_label(text)
    width = fig.get_size_inches()[0]
    lines = "\n".join(wrapped(text, width - 2 * MARGIN))
    fig.supxlabel(lines, fontsize=CAPTION_SIZE, color="#333333", x=MARGIN / width, ha="left")


def main() -> int:
    """The command line of this script; the exit status."""
    parser = argparse.ArgumentParser(
        description="Draw training throughput against the number of lanes.",
        epilog="example: python -m repro.show.rates bench.json --out /tmp",
    )
    parser.add_argument("bench", type=Path, help="what `repro bench --json` printed")
    parser.add_argument("--out", type=Path, default=Path(), help="folder (default: this one)")
    args = parser.parse_args()

    def make() -> None:
        with read(args.bench) as bench:
            figure = draw(bench)
        for path in save(figure, args.out / "throughput"):
            print(path)

    return ended(make)


if __name__ == "__main__":
    sys.exit(main())
