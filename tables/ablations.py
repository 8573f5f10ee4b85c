"""Ablations: what open choices do to the bounds and units of the 5-layer LVAE and VAEs."""

import math
from collections.abc import Sequence

from repro.judge.ablations import Change, changes, judged, tests
from repro.judge.estimate import LEVEL
from repro.judge.evidence import Evidence, books
from repro.judge.measures import whole_set
from repro.plan.experiments import cells, label_of
from repro.plan.experiments.ablations import DEFAULT, base_of, choice_of
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import Profile, profile
from repro.show.layout import NOT_MEASURED, Table, bound, error, main
from repro.show.words import protocol, rounding, seed_note
from repro.store import Store
from repro.store.sealed import ACTIVE_NATS

METRICS = ("L1_test", "LK_test")


def build(store: Store, profile_name: str) -> Table:
    """The default, then one row a choice; nats per example. Raises UsageError, RecordError."""
    p = profile(profile_name)
    found = books(store, p.name)
    asked = [c for c in cells(["ablations"]) if choice_of(c)]
    by_metric = {name: changes(found, asked, name) for name in METRICS}
    k = p.evaluation.importance_samples
    few = p.evaluation.lk_images
    first = f", first {few:,} images" if few else ""
    columns = (
        "choice",
        "default",
        "instead",
        "L_1",
        "change of L_1",
        "error of that",
        f"L_{k}",
        f"change of L_{k}{first}",
        f"error of that{first}",
        "active units",
        "seeds",
        "note",
    )
    rows: list[tuple[str, ...]] = []
    shown: list[Cell] = []
    for cell in asked:
        base, choice = base_of(cell), choice_of(cell)
        assert choice is not None, f"{cell} is no ablation"
        of_vae = "" if base == DEFAULT else f" ({label_of(base)})"
        if base not in shown:
            rows.append((f"all as the default{of_vae}", "", "", *numbers(found.of(base), {}), ""))
            shown.append(base)
        mine = {name: of[cell] for name, of in by_metric.items() if cell in of}
        note = "other data: bounds cannot be compared" if choice.data else words(mine)
        says = (choice.about + of_vae, choice.default, choice.instead)
        rows.append((*says, *numbers(found.of(cell), mine), note))
        shown.append(cell)
    everything = [found.of(c) for c in shown]
    changed = [c for of in by_metric.values() for c in of.values()]
    compared = judged(by_metric[METRICS[0]])
    tested = [of[cell].by.estimated_df for of in by_metric.values() for cell in compared]
    text = caption(p, everything, errors(changed, tested, tests(compared)))
    of = tuple((c,) for c in shown)
    return Table(f"Ablations{protocol(p)}", text, columns, tuple(rows), of)


def numbers(e: Evidence, mine: dict[str, Change]) -> tuple[str, ...]:
    """Each bound with its change from the default and the error of that; active units; seeds."""
    if not e.trainings:
        return (e.state, *[""] * 7)
    l1 = bound(e.mean("L1_test"))
    known = all(map(whole_set, e.trainings))
    lk = bound(e.mean(whole_set)[0]) if known else NOT_MEASURED
    units = "-".join(f"{n:.0f}" for n in e.mean(lambda r: r.final["active_units"]))
    changed = ((change(c), error(c.error)) for c in map(mine.get, METRICS) if c)
    (d1, e1), (dk, ek) = changed if mine else [("", "")] * 2
    return l1, d1, e1, lk, dk, ek, units, str(e.seeds)


def change(c: Change) -> str:
    """To the digits that its error leaves."""
    return f"{c.by.mean:+z.{3 if 0 < c.error < 0.01 else 2}f}"


def words(mine: dict[str, Change]) -> str:
    """Whether each bound changes by more than training again would change it."""
    said = {name: c.outcome for name, c in mine.items()}
    if len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{name[:2].replace('L', 'L_')}: {what}" for name, what in said.items())


def caption(p: Profile, found: Sequence[Evidence], of_errors: str) -> str:
    asked = [e for e in found if choice_of(e.cell)]
    run = sum(bool(e.trainings or e.lost) for e in asked)
    return (
        "The 5-layer LVAE on MNIST, and VAEs where they are named, one choice made otherwise at a"
        " time. Bounds on the whole test set in nats per example, higher is better; L_K by"
        " regression on L_1 where it was measured on the first images only. Change: from the"
        " default Run of the same seed where both have one, image by image on those that both were"
        " scored on: closer than the difference of two regressions, and not equal to it."
        f" {of_errors} Active units: KL above {ACTIVE_NATS:g} nats, z_1 first."
        f" All are means over seeds. Profile {p.name} ({p.summary})."
        f" {run} of {len(asked)} choices were run. {seed_note(found)}{rounding(found)}"
    )


def errors(shown: Sequence[Change], tested: Sequence[float], n: int) -> str:
    """What the errors hold, and how the notes are corrected for the number of tests.

    tested: the degrees of freedom that each test estimates; of one training scored twice, infinite.
    """
    known = [c for c in shown if c.by.known]
    again = [c for c in known if math.isfinite(c.by.estimated_df)]
    said = "Error: over images alone; no spread over trainings is known here, and of one seed a"
    said += " small change may be chance"
    if again:
        rest = "" if len(known) == len(shown) else ", but where the note says that it is unknown"
        said = (
            f"Error: of training both again, with other seeds and roundings{rest}, and over images"
        )
    if len(again) < len(known):
        said += "; but not of one training that is scored otherwise"
    if not known or not tested:
        return f"{said}."
    df = min((d for d in tested if d), default=math.inf)  # 0 where nothing is known
    t = f"; Student's t at {math.floor(df)} degrees of freedom or more" if df < math.inf else ""
    return (
        f"{said}. A change is called higher or lower where it lies outside the noise at {LEVEL:.0%}"
        f" for all rows and both bounds together (Bonferroni over {n} tests{t})."
    )


if __name__ == "__main__":
    main(build, __file__)
