"""What the records of a store say about one target or one claim. No torch.

Only the Run that a published-protocol profile asks for can reproduce anything; every other
record is called what it is: reduced protocol, or other data.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from repro.judge.claims.claim import Claim
from repro.judge.measures import PUBLISHED, data_version, mc_error, metric
from repro.judge.targets.target import Target
from repro.plan.experiments import cells
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.profiles import Profile, run_of
from repro.store import Record

ENOUGH_SEEDS = 3
ROUNDING = 1e-9  # a difference that is the tolerance in decimals is within it
JUDGED = ("reproduced", "one seed", "better", "short")
SILENT = ("not run", "quoted")

Books = Mapping[Cell, Sequence[Record]]  # the records of a profile by the cell they train


@dataclass(frozen=True)
class TargetResult:
    """A target beside what this store has: `ours` is the mean over `seeds` finished Runs.

    sd: over seeds, None for one. mc_error: Monte-Carlo error of the mean. In the target's unit.
    """

    target: Target
    verdict: str
    ours: float | None = None
    sd: float | None = None
    seeds: int = 0
    mc_error: float | None = None
    tolerance: float | None = None
    runs: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ClaimResult:
    """A claim, whether it holds, and the numbers that say so."""

    claim: Claim
    verdict: str
    evidence: str


@dataclass(frozen=True)
class _Chosen:
    """The records of a cell that count. `protocol`: they are the published protocol's Runs."""

    records: Sequence[Record]
    protocol: bool
    notes: tuple[str, ...]

    @property
    def done(self) -> list[Record]:
        return [r for r in self.records if not r.diverged]


def _ids(records: Sequence[Record]) -> str:
    return ", ".join(r.run.id for r in records)


def _is_asked_for(record: Record, budget: Profile | None) -> bool:
    cell = cell_of(record.run)
    if budget is None or cell not in cells():
        return False
    return record.run.hash == run_of(cell, budget, record.run.seed).hash


def _other_data(target: Target, record: Record) -> str:
    """What is different about a record's data, or empty."""
    if (version := data_version(record)) != PUBLISHED:
        return f"{version} data"
    scale = record.run.data.grey_scale
    return "" if target.grey_scale in (None, scale) else f"grey scale /{scale}"


def _choose(records: Sequence[Record], budget: Profile | None) -> _Chosen:
    """The Runs the profile asks for; only where there is none, the others, with a note."""
    asked = [r for r in records if _is_asked_for(r, budget)]
    chosen, others = (asked, [r for r in records if r not in asked]) if asked else (records, [])
    notes = []
    if others:
        notes.append(f"not counted, another configuration: {_ids(others)}")
    elif records and not asked:
        notes.append("another configuration than the profile's Run")
    if diverged := [r for r in chosen if r.diverged]:
        notes.append(f"diverged, not counted: {_ids(diverged)}")
    versions = {v for r in chosen if (v := data_version(r)) != PUBLISHED}
    protocol = bool(asked) and budget is not None and budget.published_protocol and not versions
    return _Chosen(chosen, protocol, tuple(notes))


def target_result(target: Target, books: Books, budget: Profile | None) -> TargetResult:
    """The verdict on a target; of several cells the best counts, once all of them have run."""
    results = [_judge(target, books.get(c, ()), budget) for c in target.cells]
    ran = [r for r in results if r.verdict not in SILENT]
    if not ran:
        verdict = "quoted" if target.quoted_from else "not run"
        return TargetResult(target, verdict, tolerance=target.allowed(None, 0))
    sign = 1 if target.higher_is_better else -1
    best = max(ran, key=lambda r: -math.inf if r.ours is None else sign * r.ours)
    if len(results) == 1:
        return best
    judged = sum(r.verdict in JUDGED for r in results)
    if best.verdict in JUDGED and judged < len(results):
        note = f"{judged} of {len(results)} cells have run"
        return TargetResult(target, "not run", tolerance=best.tolerance, note=note)
    note = f"best of {len(ran)} of {len(results)} cells"
    return replace(best, note="; ".join(n for n in (note, best.note) if n))


def _judge(target: Target, records: Sequence[Record], budget: Profile | None) -> TargetResult:
    if not records:
        return TargetResult(target, "not run")
    same = [r for r in records if not _other_data(target, r)]
    chosen = _choose(same or records, budget)
    values = [metric(r, target.metric) for r in chosen.done]
    seeds = len(values)
    ours = statistics.fmean(values) if values else None
    sd = statistics.stdev(values) if seeds > 1 else None
    tolerance = target.allowed(sd, seeds)
    scoring = sorted({s for r in chosen.done if (s := _other_scoring(target, r))})
    notes = [*scoring, *chosen.notes]
    if other := [r for r in records if r not in same]:
        notes.append(f"{_other_data(target, other[0])}: {_ids(other)}")
    if not same:
        verdict = "other data"
    elif scoring or not chosen.protocol:
        verdict = "reduced protocol"
    else:
        verdict = _verdict(target, ours, seeds, tolerance)
    return TargetResult(
        target=target,
        verdict=verdict,
        ours=ours,
        sd=sd,
        seeds=seeds,
        mc_error=_mc_error(target, chosen.done),
        tolerance=tolerance,
        runs=tuple(r.run.id for r in chosen.done),
        note="; ".join(notes),
    )


def _verdict(target: Target, ours: float | None, seeds: int, tolerance: float | None) -> str:
    """Of a Run of the published protocol; one that diverged for every seed fell short."""
    if ours is None or tolerance is None:
        return "short"
    if abs(ours - target.paper) <= tolerance + ROUNDING:
        return "reproduced" if seeds >= ENOUGH_SEEDS else "one seed"
    return "better" if (ours > target.paper) == target.higher_is_better else "short"


def _other_scoring(target: Target, record: Record) -> str:
    """How L_K was measured, where that is not what the target needs; else empty."""
    k, images = record.final.get("K"), record.final.get("LK_images")
    if target.K is None or (k == target.K and target.images in (None, images)):
        return ""
    return f"L_{k} on {images} images"


def _mc_error(target: Target, records: Sequence[Record]) -> float | None:
    """Of the mean over seeds; L_1 records carry none, its error over images holds it already."""
    if target.metric != "LK_test" or not records:
        return None
    return math.hypot(*(mc_error(r) for r in records)) / len(records)


def claim_result(claim: Claim, books: Books, budget: Profile | None) -> ClaimResult:
    """The verdict on a claim, once every cell it speaks of has a finished Run."""
    found = {c: _choose(books.get(c, ()), budget) for c in claim.cells}
    notes = sorted({note for chosen in found.values() for note in chosen.notes})
    missing = [f"{c.data}-{c.variant}-L{c.depth}" for c, chosen in found.items() if not chosen.done]
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        text = f"{len(missing)} of {len(found)} Runs missing: {shown}"
        return ClaimResult(claim, "not run", "; ".join((text, *notes)))
    records = [r for chosen in found.values() for r in chosen.done]
    if lacking := [r for r in records if not set(claim.files) <= r.files]:
        return ClaimResult(claim, "not run", f"no {', '.join(claim.files)} in {_ids(lacking)}")
    versions = {data_version(r) for r in records} - {PUBLISHED}
    notes += [f"on {v} data, not the published set" for v in sorted(versions)]
    holds, evidence = claim.test(lambda cell: found[cell].done)
    seeds = min(len(chosen.done) for chosen in found.values())
    evidence = "; ".join((evidence, f"seeds: {seeds}", *notes))
    if all(chosen.protocol for chosen in found.values()):
        return ClaimResult(claim, "holds" if holds else "fails", evidence)
    met = "met at this budget" if holds else "not met at this budget"
    return ClaimResult(claim, "reduced protocol", f"{met}: {evidence}")
