"""Statements about bounds on MNIST: against depth, between models, between train and test."""

from __future__ import annotations

from repro.judge import measures
from repro.judge.claims.claim import (
    DEEPEST,
    IMPROVES_NATS,
    LVAE,
    NO_GAIN_NATS,
    SEVERAL_NATS,
    VAE_BN_WU,
    WARMED,
    Claim,
    Judgement,
    Lookup,
    bounds,
    in_row,
    mean_of,
    rises,
)
from repro.judge.targets.target import MNIST_NATS, PAPER
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import Cell, column

TIGHTER_NATS = MNIST_NATS
FALL_NATS = 0.5  # a test bound that ends this far below its best shows over-fitting
VERY_POOR_NATS = 3.0  # about what separates the other variants of one depth

VAE_BY_DEPTH, VAE_BN_WU_BY_DEPTH, LVAE_BY_DEPTH, LVAE_WU_BY_DEPTH = (
    tuple(column("mnist", v)) for v in ("vae", "vae_bn_wu", "lvae_bn_wu", "lvae_wu")
)


def _by_depth(found: Lookup, cells: tuple[Cell, ...]) -> tuple[list[float], str]:
    values = bounds(found, cells)
    return values, f"L_1 at depths {cells[0].depth} to {cells[-1].depth}: {in_row(values)}"


def _no_gain_beyond_one(found: Lookup) -> Judgement:
    values, evidence = _by_depth(found, VAE_BY_DEPTH)
    return max(values[1:]) - values[0] <= NO_GAIN_NATS, evidence


def _gains_up_to_three(found: Lookup) -> Judgement:
    values, evidence = _by_depth(found, VAE_BN_WU_BY_DEPTH)
    return rises(values[:3]) and max(values[3:]) - values[2] <= NO_GAIN_NATS, evidence


def _gains_every_layer(found: Lookup) -> Judgement:
    values, evidence = _by_depth(found, LVAE_BY_DEPTH)
    return rises(values), evidence


def _tighter_bound(found: Lookup) -> Judgement:
    vae, lvae = (float(mean_of(found(c), measures.gap_of_bounds)) for c in WARMED)
    evidence = f"L_K - L_1: {label_of(VAE_BN_WU)} {vae:.2f}, {label_of(LVAE)} {lvae:.2f}"
    return vae - lvae >= TIGHTER_NATS, evidence


def _no_over_fitting(found: Lookup) -> Judgement:
    signs = {c: mean_of(found(c), measures.over_fitting) for c in DEEPEST}
    holds = all(gap < SEVERAL_NATS and fall <= FALL_NATS for gap, fall in signs.values())
    evidence = (f"{label_of(c)} {gap:.2f} ({fall:.2f})" for c, (gap, fall) in signs.items())
    return holds, "widest train - test gap (fall from the best test bound): " + ", ".join(evidence)


def _poor_without_batch_norm(found: Lookup) -> Judgement:
    without, evidence = _by_depth(found, LVAE_WU_BY_DEPTH)
    with_it = bounds(found, LVAE_BY_DEPTH)
    behind = [b - a for a, b in zip(without, with_it, strict=True)]
    return min(behind) >= VERY_POOR_NATS, f"{evidence}; with batch norm {in_row(with_it)}"


CLAIMS = (
    Claim(
        "mnist/vae_no_gain_beyond_one_layer",
        "A VAE without batch norm and warm-up does not improve beyond one stochastic layer",
        f"{PAPER}, section 3.1, Fig. 3b",
        f"L_1 (test) at depths 2-5 is at most {NO_GAIN_NATS} nats above depth 1",
        VAE_BY_DEPTH,
        _no_gain_beyond_one,
    ),
    Claim(
        "mnist/vae_bn_wu_gains_up_to_three_layers",
        "With batch norm and warm-up a VAE improves up to three layers",
        f"{PAPER}, section 3.1, Fig. 3b",
        f"L_1 (test) rises by at least {IMPROVES_NATS} nats to depths 2 and 3, and by at most"
        f" {NO_GAIN_NATS} beyond",
        VAE_BN_WU_BY_DEPTH,
        _gains_up_to_three,
    ),
    Claim(
        "mnist/lvae_gains_with_every_layer",
        "The LVAE improves with every additional layer",
        f"{PAPER}, section 3.1, Fig. 3b",
        f"L_1 (test) rises by at least {IMPROVES_NATS} nats with each layer, depths 2-5",
        LVAE_BY_DEPTH,
        _gains_every_layer,
    ),
    Claim(
        "mnist/lvae_bound_is_tighter",
        "The LVAE's bound is tighter: L_5000 - L_1 is smaller than the VAE's",
        f"{PAPER}, section 3.1, Figs. 3b and 3c",
        f"five layers: L_K - L_1 is at least {TIGHTER_NATS} nats below that of VAE+BN+WU",
        WARMED,
        _tighter_bound,
        ("per_image.npz",),
    ),
    Claim(
        "mnist/no_over_fitting",
        "Train and test bounds stay close: no signs of over-fitting",
        f"{PAPER}, Fig. 2",
        f"five layers, beta = 1: L_1 train - test below {SEVERAL_NATS} nats at every"
        f" evaluation, and L_1 test ends at most {FALL_NATS} below its best",
        DEEPEST,
        _no_over_fitting,
        ("curve.csv",),
    ),
    Claim(
        "mnist/lvae_without_batch_norm_is_very_poor",
        "The LVAE without batch norm performs very poorly",
        f"{PAPER}, appendix, Fig. 7",
        f"L_1 (test) is at least {VERY_POOR_NATS} nats below the LVAE's with batch norm, both"
        " warmed up, at every depth 2-5",
        (*LVAE_WU_BY_DEPTH, *LVAE_BY_DEPTH),
        _poor_without_batch_norm,
    ),
)
