"""Statements of the paper as predicates over records, with their thresholds. No torch.

Bounds and KL terms are in nats per example; several seeds of a Run count by their mean.
The thresholds were fixed before any long Run was looked at: the paper gives none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from repro import measures
from repro.experiments.grid import MAX_DEPTH, VARIANTS, Cell, grid
from repro.store import Record
from repro.targets import ACTIVE_NATS, COLLAPSED_NATS, MNIST_NATS, NORB_SHARE, PAPER

IMPROVES_NATS = 0.05  # about the Monte-Carlo error of a difference of two L_1
NO_GAIN_NATS = MNIST_NATS  # a smaller step is no improvement "beyond" a depth
TIGHTER_NATS = MNIST_NATS
ABOUT_ONE = (0.5, 1.5)  # layers that one measure activates
MANY_ACTIVE = 0.8  # share of all units that warm-up begins with
PRUNED = 0.1  # share of all units that it then gives up
LOWEST = 2  # "the lowest layers"
MOST_KL = 0.8  # share of the KL in them that is "most"
SPREAD_LAYERS = 0.5  # by how many effective layers, exp(entropy), the LVAE's KL is wider spread
SEVERAL_NATS = 3.0  # a gap between train and test below this is "close"
FALL_NATS = 0.5  # a test bound that ends this far below its best shows over-fitting
CLUSTER_MARGIN = 0.02  # lead in the between-class share of variance

Lookup = Callable[[Cell], Sequence[Record]]
Judgement = tuple[bool, str]


@dataclass(frozen=True)
class Claim:
    """A published statement (`text`) and the test of it, in words and as a function.

    `test` is given the finished records of each of `cells`; it answers whether the statement
    holds, and with what numbers. `files` are the arrays it reads.
    """

    id: str
    text: str
    source: str
    predicate: str
    cells: tuple[Cell, ...]
    test: Callable[[Lookup], Judgement]
    files: tuple[str, ...] = ()


DEEPEST = tuple(Cell("mnist", v, MAX_DEPTH) for v in VARIANTS)
VAE, VAE_BN, VAE_BN_WU, LVAE = DEEPEST
VAES = (VAE, VAE_BN, VAE_BN_WU)
WARMED = tuple(c for c in DEEPEST if VARIANTS[c.variant].warmup)
OMNIGLOT_LVAE = Cell("omniglot", "lvae_bn_wu", MAX_DEPTH)
NORB_DEPTHS = (3, 4, 5)


def depths(variant: str, data: str = "mnist") -> tuple[Cell, ...]:
    """The cells of one variant, by depth."""
    return tuple(c for c in grid(data) if c.variant == variant)


def _mean(records: Sequence[Record], value: Callable[[Record], Any]) -> Any:
    return np.mean([value(r) for r in records], axis=0)


def _bounds(found: Lookup, cells: Sequence[Cell], name: str = "L1_test") -> list[float]:
    return [float(_mean(found(c), lambda r: measures.metric(r, name))) for c in cells]


def _label(cell: Cell) -> str:
    return VARIANTS[cell.variant].label


def _row(values: Sequence[float] | Any, digits: int = 2) -> str:
    return " / ".join(f"{v:.{digits}f}" for v in values)


def _by_depth(found: Lookup, variant: str) -> tuple[list[float], str]:
    cells = depths(variant)
    values = _bounds(found, cells)
    return values, f"L_1 at depths {cells[0].depth} to {cells[-1].depth}: {_row(values)}"


def _rises(values: Sequence[float]) -> bool:
    return all(b - a >= IMPROVES_NATS for a, b in pairwise(values))


def _no_gain_beyond_one(found: Lookup) -> Judgement:
    values, evidence = _by_depth(found, "vae")
    return max(values[1:]) - values[0] <= NO_GAIN_NATS, evidence


def _gains_up_to_three(found: Lookup) -> Judgement:
    values, evidence = _by_depth(found, "vae_bn_wu")
    return _rises(values[:3]) and max(values[3:]) - values[2] <= NO_GAIN_NATS, evidence


def _gains_every_layer(found: Lookup) -> Judgement:
    values, evidence = _by_depth(found, "lvae_bn_wu")
    return _rises(values), evidence


def _tighter_bound(found: Lookup) -> Judgement:
    vae, lvae = (float(_mean(found(c), measures.gap_of_bounds)) for c in WARMED)
    evidence = f"L_K - L_1: {_label(VAE_BN_WU)} {vae:.2f}, {_label(LVAE)} {lvae:.2f}"
    return vae - lvae >= TIGHTER_NATS, evidence


def _collapsed_above_second(found: Lookup) -> Judgement:
    kl = _mean(found(VAE), measures.kl_layers)
    return bool(max(kl[2:]) < COLLAPSED_NATS), f"KL of z_1 to z_5: {_row(kl)}"


def _each_activates_one(found: Lookup) -> Judgement:
    counts = [float(_mean(found(c), measures.active_layers)) for c in VAES]
    low, high = ABOUT_ONE
    evidence = (f"{_label(c)} {n:g}" for c, n in zip(VAES, counts, strict=True))
    holds = all(low <= b - a <= high for a, b in pairwise(counts))
    return holds, "active layers: " + ", ".join(evidence)


def _uses_all_layers(found: Lookup) -> Judgement:
    kl = _mean(found(LVAE), measures.kl_layers)
    return bool(min(kl) >= COLLAPSED_NATS), f"KL of z_1 to z_5: {_row(kl)}"


def _warmup_prunes(found: Lookup) -> Judgement:
    shares = {c: _mean(found(c), measures.active_shares) for c in WARMED}
    holds = all(a >= MANY_ACTIVE and a - b >= PRUNED for a, b in shares.values())
    evidence = (f"{_label(c)} {a:.0%} and {b:.0%}" for c, (a, b) in shares.items())
    return holds, "active units in warm-up and at the end: " + ", ".join(evidence)


def _kl_low_or_spread(found: Lookup) -> Judgement:
    kl = {c: np.maximum(_mean(found(c), measures.kl_layers), 0.0) for c in DEEPEST}
    share = {c: v / max(v.sum(), COLLAPSED_NATS) for c, v in kl.items()}
    low = {c: float(v[:LOWEST].sum()) for c, v in share.items()}
    spread = {c: measures.effective_layers(v) for c, v in share.items()}
    wider = spread[LVAE] - max(spread[c] for c in VAES) >= SPREAD_LAYERS
    evidence = (f"{_label(c)} {low[c]:.0%} ({spread[c]:.1f})" for c in DEEPEST)
    holds = min(low[c] for c in VAES) >= MOST_KL and wider
    return holds, "share of z_1 and z_2 (effective layers): " + ", ".join(evidence)


def _no_over_fitting(found: Lookup) -> Judgement:
    signs = {c: _mean(found(c), measures.over_fitting) for c in DEEPEST}
    holds = all(gap < SEVERAL_NATS and fall <= FALL_NATS for gap, fall in signs.values())
    evidence = (f"{_label(c)} {gap:.2f} ({fall:.2f})" for c, (gap, fall) in signs.items())
    return holds, "widest train - test gap (fall from the best test bound): " + ", ".join(evidence)


def _clusters_at_the_top(found: Lookup) -> Judgement:
    vae, lvae = (_mean(found(c), measures.class_shares) for c in (VAE, LVAE))
    lead = lvae[-1] - max(*lvae[:-1], *vae)
    return bool(lead >= CLUSTER_MARGIN), f"z_1 to z_5: LVAE {_row(lvae)}; VAE {_row(vae)}"


def _omniglot_gap(found: Lookup) -> Judgement:
    train, test = (_bounds(found, [OMNIGLOT_LVAE], f"L1_{part}")[0] for part in ("train", "test"))
    return train - test >= SEVERAL_NATS, f"L_1 train {train:.2f}, test {test:.2f}"


def _norb_no_gain(found: Lookup) -> Judgement:
    values = {
        v.label: _bounds(found, [Cell("norb", name, d) for d in NORB_DEPTHS], "LK_test")
        for name, v in VARIANTS.items()
    }
    gains = {label: max(v[1:]) - v[0] for label, v in values.items()}
    holds = all(gains[label] <= NORB_SHARE * abs(v[0]) for label, v in values.items())
    evidence = (f"{label} {_row(bounds, 0)}" for label, bounds in values.items())
    return holds, "L_K at depths 3 to 5: " + ", ".join(evidence)


_CLAIMS = (
    Claim(
        "mnist/vae_no_gain_beyond_one_layer",
        "A VAE without batch norm and warm-up does not improve beyond one stochastic layer",
        f"{PAPER}, section 3.1, Fig. 3b",
        f"L_1 (test) at depths 2-5 is at most {NO_GAIN_NATS} nats above depth 1",
        depths("vae"),
        _no_gain_beyond_one,
    ),
    Claim(
        "mnist/vae_bn_wu_gains_up_to_three_layers",
        "With batch norm and warm-up a VAE improves up to three layers",
        f"{PAPER}, section 3.1, Fig. 3b",
        f"L_1 (test) rises by at least {IMPROVES_NATS} nats to depths 2 and 3, and by at most"
        f" {NO_GAIN_NATS} beyond",
        depths("vae_bn_wu"),
        _gains_up_to_three,
    ),
    Claim(
        "mnist/lvae_gains_with_every_layer",
        "The LVAE improves with every additional layer",
        f"{PAPER}, section 3.1, Fig. 3b",
        f"L_1 (test) rises by at least {IMPROVES_NATS} nats with each layer, depths 2-5",
        depths("lvae_bn_wu"),
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
        "mnist/classes_cluster_in_top_lvae_layer",
        "Class clusters are clearest in the topmost layer of the LVAE",
        f"{PAPER}, Fig. 6",
        "between-class share of the variance of the two principal components: at least"
        f" {CLUSTER_MARGIN} above every other layer of LVAE and VAE",
        (VAE, LVAE),
        _clusters_at_the_top,
        ("pca.npz",),
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

CLAIMS: dict[str, Claim] = {c.id: c for c in _CLAIMS}
