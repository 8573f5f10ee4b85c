"""Statements about what the layers of the 5-layer models on MNIST hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from repro.judge import measures
from repro.judge.claims.claim import (
    DEEPEST,
    LVAE,
    VAE,
    VAES,
    WARMED,
    Claim,
    Judgement,
    Lookup,
    in_row,
    mean_of,
)
from repro.judge.targets.target import ACTIVE_NATS, COLLAPSED_NATS, PAPER
from repro.plan.experiments import label_of

ABOUT_ONE = (0.5, 1.5)  # layers that one measure activates
MANY_ACTIVE = 0.8  # share of all units that warm-up begins with
PRUNED = 0.1  # share of all units that it then gives up
LOWEST = 2  # "the lowest layers"
MOST_KL = 0.8  # share of the KL in them that is "most"
SPREAD_LAYERS = 0.5  # by how many effective layers, exp(entropy), the LVAE's KL is wider spread
CLUSTER_MARGIN = 0.02  # lead in the between-class share of variance


def _collapsed_above_second(found: Lookup) -> Judgement:
    kl = mean_of(found(VAE), measures.kl_layers)
    return bool(max(kl[2:]) < COLLAPSED_NATS), f"KL of z_1 to z_5: {in_row(kl)}"


def _each_activates_one(found: Lookup) -> Judgement:
    counts = [float(mean_of(found(c), measures.active_layers)) for c in VAES]
    low, high = ABOUT_ONE
    evidence = (f"{label_of(c)} {n:g}" for c, n in zip(VAES, counts, strict=True))
    holds = all(low <= b - a <= high for a, b in pairwise(counts))
    return holds, "active layers: " + ", ".join(evidence)


def _uses_all_layers(found: Lookup) -> Judgement:
    kl = mean_of(found(LVAE), measures.kl_layers)
    return bool(min(kl) >= COLLAPSED_NATS), f"KL of z_1 to z_5: {in_row(kl)}"


def _warmup_prunes(found: Lookup) -> Judgement:
    shares = {c: mean_of(found(c), measures.active_shares) for c in WARMED}
    holds = all(a >= MANY_ACTIVE and a - b >= PRUNED for a, b in shares.values())
    evidence = (f"{label_of(c)} {a:.0%} and {b:.0%}" for c, (a, b) in shares.items())
    return holds, "active units in warm-up and at the end: " + ", ".join(evidence)


def _kl_low_or_spread(found: Lookup) -> Judgement:
    kl = {c: np.maximum(mean_of(found(c), measures.kl_layers), 0.0) for c in DEEPEST}
    share = {c: v / max(v.sum(), COLLAPSED_NATS) for c, v in kl.items()}
    low = {c: float(v[:LOWEST].sum()) for c, v in share.items()}
    spread = {c: measures.effective_layers(v) for c, v in share.items()}
    wider = spread[LVAE] - max(spread[c] for c in VAES) >= SPREAD_LAYERS
    evidence = (f"{label_of(c)} {low[c]:.0%} ({spread[c]:.1f})" for c in DEEPEST)
    holds = min(low[c] for c in VAES) >= MOST_KL and wider
    return holds, "share of z_1 and z_2 (effective layers): " + ", ".join(evidence)


def _clusters_at_the_top(found: Lookup) -> Judgement:
    vae, lvae = (mean_of(found(c), measures.class_shares) for c in (VAE, LVAE))
    lead = lvae[-1] - max(*lvae[:-1], *vae)
    return bool(lead >= CLUSTER_MARGIN), f"z_1 to z_5: LVAE {in_row(lvae)}; VAE {in_row(vae)}"


CLAIMS = (
    Claim(
        "mnist/vae_collapsed_above_second_layer",
        "The vanilla VAE's layers above the second are collapsed",
        f"{PAPER}, Figs. 4 and 5",
        f"five layers: KL of z_3, z_4 and z_5 below {COLLAPSED_NATS} nats each",
        (VAE,),
        _collapsed_above_second,
    ),
    Claim(
        "mnist/bn_and_wu_activate_one_layer_each",
        "Batch norm and warm-up each activate about one more layer",
        f"{PAPER}, Figs. 4 and 5",
        f"five layers: layers with KL of at least {COLLAPSED_NATS} nats; VAE to VAE+BN to"
        f" VAE+BN+WU adds {ABOUT_ONE[0]} to {ABOUT_ONE[1]} each",
        VAES,
        _each_activates_one,
    ),
    Claim(
        "mnist/lvae_uses_all_layers",
        "The LVAE uses all five layers",
        f"{PAPER}, Figs. 4 and 5",
        f"KL of each layer at least {COLLAPSED_NATS} nats",
        (LVAE,),
        _uses_all_layers,
    ),
    Claim(
        "mnist/warmup_starts_active_then_prunes",
        "With warm-up many units are active in the beginning and are pruned later",
        f"{PAPER}, Fig. 4",
        f"five layers: at least {MANY_ACTIVE:.0%} of the units above {ACTIVE_NATS} nats during"
        f" warm-up, and at least {PRUNED:.0%} of all units fewer in the end",
        WARMED,
        _warmup_prunes,
        ("kl_units.npz",),
    ),
    Claim(
        "mnist/kl_low_in_vae_spread_in_lvae",
        "The VAE puts most of its KL in the lowest layers, the LVAE spreads it",
        f"{PAPER}, Fig. 5",
        f"five layers: z_1 and z_2 hold at least {MOST_KL:.0%} of each VAE's KL; the LVAE's is"
        f" spread over at least {SPREAD_LAYERS} effective layers (exp of the entropy) more",
        DEEPEST,
        _kl_low_or_spread,
    ),
    Claim(
        "mnist/classes_cluster_in_top_lvae_layer",
        "Class clusters are clearest in the topmost layer of the LVAE",
        f"{PAPER}, Fig. 6",
        "between-class share of the variance of the two principal components: at least"
        f" {CLUSTER_MARGIN} above every other layer of LVAE and VAE",
        (VAE, LVAE),
        _clusters_at_the_top,
        ("pca.npz",),
    ),
)
