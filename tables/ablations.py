"""Ablations: what each open choice does to the bounds and units of the 5-layer LVAE."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np

from repro.judge.measures import array, metric
from repro.plan.experiments import cells
from repro.plan.experiments.ablations import choice_of
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import Profile, profile
from repro.show.layout import Table, bound, error, main, protocol, records_of, rounding
from repro.store import Record, Store

METRICS = {"L1": "L1_test", "LK": "LK_test"}  # array of per_image.npz, metric of final.json


def build(store: Store, profile_name: str) -> Table:
    """The default, then one row a choice; nats per example. Raises UsageError, RecordError."""
    p, records = profile(profile_name), store.records(profile_name)
    asked = cells(["ablations"])
    default, *others = [(cell, records_of(cell, records, p)) for cell in asked]
    k = p.evaluation.importance_samples
    columns = (
        *("choice", "default", "instead"),
        *("L_1", "change of L_1", "error (L_1)"),
        *(f"L_{k}", f"change of L_{k}", f"error (L_{k})"),
        *("active units", "seeds", "note"),
    )
    first = ("all as the default", "", "", *numbers(default[1], []), "")
    rows = (first, *(row(cell, found, default[1]) for cell, found in others))
    rounded = rounding(r for _, found in (default, *others) for r in found)
    text = caption(p, rows) + rounded
    return Table(f"Ablations{protocol(p)}", text, columns, rows, tuple((c,) for c in asked))


def row(cell: Cell, found: Sequence[Record], default: Sequence[Record]) -> tuple[str, ...]:
    choice = choice_of(cell)
    assert choice is not None, f"{cell} is no ablation"
    note = "other data: bounds cannot be compared" if choice.other_data else ""
    return choice.about, choice.default, choice.instead, *numbers(found, default), note


def numbers(found: Sequence[Record], default: Sequence[Record]) -> tuple[str, ...]:
    """Each bound with its change from the default and the error of that; active units; seeds."""
    done = [r for r in found if not r.diverged]
    if not done:
        why = f"diverged at epoch {found[0].final['diverged_at']}" if found else "not run"
        return (why, *[""] * 7)
    bounds: list[str] = []
    for name, final in METRICS.items():
        bounds.append(bound(fmean(metric(r, final) for r in done)))
        bounds += change(done, default, name)
    return *bounds, active(done), str(len(done))


def change(done: Sequence[Record], default: Sequence[Record], name: str) -> tuple[str, str]:
    """Mean over images and seeds of the paired difference, and its standard error over images."""
    beside = {r.run.seed: r for r in default if not r.diverged}
    pairs = [(r, beside[r.run.seed]) for r in done if r.run.seed in beside]
    if not pairs:
        return "", ""
    per_image: Any = np.mean([difference(ours, base, name) for ours, base in pairs], axis=0)
    se = float(np.std(per_image, ddof=1)) / math.sqrt(len(per_image))
    return f"{float(np.mean(per_image)):+.2f}", error(se)


def difference(ours: Record, base: Record, name: str) -> Any:
    """Of one bound on each test image, [N]; both Runs are scored on the same images."""
    a, b = (array(r, "per_image", name).astype(float) for r in (ours, base))
    return a - b


def active(done: Sequence[Record]) -> str:
    """Active units of each layer, z_1 first, mean over seeds."""
    return "-".join(f"{n:.0f}" for n in np.mean([r.final["active_units"] for r in done], axis=0))


def caption(p: Profile, rows: Sequence[Sequence[str]]) -> str:
    run = sum(bool(r[-2]) for r in rows[1:])
    return (
        "The 5-layer LVAE on MNIST, one choice made otherwise at a time. Bounds on the test set in"
        " nats per example, higher is better; change: from the default Run of the same seed, image"
        " by image, with the standard error of that difference over images. The error holds no"
        " spread over trainings: of one seed, a small change may be chance. Active units: z_1"
        f" first. Profile {p.name} ({p.summary}). {run} of {len(rows) - 1} choices were run."
    )


if __name__ == "__main__":
    sys.exit(main(build, __file__))
