"""For each claim a world where it holds, those where it fails, and a spread that hides both."""

from collections.abc import Callable
from dataclasses import dataclass

from claim_contents import (
    Content,
    World,
    all_of,
    by_depth,
    each,
    error,
    gap,
    in_use,
    kl,
    l1,
    layers,
    lk,
    trained,
    units,
)

from repro.judge.claims.bounds import LVAE_WU_BY_DEPTH, TUNED, TUNED_IW10
from repro.judge.claims.claim import DEEPEST, LVAE, VAE, VAE_BN, VAE_BN_WU, VAES
from repro.judge.claims.depth import BEST_VAE, LVAE_BY_DEPTH
from repro.judge.claims.ladder import cells_of
from repro.judge.claims.other_sets import (
    NORB_BEST,
    NORB_BEST_VAE,
    NORB_VAES,
    OMNIGLOT,
    OMNIGLOT_LVAE,
)
from repro.judge.targets.bounds import VAES as EVERY_VAE
from repro.plan.experiments.grid import VARIANTS, Cell, grid


@dataclass(frozen=True)
class Row:
    """A claim, a world where it holds, those where it fails, and a spread that hides the first."""

    claim: str
    holds: World
    fails: tuple[World, ...]
    wide: float


VAE_KL, LVAE_KL = (20.0, 3.0, 0.03, 0.02, 0.01), (11.7, 6.2, 2.9, 1.7, 3.0)
MNIST = grid("mnist")
WELL = trained(-85.0, -87.0, -86.5, -86.0, -86.0)
COLD_WARM = {VAE_BN_WU: units(1, 0.95, 0.7, 0.6), LVAE: units(1, 0.95, 0.7, 0.6)}
SETTLED = units(1, 0.4, 0.4, 0.4)
BEST_OMNIGLOT = (OMNIGLOT_LVAE, lk(-102.1))
NORB = tuple(Cell("norb", v, d) for v in VARIANTS for d in (3, 4, 5))
FLAT = {c: lk({3: 3500.0, 4: 3450.0, 5: 3450.0}[c.depth]) for c in NORB}
ACTIVE = {c: layers("active_units", 24, 4, 1, 0, 0) for c in VAES}
MOST = layers("active_units", 46, 23, 10, 6, 4)


def _beats(make: Callable[[float], Content], best: float, other: float) -> World:
    return all_of(EVERY_VAE, make(other), lvae=(LVAE, make(best)))


def _clustered(vae: float, lvae: float) -> World:
    """So much of the classes can be told from the top layer."""
    tops = ((VAE, vae), (LVAE, lvae))
    return {c: layers("probe", 0.9, 0.8, 0.7, 0.5, top, at=(4,)) for c, top in tops}


def _ladder(labels: int) -> Row:
    cells = cells_of(labels)
    return Row(
        f"ladder/order_of_costs_{labels}",
        each(cells, error, 1.0, 1.2, 3.0, 21.0),
        (each(cells, error, 1.5, 1.2, 3.0, 21.0), each(cells, error, 1.0, 1.2, 3.0, 2.0)),
        1.0,
    )


ROWS = (
    Row(
        "mnist/vae_no_gain_beyond_one_layer",
        by_depth("vae", -89.0, -88.9, -89.2, -89.1, -89.0),
        (by_depth("vae", -89.0, -88.9, -88.5, -89.1, -89.0),),
        0.5,
    ),
    Row(
        "mnist/vae_bn_wu_gains_up_to_three_layers",
        by_depth("vae_bn_wu", -89.0, -88.0, -87.5, -87.6, -87.4),
        (
            by_depth("vae_bn_wu", -89.0, -88.0, -88.2, -88.1, -88.2),
            by_depth("vae_bn_wu", -89.0, -88.0, -87.5, -87.0, -86.5),
        ),
        0.5,
    ),
    Row(
        "mnist/lvae_gains_with_every_layer",
        by_depth("lvae_bn_wu", -87.0, -86.0, -85.5, -85.2),
        (by_depth("lvae_bn_wu", -87.0, -86.0, -85.5, -85.6),),
        0.5,
    ),
    Row(
        "mnist/lvae_gains_shrink_with_depth",
        by_depth("lvae_bn_wu", -87.0, -86.0, -85.5, -85.2),
        (by_depth("lvae_bn_wu", -87.0, -86.8, -86.0, -85.7),),
        0.5,
    ),
    Row(
        "mnist/best_vae_has_three_layers",
        all_of(EVERY_VAE, l1(-89.0), best=(BEST_VAE, l1(-87.5))),
        (all_of(EVERY_VAE, l1(-89.0), best=(VAE_BN, l1(-87.5))),),
        2.0,
    ),
    Row(
        "mnist/lvae_beats_best_vae_on_l1",
        _beats(l1, -85.2, -87.5),
        (
            {**_beats(l1, -85.2, -87.5), VAE_BN: l1(-85.9)},
            {**_beats(l1, -85.2, -87.5), BEST_VAE: l1(-84.0)},
        ),
        2.0,
    ),
    Row(
        "mnist/lvae_beats_best_vae_on_lk",
        _beats(lk, -82.1, -82.7),
        ({**_beats(lk, -82.1, -82.7), VAE_BN: lk(-82.0)},),
        1.0,
    ),
    Row(
        "mnist/batch_norm_and_warm_up_each_help",
        each(VAES, l1, -90.0, -89.0, -88.0),
        (each(VAES, l1, -90.0, -89.0, -89.5), each(VAES, l1, -89.0, -89.2, -88.0)),
        1.0,
    ),
    Row(
        "mnist/lvae_bound_is_tighter",
        {VAE_BN_WU: gap(4.7), LVAE: gap(3.1)},
        ({VAE_BN_WU: gap(3.2), LVAE: gap(3.1)},),
        2.0,
    ),
    Row(
        "mnist/no_over_fitting",
        all_of(MNIST, WELL),
        (
            all_of(MNIST, WELL, gap=(MNIST[0], trained(-80.0, -87.0, -86.5, -86.0, -86.0))),
            all_of(MNIST, WELL, fall=(MNIST[9], trained(-85.0, -87.0, -84.0, -85.0, -86.0))),
        ),
        2.0,
    ),
    Row(
        "mnist/lvae_without_batch_norm_is_very_poor",
        {**all_of(LVAE_BY_DEPTH, l1(-86.0)), **all_of(LVAE_WU_BY_DEPTH, l1(-100.0))},
        (
            {
                **all_of(LVAE_BY_DEPTH, l1(-86.0)),
                **all_of(LVAE_WU_BY_DEPTH, l1(-100.0), one=(LVAE_WU_BY_DEPTH[1], l1(-88.8))),
            },
        ),
        20.0,
    ),
    Row(
        "mnist/fine_tuning_helps",
        {LVAE: lk(-82.1), TUNED: lk(-81.8, -1)},
        ({LVAE: lk(-82.1), TUNED: lk(-82.3, -1)},),
        1.0,
    ),
    Row(
        "mnist/more_samples_help_fine_tuning",
        {TUNED: lk(-81.9), TUNED_IW10: lk(-81.7, -1)},
        ({TUNED: lk(-81.7), TUNED_IW10: lk(-81.9, -1)},),
        1.0,
    ),
    Row("mnist/similar_number_of_parameters", {VAE_BN: lk(-84.0), LVAE: lk(-82.0)}, (), 0.0),
    Row("mnist/lvae_above_flows_and_iwae", {LVAE: lk(-82.1)}, ({LVAE: lk(-84.0)},), 1.0),
    Row("mnist/lvae_about_vgp", {LVAE: lk(-82.0)}, ({LVAE: lk(-83.0)}, {LVAE: lk(-80.5)}), 0.5),
    Row(
        "mnist/vae_collapsed_above_second_layer",
        {VAE: kl(*VAE_KL)},
        ({VAE: kl(20.0, 3.0, 0.3, 0.0, 0.0)}, {VAE: kl(20.0, 3.0, 0.0, 0.0, 0.3)}),
        0.1,
    ),
    Row(
        "mnist/bn_and_wu_activate_one_layer_each",
        each(VAES, in_use, 2, 3, 4),
        tuple(each(VAES, in_use, *n) for n in ((2, 2, 3), (2, 3, 3), (1, 3, 4))),
        1.0,
    ),
    Row(
        "mnist/lvae_uses_all_layers",
        {LVAE: kl(*LVAE_KL)},
        ({LVAE: kl(12.1, 7.7, 3.0, 2.8, 0.02)},),
        3.0,
    ),
    Row(
        "mnist/kl_low_in_vae_spread_in_lvae",
        {**all_of(VAES, kl(*VAE_KL)), LVAE: kl(*LVAE_KL)},
        (
            all_of(DEEPEST, kl(*VAE_KL)),
            {
                **all_of(VAES, kl(*VAE_KL), one=(VAE_BN_WU, kl(10.0, 5.0, 3.0, 2.0, 0.0))),
                LVAE: kl(5.0, 5.0, 5.0, 5.0, 5.0),
            },
        ),
        8.0,
    ),
    Row(
        "mnist/lvae_most_active_in_each_layer",
        {**ACTIVE, LVAE: MOST},
        ({**ACTIVE, VAE_BN: layers("active_units", 24, 26, 1, 0, 0), LVAE: MOST},),
        40.0,
    ),
    Row(
        "mnist/classes_cluster_in_top_lvae_layer",
        _clustered(0.1, 0.7),
        (_clustered(0.75, 0.7),),
        0.5,
    ),
    Row(
        "mnist/clustering_grows_with_the_layer",
        {LVAE: layers("class_share", 0.1, 0.2, 0.3, 0.4, 0.5, at=(3, 4))},
        ({LVAE: layers("class_share", 0.1, 0.2, 0.3, 0.5, 0.3, at=(3, 4))},),
        0.2,
    ),
    Row(
        "mnist/warmup_starts_active_then_prunes",
        {VAE_BN: units(1, 0.4, 0.4, 0.4), **COLD_WARM},
        (
            {VAE_BN: units(1, 0.95, 0.7, 0.6), **COLD_WARM},  # as active without warm-up
            {VAE_BN: units(1, 0.4, 0.4, 0.4), **COLD_WARM, LVAE: units(1, 0.6, 0.5, 0.4)},
            {VAE_BN: units(1, 0.4, 0.4, 0.4), **COLD_WARM, LVAE: units(1, 0.95, 0.95, 0.95)},
        ),
        0.35,
    ),
    Row(
        "mnist/without_warmup_units_stay_stable",
        {VAE: SETTLED, VAE_BN: SETTLED},
        (
            {VAE: SETTLED, VAE_BN: units(1, 0.4, 0.4, 0.2)},
            {VAE: units(1, 0.4, 0.4, 0.6), VAE_BN: SETTLED},
        ),
        0.2,
    ),
    Row(
        "mnist/warmup_leaves_more_units_active",
        {VAE_BN: units(1, 0.4, 0.4, 0.4), VAE_BN_WU: units(1, 0.9, 0.7, 0.6)},
        ({VAE_BN: units(1, 0.4, 0.4, 0.4), VAE_BN_WU: units(1, 0.9, 0.7, 0.35)},),
        0.3,
    ),
    Row(
        "omniglot/order_of_variants",
        each(OMNIGLOT, lk, -115.0, -110.0, -108.0, -107.5),
        (each(OMNIGLOT, lk, -115.0, -110.0, -107.5, -108.0),),
        1.0,
    ),
    Row(
        "omniglot/train_test_gap",
        {OMNIGLOT_LVAE: lambda d: {"L1_train": -99.0, "L1_test": -104.0 + d}},
        ({OMNIGLOT_LVAE: lambda d: {"L1_train": -99.0, "L1_test": -101.0 + d}},),
        3.0,
    ),
    Row(
        "omniglot/five_layer_lvae_is_best",
        all_of(grid("omniglot"), lk(-104.0), best=BEST_OMNIGLOT),
        (all_of(grid("omniglot"), lk(-104.0), best=BEST_OMNIGLOT, one=(OMNIGLOT[0], lk(-101.9))),),
        3.0,
    ),
    Row(
        "omniglot/lvae_above_iwae", {OMNIGLOT_LVAE: lk(-102.1)}, ({OMNIGLOT_LVAE: lk(-105.0)},), 2.0
    ),
    Row(
        "norb/no_gain_beyond_three_layers",
        FLAT,
        ({**FLAT, Cell("norb", "vae_bn", 5): lk(3560.0)},),
        100.0,
    ),
    Row(
        "norb/lvae_slightly_higher",
        {**all_of(NORB_VAES, lk(3400.0)), NORB_BEST_VAE: lk(3492.0), NORB_BEST: lk(3519.0)},
        (
            {**all_of(NORB_VAES, lk(3600.0)), NORB_BEST_VAE: lk(3492.0), NORB_BEST: lk(3519.0)},
            {**all_of(NORB_VAES, lk(3200.0)), NORB_BEST: lk(3519.0)},
        ),
        100.0,
    ),
    _ladder(100),
    _ladder(1000),
)
