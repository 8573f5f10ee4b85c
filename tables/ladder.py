"""Ladder networks: test error on MNIST by number of labels and variant, published and ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from repro.judge.targets.target import TEST_IMAGES
from repro.plan.experiments import EXPERIMENTS
from repro.plan.experiments.grid import Cell
from repro.plan.experiments.ladder import EVERY
from repro.plan.profiles import Profile, profile
from repro.show.ladder_rows import COLUMNS, ours, published
from repro.show.layout import Table, main, protocol, records_of, rounding
from repro.store import Record, Store


def build(store: Store, profile_name: str) -> Table:
    """One row per published number; errors in percent. Raises UsageError, RecordError."""
    p = profile(profile_name)
    cells = sorted(EXPERIMENTS["ladder"], key=lambda c: (c.labels, list(EVERY).index(c.variant)))
    records = store.records(p.name)
    found = {c: records_of(c, records, p) for c in cells}
    rows = tuple((*published(c), *ours(found[c])) for c in cells)
    title = f"Ladder networks{protocol(p)}"
    return Table(title, caption(p, found), COLUMNS, rows, tuple((c,) for c in cells))


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
