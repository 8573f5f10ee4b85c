"""Ladder networks: test error on MNIST by number of labels and variant, published and ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from layout import Table, main, protocol, records_of, rounding

from repro.experiments import EXPERIMENTS, Cell, label_of
from repro.experiments.ladder import EVERY
from repro.measures import metric
from repro.profiles import Profile, profile
from repro.store import Record, Store
from repro.targets import TARGETS, TEST_IMAGES, Target

COLUMNS = (
    *("labels", "model", "published", "sd (published)", "source"),
    *("ours", "sd (ours)", "s.e. (images)", "seeds"),
)
# Confidence of a target, as this table says it.
SOURCES = {"published": "read", "from memory": "from memory"}
QUOTED = "quoted: validation"


def build(store: Store, profile_name: str) -> Table:
    """One row per published number; errors in percent. Raises UsageError, RecordError."""
    p = profile(profile_name)
    cells = sorted(EXPERIMENTS["ladder"], key=lambda c: (c.labels, list(EVERY).index(c.variant)))
    records = store.records(p.name)
    found = {c: records_of(c, records, p) for c in cells}
    rows = tuple((*published(c), *ours(found[c])) for c in cells)
    title = f"Ladder networks{protocol(p)}"
    return Table(title, caption(p, found), COLUMNS, rows)


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


def caption(p: Profile, found: Mapping[Cell, Sequence[Record]]) -> str:
    """What a port's Run cannot hold of it is said beside its number."""
    images = p.ladder.test_images or TEST_IMAGES["mnist"]
    diverged = [r for rows in found.values() for r in rows if r.diverged]
    lost = "".join(f" {r.run.id} diverged at epoch {r.final['diverged_at']}." for r in diverged)
    run = [c for c, rows in found.items() if any(not r.diverged for r in rows)]
    departures = "".join(
        f" {EVERY[c.variant].departure}" for c in run if EVERY[c.variant].departure
    )
    rounded = rounding(r for rows in found.values() for r in rows)
    return (
        "Error on the MNIST test set in percent, lower is better, of the model after the last"
        " epoch. Published: mean and standard deviation (sd) over 10 seeds; a port's is one run."
        " Source: numbers from memory were recalled, not read, and are weak targets; the Lasagne"
        " port's is an error on validation images of another split, quoted and no target. Ours:"
        f" mean and sd over seeds on {images:,} test images, each seed with its own weights and"
        " its own draw of labels, balanced but for kzky's; parmesan's are the first 100 images of"
        f" the file.{departures} s.e.: of one seed's error over test images."
        f" Profile {p.name} ({p.ladder.summary}). {len(run)} of {len(found)} rows were run."
        f"{lost}{rounded}"
    )


if __name__ == "__main__":
    sys.exit(main(build, __file__))
