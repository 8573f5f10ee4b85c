"""Figure 2: the bound L_1 on the training and test set while training, four variants."""

from typing import Any

from repro.show.style import PANEL, Needs, look, main, say

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from repro.judge.evidence import Evidence
from repro.plan.profiles import profile as find_profile
from repro.show.captions import add_caption
from repro.show.panels.over_epochs import band, bands, begin, by_epoch, crop
from repro.show.words import nothing

LINES: dict[str, Any] = {"L1_train": "-", "L1_test": "--"}
NEEDS = Needs("figure2", epochs=3)


@NEEDS.journal
def draw(cells: list[Evidence], profile: str) -> Figure:
    """One panel. Raises RecordError."""
    schedule = find_profile(profile).schedule
    fig = Figure(figsize=(PANEL, 3.1))
    ax = fig.add_subplot()
    shown = {s: by_epoch(s, list(LINES)) for s in cells if s.done}
    for s, table in shown.items():
        for column, dashes in LINES.items():
            band(ax, table[column], column, linestyle=dashes, **look(s.cell.variant))
    ax.set_xlabel("epoch")
    ax.set_ylabel(r"$\mathcal{L}_1$ (nats per example)")
    cut = crop(ax, list(shown.values()), schedule.warmup_epochs)
    start = begin(ax) if cut else 0.0
    room = 0.015 * (schedule.epochs - start)
    ax.set_xlim(start - room, schedule.epochs + room)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if not shown:
        say(ax, nothing(cells))
    handles = [Line2D([], [], markersize=3, label=s.label, **look(s.cell.variant)) for s in cells]
    for column, dashes in LINES.items():
        handles.append(Line2D([], [], color="black", linestyle=dashes, label=column[3:]))
    fig.legend(handles=handles, loc="outside upper center", ncols=2)
    text = "Figure 2. Lower bound L_1 of the 5-layer models on training and test set, MNIST. On the"
    text += " training set in a pass of its own at beta = 1, not the running objective that the"
    text += " authors' code saves, which lies lower."
    if cut:
        text += " The lowest values, from the first epochs, lie below the axis; epochs begin where"
        text += " the first curve rises into the panel."
    add_caption(fig, text + bands(cells), profile, cells)
    return fig


if __name__ == "__main__":
    main(draw, __file__)
