"""Table 2: test log-likelihood on OMNIGLOT and NORB by variant and depth, published and ours."""

import math
from collections.abc import Sequence
from itertools import chain

from repro.judge.evidence import Evidence, books
from repro.judge.measures import metric
from repro.judge.targets import TARGETS
from repro.judge.targets.bounds import TABLE2, TABLE2_ROWS
from repro.judge.targets.target import K_TEST, Target
from repro.plan.experiments.grid import VARIANTS
from repro.plan.profiles import Profile, profile
from repro.show.layout import Table, bound, error, main
from repro.show.words import closing, other_data, protocol, sampling
from repro.store import Store


def build(store: Store, profile_name: str) -> Table:
    """One row per data set and depth, two columns per variant. Raises UsageError, RecordError."""
    p = profile(profile_name)
    found = books(store, p.name)
    both = (f"{v.label}, {whose}" for v in VARIANTS.values() for whose in ("published", "ours"))
    rows: list[tuple[str, ...]] = []
    of = []
    for data in TABLE2:
        for latents in TABLE2_ROWS:
            targets = [TARGETS.get(f"table2/{data}/{latents}/{v}") for v in VARIANTS]
            pairs = (pair(t, found.of(t.cells[0])) if t else ("", "") for t in targets)
            rows.append((data.upper(), latents, *chain.from_iterable(pairs)))
            of.append(tuple(t.cells[0] for t in targets if t))
    text = caption(p, [found.of(cell) for cells in of for cell in cells])
    return Table(f"Table 2{protocol(p)}", text, ("data", "latents", *both), tuple(rows), tuple(of))


def pair(target: Target, e: Evidence) -> tuple[str, str]:
    """The published value; and ours, mean and spread over seeds, or why there is none."""
    data = e.cell.data
    if not e.trainings:
        return in_nats(target.paper, data), e.state
    sd = e.sd("LK_test")
    spread = f" ± {in_nats(sd, data)}" if sd is not None else ""
    return in_nats(target.paper, data), in_nats(e.mean("LK_test"), data) + spread


def in_nats(value: float, data: str) -> str:
    """Thousands of nats, as densities of NORB have them, without decimals."""
    return f"{value:.0f}" if data == "norb" else bound(value)


def caption(p: Profile, found: Sequence[Evidence]) -> str:
    run = [e for e in found if e.trainings]
    k, images = p.evaluation.importance_samples, p.evaluation.lk_images
    first_only = " Of OMNIGLOT the first images are harder than all of them."
    return (
        "Log-likelihood of the test set in nats per example, higher is better. Published:"
        f" L_{K_TEST} (for NORB not stated). Ours: L_{k} on"
        f" {f'the first {images:,}' if images else 'all'} test images, mean over seeds, ± standard"
        f" deviation where there are several.{first_only if images else ''}{errors(run)}"
        f"{other_data(run)}"
        f"{closing(p, found, 'cells')}"
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
