"""Statements about what the layers of the 5-layer models on MNIST hold."""

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from repro.judge import measures
from repro.judge.claims import claim
from repro.judge.claims.claim import DEEPEST, LVAE, VAE, VAES, Claim, Judgement, at_least, in_row
from repro.judge.estimate import Estimate
from repro.judge.evidence import Books
from repro.judge.targets.target import COLLAPSED_NATS, PAPER
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import MAX_DEPTH, Cell
from repro.store import Record

ABOUT_ONE = (0.5, 1.5)  # layers that one measure activates
LOWEST = 2  # "the lowest layers"
MOST_KL = 0.8  # share of the KL in them that is "most"
SPREAD_LAYERS = 0.5  # by how many effective layers, exp(entropy), the LVAE's KL is wider spread
CLUSTER_POINTS = 0.1  # accuracy by which the LVAE's top layer tells classes better than the VAE's
LAYERS = range(MAX_DEPTH)


def _layer(found: Books, cell: Cell, name: str, i: int) -> Estimate:
    """A quantity of layer i + 1."""
    return claim.quantity(found, cell, lambda r: float(measures.of_layers(r, name)[i]))


def _mean(found: Books, cell: Cell, name: str) -> Any:
    return found.of(cell).mean(lambda r: measures.of_layers(r, name))


def _kl(found: Books, cell: Cell, layers: range, used: bool) -> Judgement:
    """That some layers are used, or collapsed."""
    held = at_least if used else claim.at_most
    contrasts = [
        held(f"KL of z_{i + 1}", _layer(found, cell, "kl_layers", i), COLLAPSED_NATS)
        for i in layers
    ]
    return contrasts, f"KL of z_1 to z_5: {in_row(_mean(found, cell, 'kl_layers'))}"


def _each_activates_one(found: Books) -> Judgement:
    counts = {c: claim.quantity(found, c, measures.active_layers) for c in VAES}
    contrasts: list[claim.Contrast] = []
    for a, b in pairwise(VAES):
        name = f"layers of {label_of(b)} over {label_of(a)}"
        contrasts += claim.between(name, counts[b] - counts[a], *ABOUT_ONE)
    words = (f"{label_of(c)} {n.mean:.3g}" for c, n in counts.items())
    return contrasts, "active layers: " + ", ".join(words)


def _low(record: Record) -> float:
    return float(measures.shares_of_kl(record)[:LOWEST].sum())


def _kl_low_or_spread(found: Books) -> Judgement:
    spread = {c: claim.quantity(found, c, measures.effective_layers) for c in DEEPEST}
    low = {c: claim.quantity(found, c, _low) for c in DEEPEST}
    contrasts = [at_least(f"z_1 and z_2 of {label_of(c)}", low[c], MOST_KL) for c in VAES]
    contrasts += [
        at_least(f"LVAE wider than {label_of(c)}", spread[LVAE] - spread[c], SPREAD_LAYERS)
        for c in VAES
    ]
    words = (f"{label_of(c)} {low[c].mean:.0%} ({spread[c].mean:.1f})" for c in DEEPEST)
    return contrasts, "share of z_1 and z_2 (effective layers): " + ", ".join(words)


def _most_active_in_each(found: Books) -> Judgement:
    contrasts = [
        at_least(
            f"units of z_{i + 1}, LVAE over {label_of(c)}",
            _layer(found, LVAE, "active_units", i) - _layer(found, c, "active_units", i),
            0.0,
        )
        for c in VAES
        for i in LAYERS
    ]
    words = (f"{label_of(c)} {in_row(_mean(found, c, 'active_units'), 0)}" for c in DEEPEST)
    return contrasts, f"active units of z_1 to z_5: {', '.join(words)}"


def _clusters_at_the_top(found: Books) -> Judgement:
    top = MAX_DEPTH - 1
    lead = _layer(found, LVAE, "probe", top) - _layer(found, VAE, "probe", top)
    words = (f"{label_of(c)} {in_row(_mean(found, c, 'probe'))}" for c in (VAE, LVAE))
    contrast = at_least("accuracy on z_5, LVAE over VAE", lead, CLUSTER_POINTS)
    return [contrast], f"accuracy of the probe of z_1 to z_5: {', '.join(words)}"


def _rise(i: int, record: Record) -> float:
    """Of the class share from layer i + 1 to the next."""
    return float(np.diff(measures.of_layers(record, "class_share"))[i])


def _clustering_grows(found: Books) -> Judgement:
    contrasts = [
        at_least(f"z_{i + 2} over z_{i + 1}", claim.quantity(found, LVAE, partial(_rise, i)), 0.0)
        for i in LAYERS[:-1]
    ]
    return contrasts, f"class share of z_1 to z_5: {in_row(_mean(found, LVAE, 'class_share'))}"


OF_COLLAPSE = f"{PAPER}, section 3.2, Fig. 6"
CLAIMS = (
    Claim(
        "mnist/vae_collapsed_above_second_layer",
        "The vanilla VAE's layers above the second are collapsed",
        OF_COLLAPSE,
        f"five layers: KL of z_3, z_4 and z_5 at most {COLLAPSED_NATS} nats each",
        (VAE,),
        partial(_kl, cell=VAE, layers=LAYERS[2:], used=False),
        metrics=("kl_layers",),
    ),
    Claim(
        "mnist/bn_and_wu_activate_one_layer_each",
        "Batch norm and warm-up each activate about one more layer",
        OF_COLLAPSE,
        f"five layers: layers with KL of at least {COLLAPSED_NATS} nats; VAE to VAE+BN to"
        f" VAE+BN+WU adds {ABOUT_ONE[0]} to {ABOUT_ONE[1]} each",
        VAES,
        _each_activates_one,
        metrics=("kl_layers",),
    ),
    Claim(
        "mnist/lvae_uses_all_layers",
        "The LVAE uses all five layers",
        OF_COLLAPSE,
        f"KL of each layer at least {COLLAPSED_NATS} nats",
        (LVAE,),
        partial(_kl, cell=LVAE, layers=LAYERS, used=True),
        metrics=("kl_layers",),
    ),
    Claim(
        "mnist/kl_low_in_vae_spread_in_lvae",
        "The VAE puts most of its KL in the lowest layers, the LVAE spreads it",
        f"{PAPER}, section 3.2, Fig. 5",
        f"five layers: z_1 and z_2 hold at least {MOST_KL:.0%} of each VAE's KL; the LVAE's is"
        f" spread over at least {SPREAD_LAYERS} effective layers (exp of the entropy) more",
        DEEPEST,
        _kl_low_or_spread,
        metrics=("kl_layers",),
    ),
    Claim(
        "mnist/lvae_most_active_in_each_layer",
        "The LVAE has the most active units in each layer",
        f"{PAPER}, section 3.2, Fig. 4",
        "five layers: in every layer as many active units as each VAE, or more, in the end",
        DEEPEST,
        _most_active_in_each,
        metrics=("active_units",),
    ),
    Claim(
        "mnist/classes_cluster_in_top_lvae_layer",
        "Classes cluster clearly in the topmost layer of the LVAE, and not in that of the VAE",
        OF_COLLAPSE,
        "accuracy of a linear probe of all units of z_5 (`probe`, equal widths): at least"
        f" {CLUSTER_POINTS} above the VAE's",
        (VAE, LVAE),
        _clusters_at_the_top,
        metrics=("probe",),
    ),
    Claim(
        "mnist/clustering_grows_with_the_layer",
        "The LVAE's layers cluster progressively more according to class",
        OF_COLLAPSE,
        "share of the variance of all units of z_i that lies between classes, mean over"
        " directions of unit variance (`class_share`): no less than in the layer below",
        (LVAE,),
        _clustering_grows,
        metrics=("class_share",),
    ),
)
