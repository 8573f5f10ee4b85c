"""`repro check`: published numbers and claims held against the records of a store. No torch.

`repro.judge.verdicts` judges each one; here they are gathered, and shown as JSON, table and lines.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from repro.judge import verdicts
from repro.judge.claims import CLAIMS
from repro.judge.claims.claim import Contrast
from repro.judge.evidence import books
from repro.judge.targets import TARGETS
from repro.store import Store

COLOURS = {  # of verdicts and states on a terminal
    "green": ("reproduced", "holds", "done"),
    "yellow": ("one seed", "undecided", "interrupted", "data missing"),
    "red": ("different", "fails", "failed", "diverged"),
    "cyan": ("running",),
}
STYLES = {word: colour for colour, words in COLOURS.items() for word in words}


@dataclass(frozen=True)
class Report:
    """What `check` found in one profile of one store."""

    profile: str
    published_protocol: bool
    targets: tuple[verdicts.TargetResult, ...]
    claims: tuple[verdicts.ClaimResult, ...]
    diverged: tuple[str, ...]


def check(store: Store, profile: str) -> Report:
    """Every target and claim against the records of a profile; an unknown one counts as reduced.

    Raises RecordError for a damaged record.
    """
    found = books(store, profile)
    return Report(
        profile,
        found.published_protocol,
        tuple(verdicts.target_result(t, found) for t in TARGETS.values()),
        tuple(verdicts.claim_result(c, found) for c in CLAIMS.values()),
        tuple(sorted(r.run.id for r in found.records if r.diverged)),
    )


def as_json(report: Report) -> dict[str, Any]:
    """Plain JSON values: the keys of the command line's contract, then more."""
    return {
        "profile": report.profile,
        "targets": [_target_json(r) for r in report.targets],
        "claims": [
            {
                "id": r.claim.id,
                "text": r.claim.text,
                "source": r.claim.source,
                "verdict": r.verdict,
                "evidence": r.evidence,
                "predicate": r.claim.predicate,
                "seeds": r.seeds,
                "contrasts": [_contrast_json(c) for c in r.contrasts],
            }
            for r in report.claims
        ],
        "diverged": list(report.diverged),
    }


def _contrast_json(c: Contrast) -> dict[str, Any]:
    """What a statement needs to be 0 or more; an error of which nothing is known is null."""
    m = c.margin
    df = m.df if m.known and m.df < math.inf else None
    return {"name": c.name, "margin": m.mean, "error": m.error if m.known else None, "df": df}


def _target_json(r: verdicts.TargetResult) -> dict[str, Any]:
    t = r.target
    return {
        "id": t.id,
        "source": t.source,
        "paper": t.paper,
        "ours": r.ours,
        "sd": r.sd,
        "seeds": r.seeds,
        "mc_error": r.mc_error,
        "tolerance": t.margin,
        "verdict": r.verdict,
        "runs": list(r.runs),
        "direction": r.direction or None,
        "interval": list(r.interval) if r.interval else None,
        "metric": t.metric,
        "unit": t.unit,
        "paper_sd": t.sd,
        "confidence": "published",
        "quoted_from": t.quoted_from,
        "note": "; ".join(n for n in (t.note, r.note) if n),
    }


def strict_failures(report: Report) -> list[str]:
    """One line for every target that came out worse and every claim that fails."""
    worse = [
        f"{r.target.id}: {_ours(r)} is worse than the published {r.target.paper:.2f}{_interval(r)}"
        for r in report.targets
        if (r.verdict, r.direction) == (verdicts.DIFFERENT, verdicts.WORSE)
    ]
    return worse + [f"{r.claim.id}: {r.evidence}" for r in report.claims if r.verdict == "fails"]


def summary(report: Report) -> str:
    """Verdicts by count, and every Run that diverged, in one line."""
    parts = {
        "targets": Counter(r.verdict for r in report.targets),
        "claims": Counter(r.verdict for r in report.claims),
    }
    line = " · ".join(
        f"{name}: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.most_common())
        for name, counts in parts.items()
    )
    return line + (f" · diverged: {', '.join(report.diverged)}" if report.diverged else "")


def as_table(report: Report, store: str) -> Table:
    """What was run, with its verdict; the caption counts the rest. store: its name."""
    protocol = "" if report.published_protocol else " (reduced protocol, not a reproduction)"
    table = Table(title=f"{store}, profile {report.profile}{protocol}", caption=summary(report))
    for column in ("target or claim", "published", "ours", "seeds", "verdict", "note"):
        table.add_column(column, justify="right" if column in ("published", "ours") else "left")
    for r in (r for r in report.targets if r.verdict not in verdicts.SILENT):
        note = "; ".join(n for n in (r.direction, _interval(r).strip(" ()"), r.note) if n)
        numbers = (f"{r.target.paper:.2f}", _ours(r), str(r.seeds))
        add_row(table, r.target.id, *numbers, r.verdict, note)
    for c in (c for c in report.claims if c.verdict not in verdicts.SILENT):
        add_row(table, c.claim.id, "", "", str(c.seeds), c.verdict, c.evidence)
    return table


def add_row(table: Table, *values: str) -> None:
    """Verdicts in their colours; nothing is read as markup."""
    table.add_row(*(Text(v, style=STYLES.get(v, "")) for v in values))


def _ours(r: verdicts.TargetResult) -> str:
    if r.ours is None:
        return "diverged" if r.verdict == verdicts.DIFFERENT else "-"
    return f"{r.ours:.2f}" + (f" ± {r.sd:.2f}" if r.sd is not None else "")


def _interval(r: verdicts.TargetResult) -> str:
    """Of ours - published, beside the margin that it is held against."""
    if r.interval is None:
        return ""
    low, high = r.interval
    return f" (ours - published: {low:+z.2f} to {high:+z.2f}, margin {r.target.margin:.2g})"
