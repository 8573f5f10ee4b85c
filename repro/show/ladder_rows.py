"""Rows of the tables of Ladder networks: published numbers beside ours. Errors in percent."""

from repro.judge.evidence import Evidence
from repro.judge.targets import TARGETS
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import Cell

COLUMNS = (
    "labels",
    "model",
    "published",
    "sd (published)",
    "source",
    "ours",
    "sd (ours)",
    "s.e. (images)",
    "seeds",
)
READ, QUOTED, NO_SOURCE = "read", "quoted: validation", "no public source found"


def published(cell: Cell) -> tuple[str, ...]:
    """kzky's README gives "around 98%", so one digit of its error is all there is."""
    of = f"{cell.labels:,}", label_of(cell)
    target = TARGETS.get(f"ladder/{cell.variant}/{cell.labels}")
    if target is None:
        return (*of, "", "", NO_SOURCE)
    sd = "" if target.sd is None else f"{target.sd:.2f}"
    paper = f"{target.paper:.2f}" if sd else f"{target.paper:g}"
    return (*of, paper, sd, QUOTED if target.quoted_from else READ)


def ours(e: Evidence) -> tuple[str, ...]:
    """Mean, spread over seeds, error over images, seeds; or why there are none."""
    if not e.trainings:
        return e.state, "", "", ""
    mean, sd, se = e.mean("error_percent"), e.sd("error_percent"), e.mean("error_se")
    return f"{mean:.2f}", "" if sd is None else f"{sd:.2f}", f"{se:.2f}", str(e.seeds)
