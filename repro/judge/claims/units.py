"""Statements about active units of the 5-layer models on MNIST in the course of training."""

from functools import partial

import numpy as np

from repro.judge import measures
from repro.judge.claims import claim
from repro.judge.claims.claim import VAE_BN, VAE_BN_WU, VAES, WARMED, Claim, Judgement
from repro.judge.evidence import Books
from repro.judge.targets.target import PAPER
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import VARIANTS
from repro.store import Record
from repro.store.sealed import ACTIVE_NATS

MANY_ACTIVE = 0.8  # share of all units half-way through warm-up
EARLY_LEAD = 0.1  # share of all units by which warm-up has more then
PRUNED = 0.1  # share of all units that it then gives up
SETTLED = 0.1  # of training: 200 of 2,000 epochs; stable from here on
ADDED, LOST = 0.05, 0.1  # shares of all units that may still be added or lost
MORE_ACTIVE = 0.05  # share of all units, in the end

COLD = tuple(c for c in VAES if not VARIANTS[c.variant].warmup)


def _share(record: Record, at: int | None = None) -> float:
    """Share of all units that is active at an epoch, or in the end."""
    return float(np.mean(measures.active_at(record, at)))


def _changed(record: Record, before: bool) -> float:
    """Share of all units that were active or not once settled, and are the other in the end."""
    settled = measures.active_at(record, round(SETTLED * record.run.schedule.epochs))
    end = measures.active_at(record)
    return float(np.mean((settled == before) & (end != before)))


def _active_then_pruned(found: Books) -> Judgement:
    at = max(1, found.of(VAE_BN_WU).done[0].run.schedule.warmup_epochs // 2)
    early = {c: claim.quantity(found, c, partial(_share, at=at)) for c in (VAE_BN, *WARMED)}
    fell = {c: claim.quantity(found, c, lambda r: _share(r, at) - _share(r)) for c in WARMED}
    lead = early[VAE_BN_WU] - early[VAE_BN]
    contrasts: list[claim.Contrast] = [
        claim.at_least("VAE+BN+WU over VAE+BN early", lead, EARLY_LEAD)
    ]
    for c in WARMED:
        contrasts.append(claim.at_least(f"early share of {label_of(c)}", early[c], MANY_ACTIVE))
        contrasts.append(claim.at_least(f"share pruned of {label_of(c)}", fell[c], PRUNED))
    words = ", ".join(f"{label_of(c)} {e.mean:.0%}" for c, e in early.items())
    pruned = " and ".join(f"{f.mean:.0%}" for f in fell.values())
    return contrasts, f"active units at epoch {at}: {words}; then pruned: {pruned}"


def _stable(found: Books) -> Judgement:
    added, lost = (
        {c: claim.quantity(found, c, partial(_changed, before=before)) for c in COLD}
        for before in (False, True)
    )
    contrasts = [claim.at_most(f"added of {label_of(c)}", e, ADDED) for c, e in added.items()]
    contrasts += [claim.at_most(f"lost of {label_of(c)}", e, LOST) for c, e in lost.items()]
    words = (f"{label_of(c)} {added[c].mean:.0%} and {lost[c].mean:.0%}" for c in COLD)
    return contrasts, f"units added and lost: {', '.join(words)}"


def _more_in_the_end(found: Books) -> Judgement:
    end = {c: claim.quantity(found, c, _share) for c in (VAE_BN, VAE_BN_WU)}
    words = (f"{label_of(c)} {e.mean:.0%}" for c, e in end.items())
    contrast = claim.at_least(
        "VAE+BN+WU over VAE+BN in the end", end[VAE_BN_WU] - end[VAE_BN], MORE_ACTIVE
    )
    return [contrast], f"active units in the end: {', '.join(words)}"


SOURCE = f"{PAPER}, section 3.2, Fig. 4"
FILES = ("kl_units.npz",)
CLAIMS = (
    Claim(
        "mnist/warmup_starts_active_then_prunes",
        "With warm-up many units are active in the beginning and are pruned later",
        SOURCE,
        f"five layers, units above {ACTIVE_NATS} nats: half-way through warm-up at least"
        f" {MANY_ACTIVE:.0%}, and in VAE+BN+WU {EARLY_LEAD:.0%} of all units more than in VAE+BN at"
        f" the same epoch; at least {PRUNED:.0%} of all units fewer in the end",
        (VAE_BN, *WARMED),
        _active_then_pruned,
        FILES,
    ),
    Claim(
        "mnist/without_warmup_units_stay_stable",
        "Without warm-up units are stable during training, and few new ones are activated",
        SOURCE,
        f"five layers, VAE and VAE+BN: from {SETTLED:.0%} of training to its end at most"
        f" {ADDED:.0%} of all units become active, and at most {LOST:.0%} cease to be",
        COLD,
        _stable,
        FILES,
    ),
    Claim(
        "mnist/warmup_leaves_more_units_active",
        "With warm-up more units are active at the end of training",
        SOURCE,
        f"five layers: VAE+BN+WU has at least {MORE_ACTIVE:.0%} of all units more than VAE+BN",
        (VAE_BN, VAE_BN_WU),
        _more_in_the_end,
        FILES,
    ),
)
