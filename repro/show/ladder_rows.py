"""Rows of the tables of Ladder networks: published numbers beside ours. Errors in percent."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from repro.judge.measures import metric
from repro.judge.targets import TARGETS
from repro.judge.targets.target import Target
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import Cell
from repro.store import Record

COLUMNS = (
    *("labels", "model", "published", "sd (published)", "source"),
    *("ours", "sd (ours)", "s.e. (images)", "seeds"),
)
# Confidence of a target, as this table says it.
SOURCES = {"published": "read", "from memory": "from memory"}
QUOTED = "quoted: validation"


def target_of(cell: Cell) -> Target:
    return TARGETS[f"ladder/{cell.variant}/{cell.labels}"]


def published(cell: Cell) -> tuple[str, ...]:
    """kzky's README gives "around 98%", so one digit of its error is all there is."""
    target = target_of(cell)
    sd = "" if target.sd is None else f"{target.sd:.2f}"
    paper = f"{target.paper:.2f}" if sd else f"{target.paper:g}"
    source = QUOTED if target.quoted_from else SOURCES[target.confidence]
    return f"{cell.labels:,}", label_of(cell), paper, sd, source


def ours(found: Sequence[Record]) -> tuple[str, ...]:
    """Mean, spread over seeds, error over images, seeds; or why there are none."""
    done = [r for r in found if not r.diverged]
    if not done:
        why = f"diverged at epoch {found[0].final['diverged_at']}" if found else "not run"
        return why, "", "", ""
    errors = [metric(r, "error_percent") for r in done]
    spread = f"{stdev(errors):.2f}" if len(errors) > 1 else ""
    se = fmean(metric(r, "error_se") for r in done)
    return f"{fmean(errors):.2f}", spread, f"{se:.2f}", str(len(done))
