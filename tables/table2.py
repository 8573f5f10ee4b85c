"""Table 2: test log-likelihood on OMNIGLOT and NORB by variant and depth, published and ours."""

from __future__ import annotations

import math

from repro.judge.evidence import Evidence, books
from repro.judge.measures import metric
from repro.judge.targets import TARGETS
from repro.judge.targets.bounds import TABLE2_ROWS
from repro.judge.targets.target import K_TEST
from repro.plan.experiments.grid import VARIANTS
from repro.plan.profiles import Profile, profile
from repro.show.layout import Table, bound, error, main
from repro.show.words import closing, other_data, protocol, sampling
from repro.store import Record, Store

Found = dict[str, Evidence]  # what answers each target
PREFIX = "table2/"
DATA = {"omniglot": "OMNIGLOT", "norb": "NORB"}


def build(store: Store, profile_name: str) -> Table:
    """One row per data set and depth, two columns per variant. Raises UsageError, RecordError."""
    p = profile(profile_name)
    targets = [t for name, t in TARGETS.items() if name.startswith(PREFIX)]
    of_store = books(store, p.name)
    found = {t.id: of_store.of(t.cells[0]) for t in targets}
    both = (f"{v.label}, {whose}" for v in VARIANTS.values() for whose in ("published", "ours"))
    rows = tuple(
        (label, latents, *(text for v in VARIANTS for text in pair(found, data, latents, v)))
        for data, label in DATA.items()
        for latents in TABLE2_ROWS
    )
    of = tuple(
        tuple(t.cells[0] for t in targets if t.id.startswith(f"{PREFIX}{data}/{latents}/"))
        for data in DATA
        for latents in TABLE2_ROWS
    )
    columns = ("data", "latents", *both)
    return Table(f"Table 2{protocol(p)}", caption(p, found), columns, rows, of)


def pair(found: Found, data: str, latents: str, variant: str) -> tuple[str, str]:
    """Published and own value; both empty where the paper has none."""
    name = f"{PREFIX}{data}/{latents}/{variant}"
    if name not in TARGETS:
        return "", ""
    return in_nats(TARGETS[name].paper, data), ours(found[name], data)


def ours(e: Evidence, data: str) -> str:
    """Mean and spread over seeds, or the reason why there is none."""
    if not e.trainings:
        return e.state
    sd = e.sd(lk)
    spread = f" ± {in_nats(sd, data)}" if sd is not None else ""
    return in_nats(e.mean(lk), data) + spread


def lk(record: Record) -> float:
    return metric(record, "LK_test")


def in_nats(value: float, data: str) -> str:
    """Thousands of nats, as densities of NORB have them, without decimals."""
    return f"{value:.0f}" if data == "norb" else bound(value)


def caption(p: Profile, found: Found) -> str:
    run = [e for e in found.values() if e.trainings]
    k, images = p.evaluation.importance_samples, p.evaluation.lk_images
    first_only = " The first images are easier (MNIST) or harder (OMNIGLOT) than all of them."
    return (
        "Log-likelihood of the test set in nats per example, higher is better. Published:"
        f" L_{K_TEST} (for NORB not stated). Ours: L_{k} on"
        f" {f'the first {images:,}' if images else 'all'} test images, mean over seeds, ± standard"
        f" deviation where there are several.{first_only if images else ''}{errors(run)}"
        f"{other_data(run)}"
        f"{closing(p, list(found.values()), 'cells')}"
    )


def errors(run: list[Evidence]) -> str:
    """The largest errors of one cell's value."""
    if not run:
        return ""
    errors_of_k = [e.mc_error for e in run if math.isfinite(e.mc_error)] or [math.nan]
    se = max(metric(r, "LK_se") for e in run for r in e.trainings)
    return (
        f" Standard error of one Run over images at most {error(se)}, Monte-Carlo error of the"
        f" importance samples at most {error(max(errors_of_k))}.{sampling(run)}"
    )


if __name__ == "__main__":
    main(build, __file__)
