"""Table 2: test log-likelihood on OMNIGLOT and NORB by variant and depth, published and ours."""

from __future__ import annotations

import sys
from statistics import fmean, stdev

from repro.judge.measures import mc_error, metric
from repro.judge.targets import TARGETS
from repro.judge.targets.bounds import TABLE2_ROWS
from repro.judge.targets.target import K_TEST
from repro.plan.experiments.grid import VARIANTS
from repro.plan.profiles import Profile, profile
from repro.show.layout import Table, bound, error, main, other_data, protocol, records_of, rounding
from repro.store import Record, Store

Found = dict[str, list[Record]]  # records of each target, diverged ones too, by seed
PREFIX = "table2/"
DATA = {"omniglot": "OMNIGLOT", "norb": "NORB"}


def build(store: Store, profile_name: str) -> Table:
    """One row per data set and depth, two columns per variant. Raises UsageError, RecordError."""
    p = profile(profile_name)
    targets = [t for name, t in TARGETS.items() if name.startswith(PREFIX)]
    records = store.records(p.name)
    found = {t.id: records_of(t.cells[0], records, p) for t in targets}
    columns = [f"{v.label}, {whose}" for v in VARIANTS.values() for whose in ("published", "ours")]
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
    columns = ["data", "latents", *columns]
    return Table(f"Table 2{protocol(p)}", caption(p, found), tuple(columns), rows, of)


def pair(found: Found, data: str, latents: str, variant: str) -> tuple[str, str]:
    """Published and own value; both empty where the paper has none."""
    name = f"{PREFIX}{data}/{latents}/{variant}"
    if name not in TARGETS:
        return "", ""
    return in_nats(TARGETS[name].paper, data), ours(found[name], data)


def ours(found: list[Record], data: str) -> str:
    """Mean and spread over seeds, or the reason why there is none."""
    done = [metric(r, "LK_test") for r in found if not r.diverged]
    if not done:
        return f"diverged at epoch {found[0].final['diverged_at']}" if found else "not run"
    spread = f" ± {in_nats(stdev(done), data)}" if len(done) > 1 else ""
    return in_nats(fmean(done), data) + spread


def in_nats(value: float, data: str) -> str:
    """Thousands of nats, as densities of NORB have them, without decimals."""
    return f"{value:.0f}" if data == "norb" else bound(value)


def caption(p: Profile, found: Found) -> str:
    done = [r for records in found.values() for r in records if not r.diverged]
    diverged = [r for records in found.values() for r in records if r.diverged]
    k, images = p.evaluation.importance_samples, p.evaluation.lk_images
    lost = "".join(f" {r.run.id} diverged at epoch {r.final['diverged_at']}." for r in diverged)
    run = sum(any(not r.diverged for r in records) for records in found.values())
    return (
        "Log-likelihood of the test set in nats per example, higher is better. Published:"
        f" L_{K_TEST} (for NORB not stated). Ours: L_{k} on"
        f" {f'{images:,}' if images else 'all'} test images, mean over seeds, ± standard deviation"
        f" where there are several.{errors(done)}{other_data(done)}"
        f" Profile {p.name} ({p.summary}). {run} of {len(found)} cells were run."
        f"{lost}{rounding(done)}"
    )


def errors(done: list[Record]) -> str:
    """The largest errors of one Run's value."""
    if not done:
        return ""
    se, mc = max(metric(r, "LK_se") for r in done), max(map(mc_error, done))
    return (
        f" Standard error of one Run over images at most {error(se)}, Monte-Carlo error of the"
        f" importance samples at most {error(mc)}."
    )


if __name__ == "__main__":
    sys.exit(main(build, __file__))
