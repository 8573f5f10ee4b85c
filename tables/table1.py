"""Table 1: bounds on the MNIST test log-likelihood, published and ours."""

from __future__ import annotations

import math
import sys
from statistics import fmean, stdev

from repro.judge.measures import mc_error, metric
from repro.judge.targets import TARGETS
from repro.judge.targets.target import TEST_IMAGES, Target
from repro.plan.profiles import Profile, profile
from repro.show.layout import Table, bound, error, main, protocol, records_of, rounding, seed_note
from repro.store import Record, Store

# Row as printed, target.
ROWS = {
    "VAE 1-layer + NF": "table1/vae_nf",
    "IWAE, 2-layer + IW=1": "table1/iwae_k1",
    "IWAE, 2-layer + IW=50": "table1/iwae_k50",
    "VAE, 2-layer + VGP": "table1/vae_vgp",
    "LVAE, 5-layer": "table1/lvae5",
    "LVAE, 5-layer + finetuning": "table1/lvae5_finetuned",
    "LVAE, 5-layer + finetuning + IW=10": "table1/lvae5_finetuned_iw10",
}


def build(store: Store, profile_name: str) -> Table:
    """One row per published row; bounds in nats per example. Raises UsageError, RecordError."""
    p, records = profile(profile_name), store.records(profile_name)
    cells = {name: TARGETS[name].cell for name in ROWS.values()}
    found = {name: records_of(cell, records, p) if cell else [] for name, cell in cells.items()}
    of = tuple((cell,) if cell else () for cell in cells.values())
    everything = [r for rs in found.values() for r in rs]
    k = p.evaluation.importance_samples
    columns = (
        *("model", "quoted from", "published", f"ours, L_{k}"),
        *("s.e. (images)", "MC error", "sd (seeds)", "seeds", "ours, L_1"),
    )
    rows = (
        (label, t.quoted_from or "", bound(t.paper), *ours(t, found[t.id]))
        for label, t in ((label, TARGETS[name]) for label, name in ROWS.items())
    )
    return Table(f"Table 1{protocol(p)}", caption(p, everything), columns, tuple(rows), of)


def ours(target: Target, found: list[Record]) -> tuple[str, ...]:
    """L_K, its errors, seeds and L_1, or the reason why there are none."""
    done = [r for r in found if not r.diverged]
    if not done:
        return (reason(target, found), "", "", "", "", "")
    lk = [metric(r, "LK_test") for r in done]
    return (
        bound(fmean(lk)),
        error(fmean(metric(r, "LK_se") for r in done)),
        error(math.hypot(*(mc_error(r) for r in done)) / len(done)),
        error(stdev(lk)) if len(lk) > 1 else "",
        str(len(done)),
        bound(fmean(metric(r, "L1_test") for r in done)),
    )


def reason(target: Target, found: list[Record]) -> str:
    if found:
        return f"diverged at epoch {found[0].final['diverged_at']}"
    return "quoted" if target.quoted_from else "not run"


def caption(p: Profile, found: list[Record]) -> str:
    done = [r for r in found if not r.diverged]
    diverged = [r for r in found if r.diverged]
    bytes_over_255 = sorted(r.run.id for r in done if r.run.data.grey_scale == 255)
    other = (
        f" Of byte/255, so of other data: {', '.join(bytes_over_255)}." if bytes_over_255 else ""
    )
    images = p.evaluation.lk_images or TEST_IMAGES["mnist"]
    return (
        "Bounds on the log-likelihood of the MNIST test set, nats per example, higher is better;"
        " the published LVAE rows are L_5000. Ours:"
        f" L_{p.evaluation.importance_samples} on {images:,} test images, mean over seeds, with"
        " the standard error (s.e.) over images and the Monte-Carlo (MC) error of the importance"
        " samples; L_1 on the test set. Quoted: the paper took the value from another paper;"
        " where a Run of that model is here, its number stands beside it."
        f"{other} Profile {p.name} ({p.summary}). {seed_note(done, diverged)}{rounding(done)}"
    )


if __name__ == "__main__":
    sys.exit(main(build, __file__))
