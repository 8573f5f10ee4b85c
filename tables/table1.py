"""Table 1: bounds on the MNIST test log-likelihood, published and ours."""

from collections.abc import Sequence

from repro.judge.evidence import NOT_RUN, Evidence, books
from repro.judge.measures import l1_beside_lk, whole_set
from repro.judge.targets import TARGETS
from repro.judge.targets.bounds import QUOTED_ROWS
from repro.judge.targets.target import TEST_IMAGES, Target
from repro.plan.experiments import label_of
from repro.plan.profiles import OTHER_PAPERS, Profile, profile
from repro.show.layout import NOT_MEASURED, Table, bound, error, main
from repro.show.words import closing, of_first, other_scale, protocol, sampling
from repro.store import Store

# Row as printed, target.
ROWS = {
    **{row: f"table1/{name}" for name, (row, *_) in QUOTED_ROWS.items()},
    "LVAE, 5-layer": "table1/lvae5",
    "LVAE, 5-layer + finetuning": "table1/lvae5_finetuned",
    "LVAE, 5-layer + finetuning + IW=10": "table1/lvae5_finetuned_iw10",
}


def build(store: Store, profile_name: str) -> Table:
    """One row per published row; bounds in nats per example. Raises UsageError, RecordError."""
    p = profile(profile_name)
    found = books(store, p.name)
    rows = {name: TARGETS[name] for name in ROWS.values()}
    answers = {t.id: found.of(t.cell) for t in rows.values() if t.cell}
    k = p.evaluation.importance_samples
    columns = (
        "model",
        "quoted from",
        "published",
        f"ours, L_{k}",
        "s.e. (images)",
        "MC error",
        "sd (seeds)",
        "seeds",
        "ours, L_1",
        *((f"L_{k}, whole test set",) if p.evaluation.lk_images else ()),
    )
    numbers = tuple(
        (label, t.quoted_from or "", bound(t.paper), *ours(t, answers.get(t.id)))[: len(columns)]
        for label, t in zip(ROWS, rows.values(), strict=True)
    )
    of = tuple((t.cell,) if t.cell else () for t in rows.values())
    return Table(f"Table 1{protocol(p)}", caption(p, list(answers.values())), columns, numbers, of)


def ours(target: Target, e: Evidence | None) -> tuple[str, ...]:
    """L_K, its errors, seeds, L_1 of the same images, and L_K of all; or why there are none."""
    if e is None or not e.trainings:
        why = NOT_RUN if e is None else e.state
        return ("quoted" if target.quoted_from and why == NOT_RUN else why, *[""] * 6)
    sd, l1 = e.sd("LK_test"), [l1_beside_lk(r) for r in e.trainings]
    return (
        bound(e.mean("LK_test")),
        error(e.mean("LK_se")),
        error(e.mc_error),
        error(sd) if sd is not None else "",
        str(e.seeds),
        NOT_MEASURED if None in l1 else bound(e.mean(l1_beside_lk)),
        whole(e),
    )


def whole(e: Evidence) -> str:
    """L_K of the whole test set, with the error of its regression on L_1."""
    if not all(map(whole_set, e.trainings)):
        return NOT_MEASURED
    value, se = e.mean(whole_set)
    return f"{bound(value)} ± {error(se)}"


def caption(p: Profile, found: Sequence[Evidence]) -> str:
    images = p.evaluation.lk_images or TEST_IMAGES["mnist"]
    return (
        "Bounds on the log-likelihood of the MNIST test set, nats per example, higher is better;"
        " the published LVAE rows are L_5000. Ours:"
        f" L_{p.evaluation.importance_samples} on {images:,} test images,"
        " mean over seeds, with the standard error (s.e.) over images and the Monte-Carlo (MC)"
        f" error of the importance samples; L_1 of the same images.{first_images(p)} Quoted: the"
        " paper took the value from another paper, its split and binarisation not stated; where a"
        " Run of that model is here, its number stands beside it."
        f"{sampling(found)}{other_scale(found)}{other_papers(found)}{closing(p, found)}"
    )


def first_images(p: Profile) -> str:
    """Where L_K is measured on the first images alone: what whole columns hold, and others not."""
    if not p.evaluation.lk_images:
        return ""
    return (
        f" L_{p.evaluation.importance_samples} is {of_first('mnist', p.evaluation.lk_images)}."
        " Whole test set: by regression of L_K on L_1, which all images have, ± the error of that"
        " alone."
    )


def other_papers(found: Sequence[Evidence]) -> str:
    """How the Runs of other papers' models were trained: not as the profile says."""
    runs = [(label_of(e.cell), e.trainings[0].run) for e in found if e.trainings]
    said = (
        f" {label}: {run.schedule.epochs} epochs, minibatches of {run.optim.batch}."
        for label, run in runs
        if run.variant in OTHER_PAPERS
    )
    return "".join(said)


if __name__ == "__main__":
    main(build, __file__)
