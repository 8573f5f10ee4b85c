"""L_k against k: how far the bound still rises, and what it would reach without bias."""

from repro.show.style import COLOURS, PANEL, Needs, look, main, say

from matplotlib.figure import Figure

from repro.judge.evidence import Evidence
from repro.judge.measures import curve_of_k
from repro.plan.experiments import label_of
from repro.show.captions import add_caption, first_seed, firsts, missing

NEEDS = Needs("lk_curve", metric="LK_curve")
DASH = 6  # points
NOT_MEASURED = "not measured: `repro evaluate` scores a Run of runs/ again"


@NEEDS.journal
def draw(cells: list[Evidence], profile: str) -> Figure:
    """One panel. Raises RecordError."""
    fig = Figure(figsize=(PANEL, 2.9))
    ax = fig.add_subplot()
    measured = {e: found for e in cells if e.done and (found := curve_of_k(e.done[0]))}
    for i, (e, (k, bound, _, corrected)) in enumerate(measured.items()):
        ax.plot(k, bound, label=label_of(e.cell), gid=e.cell.variant, **look(e.cell.variant))
        if corrected is not None:  # dashes of one fill the gaps of others, where they lie together
            dashes = DASH * i, (DASH, DASH * max(1, len(measured) - 1))
            ax.axhline(corrected, linestyle=dashes, linewidth=0.8, color=COLOURS[e.cell.variant])
    if measured:
        ax.set_xscale("log")
        ax.set_xlabel("importance samples, $k$")
        ax.set_ylabel(r"$\mathcal{L}_k$ (nats per example)")
        ax.legend(loc="lower right")
    else:
        say(ax, NOT_MEASURED)
    absent = [label_of(e.cell) for e in cells if e.done and e not in measured]
    se = max((max(of) for _, _, of, _ in measured.values()), default=0.0)
    shared = f" Standard error over images, which the models share: at most {se:.2f} nats."
    text = (
        "L_k of the 5-layer models against the number k of importance samples, from one pass, on"
        " the images of L_K. Dashes: the value that the jackknife corrects for the bias of the"
        " last k; it is no bound. Weights are heavy-tailed, so even that may be too low."
        + (shared if se else "")
        + (f" Not measured: {', '.join(absent)}." if absent else "")
        + first_seed(measured)
        + missing(cells)
    )
    drawn = [e for e in cells if e in measured or not e.done]
    add_caption(fig, f"Curve of L_k. {text}", profile, firsts(drawn))
    return fig


if __name__ == "__main__":
    main(draw, __file__)
