"""What the records of a store say about one target or one claim. No torch.

Only the Run that a published-protocol profile asks for can reproduce anything; every other
record is called what it is: reduced protocol, or other data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from repro.judge.claims.claim import Claim, Contrast
from repro.judge.estimate import Estimate, all_positive, equivalence, of_best, of_pairs
from repro.judge.evidence import NO_BOUND, NOT_RUN, OTHER_DATA, Books, Evidence
from repro.judge.measures import PUBLISHED, data_version, scored_otherwise, scoring
from repro.judge.over_images import images_error
from repro.judge.targets.target import BINARISATION_NATS, ENOUGH_SEEDS, Target
from repro.plan.profiles import PROFILES, run_of
from repro.store import Record
from repro.store.states import OTHER_CONFIGURATION

REPRODUCED, DIFFERENT, UNDECIDED, ONE_SEED = "reproduced", "different", "undecided", "one seed"
REDUCED, QUOTED = "reduced protocol", "quoted"
JUDGED = (REPRODUCED, DIFFERENT, UNDECIDED, ONE_SEED)
SILENT = frozenset((NOT_RUN, QUOTED))  # nothing of ours to hold against
BOUND = "LK_test"  # depends on how many samples it was measured with
BETTER, WORSE = "better", "worse"


@dataclass(frozen=True)
class TargetResult:
    """A target beside what this store has: `ours` is the mean over `seeds` finished Runs.

    sd: over seeds, None for one. mc_error: Monte-Carlo error of the mean. interval: of ours -
    published, 90%, for the equivalence test against the margin; of the best of several its lower
    end is at 5% over their number. All in the target's unit.
    """

    target: Target
    verdict: str
    ours: float | None = None
    sd: float | None = None
    seeds: int = 0
    mc_error: float | None = None
    interval: tuple[float, float] | None = None
    direction: str = ""  # of `different`: better or worse
    runs: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class ClaimResult:
    """A claim, whether it holds, and the numbers that say so."""

    claim: Claim
    verdict: str
    evidence: str
    seeds: int = 0
    contrasts: tuple[Contrast, ...] = ()


def target_result(target: Target, books: Books) -> TargetResult:
    """The verdict on a target; of several cells the best counts, once all of them have run."""
    among = [books.of(c) for c in target.cells]
    several = max(1, sum(bool(e.trainings) for e in among))
    results = [_judge(target, e, books, several) for e in among]
    ran = [r for r in results if r.verdict not in SILENT]
    if not ran:
        note = next((r.note for r in results if r.note), "")
        return TargetResult(target, QUOTED if target.quoted_from else NOT_RUN, note=note)
    sign = 1 if target.higher_is_better else -1
    best = max(ran, key=lambda r: -math.inf if r.ours is None else sign * r.ours)
    if len(results) == 1:
        return best
    judged = sum(r.verdict in JUDGED for r in results)
    if best.verdict in JUDGED and judged < len(results):
        return TargetResult(target, NOT_RUN, note=f"{judged} of {len(results)} cells have run")
    note = f"best of {len(ran)} of {len(results)} cells"
    lost = best.verdict == REPRODUCED and any(e.lost for e in among)
    verdict = UNDECIDED if lost else best.verdict
    return replace(best, verdict=verdict, note="; ".join(n for n in (note, best.note) if n))


def _judge(target: Target, e: Evidence, books: Books, among: int = 1) -> TargetResult:
    """Of a cell, which may be taken as the best among so many."""
    base = books.of(target.gain_over) if target.gain_over and e.trainings else None
    notes = "; ".join((*e.notes, *(base.notes if base else ())))
    if base:
        e, base = e.shared(base)
        if not e.trainings:
            return TargetResult(
                target, NOT_RUN, note="no Run that it starts from, of the same seed"
            )
    if not e.trainings:
        verdict = _without_number(e)
        direction = WORSE if verdict == DIFFERENT else ""
        return TargetResult(target, verdict, direction=direction, note=notes)
    name = target.metric  # of a gain, seed by seed over the Run that each starts from
    estimate = of_pairs(e.values(name), base.values(name)) if base else e.estimate(name)
    scored = (*e.trainings, *(base.trainings if base else ()))
    otherwise = sorted({*map(scored_otherwise, scored)} - {""}) if target.metric == BOUND else []
    difference = _beside_published(target, estimate, e, base)
    verdict, direction = _verdict(target, difference, e.seeds, among)
    if verdict == REPRODUCED and (e.lost or (base and base.lost)):
        verdict = UNDECIDED
    if e.other_version:
        verdict, direction = OTHER_DATA, ""
    elif otherwise or not e.protocol:
        verdict, direction = REDUCED, ""
    version = f"{e.other_version} data: {', '.join(e.ids)}" if e.other_version else ""
    return TargetResult(
        target=target,
        verdict=verdict,
        ours=estimate.mean,
        sd=math.sqrt(estimate.var * e.seeds) if e.seeds > 1 else None,
        seeds=e.seeds,
        mc_error=_mc_error(target, e),
        interval=of_best(difference, among) if e.seeds >= ENOUGH_SEEDS else None,
        direction=direction,
        runs=e.ids,
        note="; ".join(n for n in (*otherwise, notes, version) if n),
    )


def _without_number(e: Evidence) -> str:
    """The verdict where no record counts. `different`: every seed diverged."""
    if e.protocol and any(why == NO_BOUND for _, why in e.left_out):
        return UNDECIDED
    if e.protocol and e.diverged:
        return DIFFERENT
    if e.state in (NOT_RUN, OTHER_DATA, OTHER_CONFIGURATION):
        return e.state
    null = [r for r, why in e.left_out if why == NO_BOUND]
    rebuilt = any(data_version(r) != PUBLISHED for r in null)
    return OTHER_DATA if e.other_version or rebuilt else REDUCED


def _beside_published(
    target: Target, ours: Estimate, e: Evidence, base: Evidence | None
) -> Estimate:
    """Ours - published with every error there is of it, in one."""
    mc = _mc_error(target, e) or 0.0
    d = (ours - target.paper).plus(mc**2)
    if base is not None:
        d = d.plus(images_error(e.done, base.done, target.metric) ** 2)
    if target.sd is not None:
        return d.plus(target.sd**2 / target.paper_seeds, max(target.paper_seeds - 1, 1))
    return d.plus(2 * BINARISATION_NATS**2) if target.binarised else d


def _verdict(target: Target, difference: Estimate, seeds: int, among: int) -> tuple[str, str]:
    """Of Runs of the published protocol, and of `different` the direction."""
    if seeds < ENOUGH_SEEDS:
        return ONE_SEED, ""
    found = equivalence(difference, target.margin, among)
    if found in ("same", "undecided"):
        return (REPRODUCED if found == "same" else UNDECIDED), ""
    return DIFFERENT, BETTER if (found == "higher") == target.higher_is_better else WORSE


def _mc_error(target: Target, e: Evidence) -> float | None:
    """Of the mean over trainings; L_1 records carry none, its spread over seeds holds it.

    Of a gain it is in the error over images of the two Runs.
    """
    if target.metric != BOUND or target.gain_over:
        return None
    return e.mc_error if math.isfinite(e.mc_error) else None


def claim_result(claim: Claim, books: Books) -> ClaimResult:
    """The verdict on a claim, once every cell it needs has a finished Run."""
    every = [books.of(c) for c in claim.cells]
    notes = list(dict.fromkeys(note for e in every for note in e.notes))
    needed = [books.of(c) for c in claim.required or claim.cells]
    if missing := [e for e in needed if not e.trainings]:
        return ClaimResult(claim, NOT_RUN, "; ".join((_missing(missing, len(needed)), *notes)))
    found = [e for e in every if e.trainings]
    records = [r for e in found for r in e.trainings]
    if lacking := _lacking(claim, records):
        return ClaimResult(claim, NOT_RUN, lacking)
    versions = sorted({e.other_version for e in found} - {""})
    notes += [f"on {v} data, not the published set" for v in versions]
    with np.errstate(invalid="ignore"):
        contrasts, text = claim.test(books)
    if broken := [c.name for c in contrasts if not math.isfinite(c.margin.mean + c.margin.var)]:
        return ClaimResult(claim, NOT_RUN, f"no finite number: {broken[0]}")
    seeds = _seeds(claim, found)
    outcome = all_positive([c.margin for c in contrasts])
    measured = claim.metrics or claim.files  # not only counted, as parameters are
    if outcome == "holds" and measured and any(e.lost for e in every):
        outcome = UNDECIDED
    least = min(contrasts, key=Contrast.certainty)
    evidence = "; ".join((text, f"least certain: {least}", f"seeds: {seeds}", *notes))
    verdict = outcome
    otherwise = BOUND in claim.metrics and any(map(scored_otherwise, records))
    if otherwise or not all(e.protocol for e in found):
        words = {"holds": "met", "fails": "not met", ONE_SEED: "error not known"}
        less = otherwise or not books.published_protocol
        where = " ".join(["at this budget"] * less + ["on these data"] * bool(versions))
        evidence = f"{words.get(outcome, outcome)} {where}: {evidence}"
        verdict = REDUCED
    return ClaimResult(claim, verdict, evidence, seeds, tuple(contrasts))


def _seeds(claim: Claim, found: Sequence[Evidence]) -> int:
    """The fewest of a cell; where seeds are paired, those that all cells have, if any."""
    shared = set.intersection(*(set(e.by_seed) for e in found)) if claim.paired else ()
    return len(shared) or min(e.seeds for e in found)


def _lacking(claim: Claim, records: Sequence[Record]) -> str:
    """What records do not hold that a claim reads; empty where all is there."""
    if without := [r.run.id for r in records if not set(claim.files) <= r.files]:
        return f"no {', '.join(claim.files)} in {', '.join(without)}"
    for name in claim.metrics:
        if without := [r.run.id for r in records if not _finite(r.final.get(name))]:
            measure = f"`repro evaluate {' '.join(without)} --profile {records[0].profile}`"
            return f"no finite {name} in {', '.join(without)}: {measure} measures it"
    scorings = {scoring(r): r.run.id for r in records} if BOUND in claim.metrics else {}
    if len(scorings) > 1:
        unlike = (f"L_{k} on {images} images in {run}" for (k, images), run in scorings.items())
        return f"bounds that cannot be compared: {', '.join(unlike)}"
    versions = {data_version(r): r.run.id for r in records}
    if len(versions) > 1:
        unlike = (f"{version} in {run}" for version, run in versions.items())
        return f"data that cannot be compared: {', '.join(unlike)}"
    if any(k == 1 for k, _ in scorings):
        return "L_K of K = 1 is no more than L_1"
    return ""


def _finite(value: Any) -> bool:
    """Whether it is a finite number, or a list of them."""
    values = value if isinstance(value, list) and value else [value]
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)


def _missing(missing: Sequence[Evidence], of: int) -> str:
    names = [run_of(e.cell, PROFILES["paper"]).id.rpartition("-s")[0] for e in missing]
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} of {of} Runs without a number: {shown}"
