"""Worlds of each claim: by cell what `check_records.made` takes, given a shift d of each seed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from check_records import IMAGES, of_images

from repro.judge.claims import other_sets as sets
from repro.judge.claims.bounds import LVAE_WU_BY_DEPTH, TUNED, TUNED_IW10
from repro.judge.claims.claim import LVAE, VAE, VAE_BN, VAE_BN_WU, VAES
from repro.judge.claims.depth import BEST_VAE, LVAE_BY_DEPTH
from repro.judge.claims.ladder import cells_of
from repro.judge.targets.bounds import VAES as EVERY_VAE
from repro.plan.experiments.grid import VARIANTS, Cell, column, grid

Content = Callable[[float], dict[str, Any]]
World = dict[Cell, Content]
UNITS = 124


class Row:
    """A world where a claim holds, what is otherwise where it fails, a spread that hides both."""

    def __init__(self, holds: World, *changes: World, wide: float = 1.0) -> None:
        self.holds, self.wide = holds, wide
        self.fails = [{**holds, **changed} for changed in changes]


def each(cells: Sequence[Cell], make: Callable[[float], Content], *values: float) -> World:
    return {c: make(v) for c, v in zip(cells, values, strict=True)}


def by_depth(variant: str, *values: float) -> World:
    return each(column("mnist", variant), l1, *values)


def l1(value: float) -> Content:
    """L_1 in final.json and of each image."""
    return lambda d: {"L1_test": value + d, **of_images(L1=np.full(IMAGES, value + d))}


def lk(value: float, sign: int = 1) -> Content:
    return lambda d: {"LK_test": value + sign * d}


def gap(value: float) -> Content:
    """L_K - L_1 on the first two of four images; the others would mislead."""
    L1 = np.array([-90.0, -88.0, 0.0, 0.0])
    return lambda d: of_images(L1=L1, LK=L1[:2] + value + d)


def layers(name: str, *values: float, at: Sequence[int] = (0,)) -> Content:
    """One number a layer; d moves some of them, in turn up and down."""

    def content(d: float) -> dict[str, Any]:
        moved = list(values)
        for turn, i in enumerate(at):
            moved[i] += d * (-1) ** turn
        return {name: moved}

    return content


def kl(*values: float) -> Content:
    return layers("kl_layers", *values, at=(3,))


def probe(top: float) -> Content:
    return layers("probe", 0.9, 0.8, 0.7, 0.5, top, at=(4,))


def in_use(count: float) -> Content:
    """So many layers that are not collapsed, and d more."""
    return lambda d: {"kl_layers": [float(i < round(count + d)) for i in range(5)]}


def units(*shares: float) -> Content:
    """Shares of units that are active at epochs 1, 100, 200 and 2000; d moves the last."""

    def content(d: float) -> dict[str, Any]:
        active = np.round(UNITS * np.add(shares, (0, 0, 0, d)))
        test = (np.arange(UNITS) < active[:, None]).astype(float)
        return {"arrays": {"kl_units": {"epochs": np.array([1, 100, 200, 2000]), "test": test}}}

    return content


def trained(train: float, *test: float) -> Content:
    """L_1 of the test images at a quarter, half, three quarters and the end of training."""

    def content(d: float) -> dict[str, Any]:
        bounds = np.add(test, (0, 0, 0, d))
        epochs = [500, 1000, 1500, 2000]
        curve = pd.DataFrame({"epoch": epochs, "beta": 1.0, "L1_test": bounds})
        return {"curve": curve, "L1_train": train, "L1_test": bounds[-1]}

    return content


def error(value: float) -> Content:
    return lambda d: {"error_percent": value + d, "error_se": 0.02}


VAE_KL, LVAE_KL = (20.0, 3.0, 0.03, 0.02, 0.01), (11.7, 6.2, 2.9, 1.7, 3.0)
MNIST = grid("mnist")
WELL = trained(-85.0, -87.0, -86.5, -86.0, -86.0)
WARM, SETTLED = units(1, 0.95, 0.7, 0.6), units(1, 0.4, 0.4, 0.4)
FLAT = {Cell("norb", v, d): lk(3500.0 - 50 * (d > 3)) for v in VARIANTS for d in (3, 4, 5)}
ACTIVE = dict.fromkeys(VAES, layers("active_units", 24, 4, 1, 0, 0))


ROWS = {
    "mnist/vae_no_gain_beyond_one_layer": Row(
        by_depth("vae", -89.0, -88.9, -89.2, -89.1, -89.0),
        by_depth("vae", -89.0, -88.9, -88.5, -89.1, -89.0),
    ),
    "mnist/vae_bn_wu_gains_up_to_three_layers": Row(
        by_depth("vae_bn_wu", -89.0, -88.0, -87.5, -87.6, -87.4),
        by_depth("vae_bn_wu", -89.0, -88.0, -88.2, -88.1, -88.2),
        by_depth("vae_bn_wu", -89.0, -88.0, -87.5, -87.0, -86.5),
    ),
    "mnist/lvae_gains_with_every_layer": Row(
        by_depth("lvae_bn_wu", -87.0, -86.0, -85.5, -85.2),
        by_depth("lvae_bn_wu", -87.0, -86.0, -85.5, -85.6),
    ),
    "mnist/lvae_gains_shrink_with_depth": Row(
        by_depth("lvae_bn_wu", -87.0, -86.0, -85.5, -85.2),
        by_depth("lvae_bn_wu", -87.0, -86.8, -86.0, -85.7),
    ),
    "mnist/best_vae_has_three_layers": Row(
        {**dict.fromkeys(EVERY_VAE, l1(-89.0)), BEST_VAE: l1(-87.5)},
        {BEST_VAE: l1(-89.0), VAE_BN: l1(-87.5)},
    ),
    "mnist/lvae_beats_best_vae_on_l1": Row(
        {**dict.fromkeys(EVERY_VAE, l1(-87.5)), LVAE: l1(-85.2)},
        {VAE_BN: l1(-85.9)},
        {BEST_VAE: l1(-84.0)},
    ),
    "mnist/lvae_beats_best_vae_on_lk": Row(
        {**dict.fromkeys(EVERY_VAE, lk(-82.7)), LVAE: lk(-82.1)}, {VAE_BN: lk(-82.0)}
    ),
    "mnist/batch_norm_and_warm_up_each_help": Row(
        each(VAES, l1, -90.0, -89.0, -88.0),
        each(VAES, l1, -90.0, -89.0, -89.5),
        each(VAES, l1, -89.0, -89.2, -88.0),
    ),
    "mnist/lvae_bound_is_tighter": Row(
        {VAE_BN_WU: gap(4.7), LVAE: gap(3.1)}, {VAE_BN_WU: gap(3.2)}
    ),
    "mnist/no_over_fitting": Row(
        dict.fromkeys(MNIST, WELL),
        {MNIST[0]: trained(-80.0, -87.0, -86.5, -86.0, -86.0)},
        {MNIST[9]: trained(-85.0, -87.0, -84.0, -85.0, -86.0)},
    ),
    "mnist/lvae_without_batch_norm_is_very_poor": Row(
        {**dict.fromkeys(LVAE_BY_DEPTH, l1(-86.0)), **dict.fromkeys(LVAE_WU_BY_DEPTH, l1(-100.0))},
        {LVAE_WU_BY_DEPTH[1]: l1(-88.8)},
        wide=20.0,
    ),
    "mnist/fine_tuning_helps": Row({LVAE: lk(-82.1), TUNED: lk(-81.8, -1)}, {TUNED: lk(-82.3, -1)}),
    "mnist/more_samples_help_fine_tuning": Row(
        {TUNED: lk(-81.9), TUNED_IW10: lk(-81.7, -1)}, {TUNED: lk(-81.7), TUNED_IW10: lk(-81.9, -1)}
    ),
    "mnist/similar_number_of_parameters": Row({VAE_BN: lk(-84.0), LVAE: lk(-82.0)}),
    "mnist/lvae_above_flows_and_iwae": Row({LVAE: lk(-82.1)}, {LVAE: lk(-84.0)}),
    "mnist/lvae_about_vgp": Row({LVAE: lk(-82.0)}, {LVAE: lk(-83.0)}, {LVAE: lk(-80.5)}, wide=0.5),
    "mnist/vae_collapsed_above_second_layer": Row(
        {VAE: kl(*VAE_KL)},
        {VAE: kl(20.0, 3.0, 0.3, 0.0, 0.0)},
        {VAE: kl(20.0, 3.0, 0.0, 0.0, 0.3)},
        wide=0.1,
    ),
    "mnist/bn_and_wu_activate_one_layer_each": Row(
        each(VAES, in_use, 2, 3, 4),
        *(each(VAES, in_use, *n) for n in ((2, 2, 3), (2, 3, 3), (1, 3, 4))),
    ),
    "mnist/lvae_uses_all_layers": Row({LVAE: kl(*LVAE_KL)}, {LVAE: kl(12.1, 7.7, 3.0, 2.8, 0.02)}),
    "mnist/kl_low_in_vae_spread_in_lvae": Row(
        {**dict.fromkeys(VAES, kl(*VAE_KL)), LVAE: kl(*LVAE_KL)},
        {LVAE: kl(*VAE_KL)},
        {VAE_BN_WU: kl(10.0, 5.0, 3.0, 2.0, 0.0), LVAE: kl(5.0, 5.0, 5.0, 5.0, 5.0)},
        wide=8.0,
    ),
    "mnist/lvae_most_active_in_each_layer": Row(
        {**ACTIVE, LVAE: layers("active_units", 46, 23, 10, 6, 4)},
        {VAE_BN: layers("active_units", 24, 26, 1, 0, 0)},
        wide=40.0,
    ),
    "mnist/classes_cluster_in_top_lvae_layer": Row(
        each((VAE, LVAE), probe, 0.1, 0.7), each((VAE, LVAE), probe, 0.75, 0.7), wide=0.5
    ),
    "mnist/clustering_grows_with_the_layer": Row(
        {LVAE: layers("class_share", 0.1, 0.2, 0.3, 0.4, 0.5, at=(3, 4))},
        {LVAE: layers("class_share", 0.1, 0.2, 0.3, 0.5, 0.3, at=(3, 4))},
        wide=0.2,
    ),
    "mnist/warmup_starts_active_then_prunes": Row(
        {VAE_BN: SETTLED, VAE_BN_WU: WARM, LVAE: WARM},
        {VAE_BN: WARM},  # as active without warm-up
        {LVAE: units(1, 0.6, 0.5, 0.4)},
        {LVAE: units(1, 0.95, 0.95, 0.95)},
        wide=0.35,
    ),
    "mnist/without_warmup_units_stay_stable": Row(
        {VAE: SETTLED, VAE_BN: SETTLED},
        {VAE_BN: units(1, 0.4, 0.4, 0.2)},
        {VAE: units(1, 0.4, 0.4, 0.6)},
        wide=0.2,
    ),
    "mnist/warmup_leaves_more_units_active": Row(
        {VAE_BN: SETTLED, VAE_BN_WU: units(1, 0.9, 0.7, 0.6)},
        {VAE_BN_WU: units(1, 0.9, 0.7, 0.35)},
        wide=0.3,
    ),
    "omniglot/order_of_variants": Row(
        each(sets.OMNIGLOT, lk, -115.0, -110.0, -108.0, -107.5),
        each(sets.OMNIGLOT, lk, -115.0, -110.0, -107.5, -108.0),
    ),
    "omniglot/train_test_gap": Row(
        {sets.OMNIGLOT_LVAE: lambda d: {"L1_train": -99.0, "L1_test": -103.5 + d}},
        {sets.OMNIGLOT_LVAE: lambda d: {"L1_train": -99.0, "L1_test": -101.0 + d}},
    ),
    "omniglot/five_layer_lvae_is_best": Row(
        {**dict.fromkeys(grid("omniglot"), lk(-103.5)), sets.OMNIGLOT_LVAE: lk(-102.1)},
        {sets.OMNIGLOT[0]: lk(-101.9)},
    ),
    "omniglot/lvae_above_iwae": Row(
        {sets.OMNIGLOT_LVAE: lk(-102.1)}, {sets.OMNIGLOT_LVAE: lk(-105.0)}
    ),
    "norb/no_gain_beyond_three_layers": Row(
        FLAT, {Cell("norb", "vae_bn", 5): lk(3560.0)}, wide=100
    ),
    "norb/lvae_slightly_higher": Row(
        {
            **dict.fromkeys(sets.NORB_VAES, lk(3400.0)),
            sets.NORB_BEST_VAE: lk(3492.0),
            sets.NORB_BEST: lk(3519.0),
        },
        {**dict.fromkeys(sets.NORB_VAES, lk(3600.0)), sets.NORB_BEST_VAE: lk(3492.0)},
        dict.fromkeys(sets.NORB_VAES, lk(3200.0)),
        wide=100.0,
    ),
    **{
        f"ladder/order_of_costs_{labels}": Row(
            each(cells_of(labels), error, 1.0, 1.2, 3.0, 21.0),
            each(cells_of(labels), error, 1.5, 1.2, 3.0, 21.0),
            each(cells_of(labels), error, 1.0, 1.2, 3.0, 2.0),
        )
        for labels in (100, 1000)
    },
}
