"""Statements about OMNIGLOT and NORB."""

from __future__ import annotations

from repro.judge.claims.claim import (
    IMPROVES_NATS,
    SEVERAL_NATS,
    Claim,
    Judgement,
    Lookup,
    bounds,
    in_row,
    rises,
)
from repro.judge.targets.target import NORB_SHARE, PAPER
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import MAX_DEPTH, VARIANTS, Cell

OMNIGLOT = tuple(Cell("omniglot", v, MAX_DEPTH) for v in VARIANTS)
OMNIGLOT_LVAE = OMNIGLOT[-1]
NORB_DEPTHS = (3, 4, 5)


def _omniglot_order(found: Lookup) -> Judgement:
    values = bounds(found, OMNIGLOT, "LK_test")
    ranked = sorted(zip(values, OMNIGLOT, strict=True), key=lambda pair: -pair[0])
    evidence = ", ".join(f"{label_of(cell)} {value:.2f}" for value, cell in ranked)
    return rises(values), f"L_K, best first: {evidence}"


def _omniglot_gap(found: Lookup) -> Judgement:
    train, test = (bounds(found, [OMNIGLOT_LVAE], f"L1_{part}")[0] for part in ("train", "test"))
    return train - test >= SEVERAL_NATS, f"L_1 train {train:.2f}, test {test:.2f}"


def _norb_no_gain(found: Lookup) -> Judgement:
    values = {
        v.label: bounds(found, [Cell("norb", name, d) for d in NORB_DEPTHS], "LK_test")
        for name, v in VARIANTS.items()
    }
    gains = {label: max(v[1:]) - v[0] for label, v in values.items()}
    holds = all(gains[label] <= NORB_SHARE * abs(v[0]) for label, v in values.items())
    evidence = (f"{label} {in_row(bounds, 0)}" for label, bounds in values.items())
    return holds, "L_K at depths 3 to 5: " + ", ".join(evidence)


CLAIMS = (
    Claim(
        "omniglot/order_of_variants",
        "On OMNIGLOT batch norm, warm-up and the LVAE each improve on what comes before",
        f"{PAPER}, Table 2, row '64-32-16-8-4'",
        f"five layers: L_K rises by at least {IMPROVES_NATS} nats from VAE to VAE+BN to VAE+BN+WU"
        " to LVAE+BN+WU",
        OMNIGLOT,
        _omniglot_order,
    ),
    Claim(
        "omniglot/train_test_gap",
        "On OMNIGLOT train and test bounds lie several nats apart (read off the axes)",
        f"{PAPER}, Fig. 8",
        f"5-layer LVAE: L_1 train - test at least {SEVERAL_NATS} nats",
        (OMNIGLOT_LVAE,),
        _omniglot_gap,
    ),
    Claim(
        "norb/no_gain_beyond_three_layers",
        "No model on NORB gains beyond three layers",
        f"{PAPER}, Table 2",
        f"L_K at depths 4 and 5 is at most {NORB_SHARE:.0%} above depth 3, every variant",
        tuple(Cell("norb", v, d) for v in VARIANTS for d in NORB_DEPTHS),
        _norb_no_gain,
    ),
)
