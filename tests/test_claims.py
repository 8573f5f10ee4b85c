"""Each claim holds for records that show what the paper says, and fails for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_records import curve, pca, write

from repro.judge import measures
from repro.judge.claims import CLAIMS
from repro.judge.claims.bounds import LVAE_BY_DEPTH, LVAE_WU_BY_DEPTH
from repro.judge.claims.claim import DEEPEST, LVAE, VAE, VAE_BN, VAE_BN_WU
from repro.judge.claims.other_sets import OMNIGLOT, OMNIGLOT_LVAE
from repro.plan.experiments.grid import VARIANTS, Cell, column

VAE_KL = [20.0, 3.0, 0.05, 0.02, 0.01]
LVAE_KL = [11.7, 6.2, 2.9, 1.7, 3.0]


def holds(root: Path, claim: str, contents: dict[Cell, dict[str, Any]]) -> bool:
    """The claim's answer to one record a cell with the given contents."""
    records = {cell: [write(root, cell, **content)] for cell, content in contents.items()}
    assert set(records) == set(CLAIMS[claim].cells)
    answer, evidence = CLAIMS[claim].test(lambda cell: records[cell])
    assert evidence
    return answer


def by_depth(variant: str, values: Sequence[float]) -> dict[Cell, dict[str, Any]]:
    return {c: {"L1_test": v} for c, v in zip(column("mnist", variant), values, strict=True)}


def gaps(vae: float, lvae: float) -> dict[Cell, dict[str, Any]]:
    """L_K on the first two of four images; the others would mislead."""

    def arrays(gap: float) -> dict[str, Any]:
        per_image = {"L1": np.array([-90.0, -88.0, 0.0, 0.0]), "LK": np.array([-90, -88]) + gap}
        return {"arrays": {"per_image": per_image}}

    return {VAE_BN_WU: arrays(vae), LVAE: arrays(lvae)}


def kl(values: Sequence[float]) -> dict[str, Any]:
    return {"kl_layers": list(values)}


def active(early: float, late: float) -> dict[str, Any]:
    """Shares of active units at the first evaluation and at the last."""
    test = np.zeros((2, 124))
    test[0, : round(124 * early)] = 1.0
    test[1, : round(124 * late)] = 1.0
    return {"arrays": {"kl_units": {"epochs": np.array([1, 2000]), "test": test}}}


def clusters(vae: Sequence[float], lvae: Sequence[float]) -> dict[Cell, dict[str, Any]]:
    return {c: {"arrays": {"pca": pca(list(s))}} for c, s in ((VAE, vae), (LVAE, lvae))}


def norb(deepest: float) -> dict[Cell, dict[str, Any]]:
    values = {3: 3500.0, 4: 3450.0, 5: deepest}
    return {Cell("norb", v, d): {"LK_test": x} for v in VARIANTS for d, x in values.items()}


def test_vae_without_gain_beyond_one_layer_is_recognised(tmp_path: Path) -> None:
    values = by_depth("vae", (-89.0, -88.9, -89.2, -89.1, -89.0))
    assert holds(tmp_path, "mnist/vae_no_gain_beyond_one_layer", values)


def test_vae_that_gains_with_a_later_layer_is_recognised(tmp_path: Path) -> None:
    values = by_depth("vae", (-89.0, -88.9, -88.5, -89.1, -89.0))
    assert not holds(tmp_path, "mnist/vae_no_gain_beyond_one_layer", values)


def test_vae_bn_wu_that_gains_up_to_three_layers_is_recognised(tmp_path: Path) -> None:
    values = by_depth("vae_bn_wu", (-89.0, -88.0, -87.5, -87.6, -87.4))
    assert holds(tmp_path, "mnist/vae_bn_wu_gains_up_to_three_layers", values)


def test_vae_bn_wu_without_gain_at_three_layers_is_recognised(tmp_path: Path) -> None:
    values = by_depth("vae_bn_wu", (-89.0, -88.0, -88.0, -88.1, -88.0))
    assert not holds(tmp_path, "mnist/vae_bn_wu_gains_up_to_three_layers", values)


def test_vae_bn_wu_that_gains_beyond_three_layers_is_recognised(tmp_path: Path) -> None:
    values = by_depth("vae_bn_wu", (-89.0, -88.0, -87.5, -87.0, -86.5))
    assert not holds(tmp_path, "mnist/vae_bn_wu_gains_up_to_three_layers", values)


def test_lvae_that_gains_with_every_layer_is_recognised(tmp_path: Path) -> None:
    values = by_depth("lvae_bn_wu", (-87.0, -86.0, -85.5, -85.2))
    assert holds(tmp_path, "mnist/lvae_gains_with_every_layer", values)


def test_lvae_without_gain_at_the_top_layer_is_recognised(tmp_path: Path) -> None:
    values = by_depth("lvae_bn_wu", (-87.0, -86.0, -85.5, -85.49))
    assert not holds(tmp_path, "mnist/lvae_gains_with_every_layer", values)


def test_a_tighter_lvae_bound_is_recognised(tmp_path: Path) -> None:
    assert holds(tmp_path, "mnist/lvae_bound_is_tighter", gaps(vae=4.7, lvae=3.1))


def test_an_lvae_bound_that_is_not_tighter_is_recognised(tmp_path: Path) -> None:
    assert not holds(tmp_path, "mnist/lvae_bound_is_tighter", gaps(vae=3.2, lvae=3.1))


def test_the_gap_of_bounds_is_over_the_images_that_l_k_covers(tmp_path: Path) -> None:
    record = write(tmp_path, LVAE, **gaps(vae=4.7, lvae=3.1)[LVAE])
    assert measures.gap_of_bounds(record) == pytest.approx(3.1)


def test_collapsed_layers_above_the_second_are_recognised(tmp_path: Path) -> None:
    assert holds(tmp_path, "mnist/vae_collapsed_above_second_layer", {VAE: kl(VAE_KL)})


def test_an_active_third_layer_is_recognised(tmp_path: Path) -> None:
    content = {VAE: kl([20.0, 3.0, 0.1, 0.0, 0.0])}
    assert not holds(tmp_path, "mnist/vae_collapsed_above_second_layer", content)


def layers_in_use(vae: int, bn: int, bn_wu: int) -> dict[Cell, dict[str, Any]]:
    counts = {VAE: vae, VAE_BN: bn, VAE_BN_WU: bn_wu}
    return {c: kl([1.0] * n + [0.0] * (5 - n)) for c, n in counts.items()}


def test_one_more_layer_with_each_measure_is_recognised(tmp_path: Path) -> None:
    assert holds(tmp_path, "mnist/bn_and_wu_activate_one_layer_each", layers_in_use(2, 3, 4))


@pytest.mark.parametrize("counts", [(2, 2, 3), (2, 3, 3), (1, 3, 4)])
def test_none_or_two_more_layers_with_a_measure_are_recognised(
    tmp_path: Path, counts: tuple[int, int, int]
) -> None:
    claim = "mnist/bn_and_wu_activate_one_layer_each"
    assert not holds(tmp_path, claim, layers_in_use(*counts))


def test_an_lvae_that_uses_all_layers_is_recognised(tmp_path: Path) -> None:
    assert holds(tmp_path, "mnist/lvae_uses_all_layers", {LVAE: kl(LVAE_KL)})


def test_an_lvae_with_a_collapsed_top_is_recognised(tmp_path: Path) -> None:
    content = {LVAE: kl([12.1, 7.7, 3.0, 2.8, 0.02])}
    assert not holds(tmp_path, "mnist/lvae_uses_all_layers", content)


@pytest.mark.parametrize(
    ("early", "late", "expected"), [(0.9, 0.4, True), (0.5, 0.3, False), (0.9, 0.85, False)]
)
def test_units_pruned_after_warm_up_are_recognised(
    tmp_path: Path, early: float, late: float, expected: bool
) -> None:
    contents = {c: active(early, late) for c in (VAE_BN_WU, LVAE)}
    assert holds(tmp_path, "mnist/warmup_starts_active_then_prunes", contents) is expected


def test_units_active_only_after_warm_up_do_not_count_as_early(tmp_path: Path) -> None:
    record = write(tmp_path, LVAE, **active(0.2, 0.9))
    assert measures.active_shares(record) == pytest.approx([25 / 124, 112 / 124])


def test_kl_low_in_the_vae_and_spread_in_the_lvae_is_recognised(tmp_path: Path) -> None:
    contents = {c: kl(LVAE_KL if c == LVAE else VAE_KL) for c in DEEPEST}
    assert holds(tmp_path, "mnist/kl_low_in_vae_spread_in_lvae", contents)


def test_a_vae_whose_kl_is_spread_too_is_recognised(tmp_path: Path) -> None:
    contents = {c: kl(VAE_KL) for c in DEEPEST}
    contents |= {VAE_BN_WU: kl([10.0, 5.0, 3.0, 2.0, 0.0]), LVAE: kl([5.0] * 5)}
    assert not holds(tmp_path, "mnist/kl_low_in_vae_spread_in_lvae", contents)


def test_an_lvae_whose_kl_is_low_too_is_recognised(tmp_path: Path) -> None:
    contents = {c: kl(VAE_KL) for c in DEEPEST}
    assert not holds(tmp_path, "mnist/kl_low_in_vae_spread_in_lvae", contents)


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ((-300, -95, -86), (-310, -96, -87), True),
        ((-300, -95, -83), (-310, -96, -87), False),
        ((-300, -85, -86), (-310, -86, -87), False),
    ],
    ids=["close", "gap", "fall"],
)
def test_signs_of_over_fitting_are_recognised(
    tmp_path: Path, train: Sequence[float], test: Sequence[float], expected: bool
) -> None:
    contents = {c: curve(train, test, beta=(0, 1, 1)) for c in DEEPEST}
    assert holds(tmp_path, "mnist/no_over_fitting", contents) is expected


def test_class_clusters_clearest_at_the_top_are_recognised(tmp_path: Path) -> None:
    shares = clusters(vae=(0.3, 0.2, 0.01, 0.01, 0.01), lvae=(0.3, 0.4, 0.5, 0.6, 0.8))
    assert holds(tmp_path, "mnist/classes_cluster_in_top_lvae_layer", shares)


@pytest.mark.parametrize(
    ("vae_top", "fourth"), [(0.85, 0.6), (0.01, 0.79)], ids=["in the vae", "in the fourth layer"]
)
def test_class_clusters_as_clear_elsewhere_are_recognised(
    tmp_path: Path, vae_top: float, fourth: float
) -> None:
    shares = clusters(vae=(0.3, 0.2, 0.1, 0.1, vae_top), lvae=(0.3, 0.4, 0.5, fourth, 0.8))
    assert not holds(tmp_path, "mnist/classes_cluster_in_top_lvae_layer", shares)


def test_the_between_class_share_is_that_of_the_variance() -> None:
    points = np.array([[-2.0, 1.0], [-2.0, -1.0], [2.0, 1.0], [2.0, -1.0]])
    labels = np.array([3, 3, 7, 7])
    assert measures.between_class_share(points, labels) == pytest.approx(4 / 5)


def test_projections_lie_between_their_low_and_high(tmp_path: Path) -> None:
    steps = {"z1": np.array([[0, 511]], dtype=np.uint16), "labels": np.zeros(1, dtype=np.uint8)}
    bounds = {"low1": np.array([-3.0, 1.0]), "high1": np.array([2.0, 4.0])}
    record = write(tmp_path, Cell("mnist", "vae", 1), arrays={"pca": {**steps, **bounds}})
    assert measures.projections(record, 1) == pytest.approx(np.array([[-3.0, 4.0]]))


@pytest.mark.parametrize(("test", "expected"), [(-104.0, True), (-101.0, False)])
def test_an_omniglot_gap_of_several_nats_is_recognised(
    tmp_path: Path, test: float, expected: bool
) -> None:
    contents = {OMNIGLOT_LVAE: {"L1_train": -99.0, "L1_test": test}}
    assert holds(tmp_path, "omniglot/train_test_gap", contents) is expected


@pytest.mark.parametrize(("deepest", "expected"), [(3530.0, True), (3540.0, False)])
def test_norb_gains_beyond_three_layers_are_recognised(
    tmp_path: Path, deepest: float, expected: bool
) -> None:
    assert holds(tmp_path, "norb/no_gain_beyond_three_layers", norb(deepest)) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((-115.0, -110.0, -108.0, -107.9), True),
        ((-115.0, -110.0, -107.9, -108.0), False),
        ((-110.0, -110.0, -108.0, -107.0), False),
    ],
)
def test_the_order_of_the_variants_on_omniglot_is_recognised(
    tmp_path: Path, values: Sequence[float], expected: bool
) -> None:
    contents = {c: {"LK_test": v} for c, v in zip(OMNIGLOT, values, strict=True)}
    assert holds(tmp_path, "omniglot/order_of_variants", contents) is expected


@pytest.mark.parametrize(("worst", "expected"), [(-90.0, True), (-88.9, False)])
def test_a_very_poor_lvae_without_batch_norm_is_recognised(
    tmp_path: Path, worst: float, expected: bool
) -> None:
    contents = {c: {"L1_test": -86.0} for c in LVAE_BY_DEPTH}
    contents |= {c: {"L1_test": -100.0} for c in LVAE_WU_BY_DEPTH}
    contents[LVAE_WU_BY_DEPTH[1]] = {"L1_test": worst}
    claim = "mnist/lvae_without_batch_norm_is_very_poor"
    assert holds(tmp_path, claim, contents) is expected


def test_several_seeds_count_by_their_mean(tmp_path: Path) -> None:
    records = [
        write(tmp_path, LVAE, seed=seed, kl_layers=[*LVAE_KL[:4], top])
        for seed, top in ((1, 0.05), (2, 0.17))
    ]
    assert CLAIMS["mnist/lvae_uses_all_layers"].test(lambda _: records)[0]


def test_every_claim_of_the_mnist_text_is_there() -> None:
    assert len([c for c in CLAIMS if c.startswith("mnist/")]) == 12
