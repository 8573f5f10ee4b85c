"""Each claim holds, fails or is undecided by what the records of three seeds show."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from check_records import IMAGES, made, otherwise
from claim_contents import World, gap, l1, lk
from claim_worlds import ROWS, Row

from repro.judge import measures
from repro.judge.claims import CLAIMS
from repro.judge.claims.bounds import TUNED, TUNED_IW10
from repro.judge.claims.claim import (
    LVAE,
    VAE,
    VAE_BN,
    VAE_BN_WU,
    beside_printed,
    combined,
    gain,
    per_image_l1,
    train_test_gap,
)
from repro.judge.claims.depth import BEST_VAE, LVAE_BY_DEPTH
from repro.judge.evidence import Books
from repro.judge.over_images import images_error
from repro.judge.targets.target import BINARISATION_NATS
from repro.judge.verdicts import ClaimResult, claim_result
from repro.plan.experiments import ladder
from repro.plan.experiments.grid import Cell
from repro.plan.experiments.iwae import cell as iwae_cell
from repro.plan.profiles import PROFILES, run_of
from repro.store import Record

PAPER = PROFILES["paper"]
EXACT = {"mnist/similar_number_of_parameters"}  # counted: no spread can hide it
NARROW = 0.02
SEEDS = {1: 1.0, 2: -1.0, 3: 0.0}  # shares of the spread
Changes = dict[str, Any]


def books(*records: Record) -> Books:
    return Books(records, PROFILES["paper"])


def judged(claim: str, world: World, spread: float = NARROW, seeds: int = 3) -> ClaimResult:
    shares = list(SEEDS.items())[:seeds]
    found = books(
        *(
            made(cell, seed=seed, **content(share * spread))
            for cell, content in world.items()
            for seed, share in shares
        )
    )
    result = claim_result(CLAIMS[claim], found)
    assert "nan" not in result.evidence
    return result


def test_every_claim_has_a_world_of_each_outcome() -> None:
    assert [row.claim for row in ROWS] == list(CLAIMS)
    assert {row.claim for row in ROWS if not row.fails} == EXACT


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.claim)
def test_a_claim_holds_where_the_records_show_it(row: Row) -> None:
    result = judged(row.claim, row.holds)
    assert (result.verdict, result.seeds) == ("holds", 3), result.evidence


@pytest.mark.parametrize(
    ("claim", "world"),
    [pytest.param(r.claim, w, id=f"{r.claim}-{i}") for r in ROWS for i, w in enumerate(r.fails)],
)
def test_a_claim_fails_where_they_show_otherwise(claim: str, world: World) -> None:
    result = judged(claim, world)
    assert result.verdict == "fails", result.evidence


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.claim not in EXACT], ids=lambda row: row.claim
)
def test_a_claim_is_undecided_where_seeds_differ_too_much(row: Row) -> None:
    result = judged(row.claim, row.holds, row.wide)
    assert result.verdict == "undecided", result.evidence


def test_models_of_unlike_size_are_not_similar(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = "repro.judge.claims.bounds.parameters"
    monkeypatch.setattr(counted, lambda model, pixels: 2 if model.family == "lvae" else 1)
    world: World = {VAE_BN: lk(-84.0), LVAE: lk(-82.0)}
    assert judged("mnist/similar_number_of_parameters", world).verdict == "fails"


def test_one_seed_decides_nothing() -> None:
    result = judged(ROWS[0].claim, ROWS[0].holds, seeds=1)
    assert (result.verdict, result.seeds) == ("one seed", 1)


def test_other_trainings_lend_their_spread_where_they_hold_the_same() -> None:
    lenders = [made(VAE_BN, seed=seed, L1_test=-89.0 + seed) for seed in (1, 2, 3)]
    for record in lenders:
        del record.final["LK_test"]
    found = books(*lenders, made(VAE_BN_WU), made(LVAE, LK_test=-82.0))
    uses_all = claim_result(CLAIMS["mnist/lvae_uses_all_layers"], found)
    assert uses_all.verdict == "one seed"  # layers of another model say nothing of these
    lent = found.difference(LVAE, VAE_BN_WU, "L1_test")
    assert (lent.error, lent.df) == (pytest.approx(math.sqrt(2)), 2)  # one variance, twice
    assert not found.difference(LVAE, VAE_BN_WU, "LK_test").known


@pytest.mark.parametrize(
    ("cell", "lent"),
    [
        (Cell("mnist", "vae_bn", 5), True),
        (Cell("mnist", "vae_bn", 1), False),
        (Cell("omniglot", "vae_bn", 5), False),
    ],
    ids=["as deep", "shallower", "other data"],
)
def test_models_that_are_shallower_or_of_other_data_lend_no_spread(cell: Cell, lent: bool) -> None:
    three = (made(cell, seed=seed, L1_test=-89.0 + seed) for seed in (1, 2, 3))
    found = books(*three, made(VAE_BN_WU), made(LVAE))
    assert found.difference(LVAE, VAE_BN_WU, "L1_test").known == lent


@pytest.mark.parametrize(
    ("values", "known"), [((-89.0, -89.0, -89.0), False), ((-89.0, -89.1, -89.0), True)]
)
def test_replicates_equal_to_the_last_bit_are_one_training(values, known):
    cells = (Cell("mnist", f"lvae_bn_wu{again}", 5) for again in ("", "@again2", "@again3"))
    trained = [made(cell, L1_test=v) for cell, v in zip(cells, values, strict=True)]
    found = books(*trained, made(VAE_BN_WU))
    assert found.difference(LVAE, VAE_BN_WU, "L1_test").known == known


def test_trainings_that_do_not_count_lend_no_spread():
    """Of another configuration, or without a finite bound; beside one of these two are too few."""
    values = list(enumerate((-89.0, -88.0, -87.0), 1))
    stale = [made(LVAE, run=otherwise(run_of(LVAE, PAPER, s)), L1_test=v) for s, v in values]
    found = books(*stale, made(VAE_BN), made(VAE_BN_WU))
    assert not found.difference(VAE_BN_WU, VAE_BN, "L1_test").known
    null = [made(LVAE, seed=s, L1_test=v, LK_test=v if s < 3 else None) for s, v in values]
    parts = books(*null).spread(run_of(LVAE, PAPER), lambda r: r.final["L1_test"])
    assert [df for _, df, _ in parts] == [1]


def test_a_bound_beside_a_printed_one_is_judged_from_three_seeds_on():
    """Whatever spread others could lend."""
    lenders = [made(VAE_BN, seed=s, LK_test=-84.0 + s / 10) for s in (1, 2, 3)]
    for seeds, verdict in ((1, "one seed"), (2, "one seed"), (3, "holds")):
        ours = [made(LVAE, seed=s, LK_test=-82.0 + s / 100) for s in range(1, seeds + 1)]
        found = books(*lenders, *ours)
        assert claim_result(CLAIMS["mnist/lvae_about_vgp"], found).verdict == verdict


def test_bounds_on_two_versions_of_the_data_are_not_compared():
    cells = CLAIMS[order := "omniglot/order_of_variants"].cells
    versions = ("published", *("rebuilt" for _ in cells[1:]))
    each = [
        replace(r, env=r.env | {"data": {"version": v}})
        for r, v in zip(map(made, cells), versions, strict=True)
    ]
    result = claim_result(CLAIMS[order], books(*each))
    assert result.verdict == "not run"
    assert result.evidence.startswith(
        f"data that cannot be compared: published in {each[0].run.id}"
    )


@pytest.mark.parametrize(
    ("images", "said"), [(10_000, "from the draws of L_K, on 10000 images"), (9, "from one draw")]
)
def test_gains_by_layer_show_what_they_test(images, said):
    """One draw of all images where the draws of L_K are of unlike numbers of them."""
    sharp = {"L1": np.full(IMAGES, -90.0), "L1_of_LK": np.full(IMAGES, -89.0)}
    each = [
        made(c, L1_of_LK=-89.0, LK_images=images if c.depth == 3 else 10_000, **of_images(**sharp))
        for c in LVAE_BY_DEPTH
    ]
    evidence = claim_result(CLAIMS["mnist/lvae_gains_with_every_layer"], books(*each)).evidence
    mean = "-89.00" if images == 10_000 else "-90.00"
    shown = " / ".join([mean] * 4)
    assert f"L_1 at depths 2 to 5: {shown} ({said}" in evidence


def test_a_copy_that_was_scored_again_is_still_no_training_of_its_own():
    """Scoring rounds otherwise on another machine, and may add what the first one lacks."""
    first = made(LVAE)
    again = made(Cell("mnist", "lvae_bn_wu@again2", 5), L1_test=-90.5 - 1e-9, AIS_test=-84.6)
    found = books(first, replace(again, sums=first.sums), made(VAE_BN_WU))
    assert not found.difference(LVAE, VAE_BN_WU, "L1_test").known
    evidence = found.of(LVAE)
    assert evidence.ids == (first.run.id,)
    assert evidence.notes == (f"equal to a replicate to the last bit, not counted: {again.run.id}",)


def test_ladder_networks_lend_one_another_no_spread_and_err_on_the_same_images() -> None:
    full, gamma = (ladder.cell(variant) for variant in ("full", "gamma"))
    three = [made(full, seed=s, error_percent=1 + s / 10, error_se=0.1) for s in (1, 2, 3)]
    one = made(gamma, error_percent=1.7, error_se=0.1)
    assert not books(*three, one).difference(gamma, full, "error_percent").known
    assert images_error([one], three, "error_percent") == pytest.approx(0.1 * math.sqrt(2))


def test_what_else_a_record_says_takes_no_error_from_a_claim() -> None:
    def lead(**final: Any) -> bool:
        each = {seed: {"L1": np.full(IMAGES, -89.0 + seed)} for seed in (1, 2, 3)}
        lenders = (made(VAE_BN, seed=s, arrays={"per_image": x}) for s, x in each.items())
        found = books(*lenders, made(VAE_BN_WU, **final), made(LVAE))
        read, _ = per_image_l1(found, [LVAE, VAE_BN_WU])
        return combined(found, {LVAE: 1.0, VAE_BN_WU: -1.0}, read).known

    assert lead()
    assert lead(AIS_test=-84.6, AIS_images=100)


def test_a_spread_that_the_other_side_borrows_is_one_variance_and_images_are_paired() -> None:
    def three(cell: Cell) -> Iterator[Record]:
        return (made(cell, seed=seed, L1_test=-89.0 + seed) for seed in (1, 2, 3))

    lead = books(*three(VAE_BN), made(LVAE)).difference(LVAE, VAE_BN, "L1_test")
    assert (lead.error, lead.df) == (pytest.approx(math.sqrt(1 + 1 / 3)), 2)
    both = books(*three(VAE_BN), *three(LVAE), made(VAE_BN_WU))
    # 1 / 3 + 1 / 2 from the LVAE's trainings, 1 / 2 from those of VAE+BN.
    df = (4 / 3) ** 2 / ((5 / 6) ** 2 / 2 + (1 / 2) ** 2 / 2)
    assert both.difference(LVAE, VAE_BN_WU, "L1_test").df == pytest.approx(df)


@pytest.mark.parametrize(
    ("cell", "seed"), [(LVAE, 4), (VAE_BN, 1)], ids=["a seed", "a cell that is not needed"]
)
def test_a_claim_that_would_hold_without_a_lost_run_is_undecided(cell: Cell, seed: int) -> None:
    counted = [
        made(c, seed=s, L1_test=level + s / 100)
        for c, level in ((LVAE, -85.0), (BEST_VAE, -88.0))
        for s in (1, 2, 3)
    ]
    claim = CLAIMS["mnist/lvae_beats_best_vae_on_l1"]
    assert claim_result(claim, books(*counted)).verdict == "holds"
    lost = made(cell, seed=seed, state="diverged", diverged_at=7, L1_test=None, LK_test=None)
    assert claim_result(claim, books(*counted, lost)).verdict == "undecided"


def test_the_best_vae_is_sought_among_those_that_ran() -> None:
    claim = "mnist/lvae_beats_best_vae_on_l1"
    result = judged(claim, {LVAE: l1(-85.2), BEST_VAE: l1(-87.5), VAE: l1(-89.0)})
    assert result.verdict == "holds"
    assert "best of 2 of 15 others -87.50 (VAE+BN+WU of depth 3)" in result.evidence


def test_own_iwae_runs_are_named_and_not_compared() -> None:
    world: World = {LVAE: lk(-82.1), iwae_cell("iwae_k50"): lk(-81.0)}
    result = judged("mnist/lvae_above_flows_and_iwae", world)
    assert result.verdict == "holds"
    assert "our own IWAE, IW=50: -81.00, on byte/255 and so not compared" in result.evidence


def of_images(**arrays: Any) -> Changes:
    """Arrays of each image beside, or instead of, the unremarkable ones."""
    plain = {"L1": np.full(IMAGES, -90.5), "LK": np.full(IMAGES, -87.0)}
    return {"arrays": {"per_image": {**plain, **arrays}}}


TIGHTER, EVERY_LAYER = "mnist/lvae_bound_is_tighter", "mnist/lvae_gains_with_every_layer"
BEATS, ABOVE = "mnist/lvae_beats_best_vae_on_lk", "mnist/lvae_above_flows_and_iwae"
INFINITE = of_images(LK=np.array([-math.inf, *[-87.0] * (IMAGES - 1)]))
NO_WEIGHT = {"effective": np.ones(IMAGES, np.float16), "largest": np.ones(IMAGES, np.float16)}


@pytest.mark.parametrize(
    ("claim", "changes", "verdict", "words"),
    [
        (TIGHTER, {"K": 1}, "not run", "L_K of K = 1 is no more than L_1"),
        (TIGHTER, INFINITE, "not run", "no finite number: gap of VAE+BN+WU less that"),
        (TIGHTER, of_images(LK=np.array([-87.0])), "not run", "no finite number: gap of"),
        (TIGHTER, of_images(LK=np.array([])), "not run", "no finite number: gap of"),
        (TIGHTER, of_images(**NO_WEIGHT), "fails", "L_K - L_1: VAE+BN+WU 3.50"),
        (EVERY_LAYER, of_images(L1=np.full(3, -90.5)), "fails", "(from one draw an image)"),
        (BEATS, {"LK_test": None}, "not run", "no finite bound, not counted: mnist-"),
        (BEATS, INFINITE, "not run", "no finite number: LVAE+BN+WU of depth 5 above"),
        (ABOVE, {"LK_jackknife_error": None}, "fails", "L_K -87.00"),
        (ABOVE, {"K": 500}, "reduced protocol", "not met at this budget: L_K -87.00"),
        ("mnist/lvae_uses_all_layers", {"kl_layers": [None] * 5}, "not run", "no finite kl_layers"),
        (
            "mnist/classes_cluster_in_top_lvae_layer",
            {"probe": None},
            "not run",
            "mnist-lvae_bn_wu-L5-s3: `repro evaluate` measures it",
        ),
    ],
)
def test_what_a_record_lacks_is_said(claim, changes, verdict, words):
    result = judged(claim, dict.fromkeys(CLAIMS[claim].cells, lambda d: changes))
    assert (result.verdict, words in result.evidence) == (verdict, True), result.evidence


@pytest.mark.parametrize("changes", [{"K": 500}, {"LK_images": 1000}])
def test_bounds_of_unlike_scorings_are_not_compared(changes: Changes) -> None:
    world: World = {LVAE: lk(-82.1), BEST_VAE: lambda d: {"LK_test": -83.0, **changes}}
    result = judged(BEATS, world)
    assert result.verdict == "not run"
    assert result.evidence.startswith("bounds that cannot be compared: L_")


def test_images_that_only_one_record_has_are_not_paired() -> None:
    world: World = {VAE_BN_WU: gap(4.7), LVAE: lambda d: of_images()}
    assert judged(TIGHTER, world).verdict == "holds"


def test_a_sum_over_cells_pairs_their_images() -> None:
    rng = np.random.default_rng(3)
    a, noise = 5 * rng.standard_normal(IMAGES), rng.standard_normal(IMAGES)
    found = books(made(VAE, **of_images(L1=a)), made(LVAE, **of_images(L1=a + noise)))
    read, how = per_image_l1(found, (VAE, LVAE))
    d = combined(found, {LVAE: 2, VAE: -2}, read)
    assert (d.mean, d.df) == (pytest.approx(2 * noise.mean()), 0)
    assert d.var == pytest.approx(4 * noise.var(ddof=1) / IMAGES)
    assert how == "from one draw an image"


@pytest.mark.parametrize(("other", "expected"), [(-85.0, -85.0), (None, -90.5)])
def test_l_1_is_of_all_draws_where_every_record_has_it(other, expected):
    sharp = of_images(L1_of_LK=np.full(3, -85.0))
    found = books(made(VAE, L1_of_LK=-85.0, **sharp), made(LVAE, L1_of_LK=other, **sharp))
    read, _ = per_image_l1(found, (VAE, LVAE))
    assert float(read(found.of(VAE).done[0]).mean()) == expected


def test_the_gap_of_bounds_takes_both_from_the_same_draws() -> None:
    record = made(LVAE, **of_images(L1_of_LK=np.full(IMAGES, -89.0)))
    assert measures.gap_of_bounds(record) == pytest.approx(np.full(IMAGES, 2.0))


@pytest.mark.parametrize(
    ("first", "mean", "error", "seeds"),
    [(1, 0.3, 0.1 / math.sqrt(3), 3), (2, 1.35, 0.05, 2), (4, 0.3, math.nan, 3)],
)
def test_gains_are_seed_by_seed_over_the_same_start(first, mean, error, seeds):
    """Where no seed is shared, no error is known; the words are of what is tested."""
    before = [made(TUNED, seed=1 + i, LK_test=v) for i, v in enumerate((-82.0, -83.0, -84.0))]
    after = [
        made(TUNED_IW10, seed=first + i, LK_test=v) for i, v in enumerate((-81.6, -82.7, -83.8))
    ]
    found = books(*before, *after)
    g = gain(found, TUNED_IW10, TUNED, "LK_test")
    assert (g.mean, g.error) == (pytest.approx(mean), pytest.approx(error, nan_ok=True))
    result = claim_result(CLAIMS["mnist/more_samples_help_fine_tuning"], found)
    assert result.seeds == seeds
    assert ("fine-tuned -83.50, with 10 x 10 samples -82.15" in result.evidence) == (first == 2)


def test_a_contrast_has_every_error_that_is_known() -> None:
    of_images = np.resize([0.0, 1.0], 8)
    over = np.var(of_images, ddof=1) / 8
    one = books(made(LVAE, L1_se=0.3, LK_jackknife_error=0.05))
    assert train_test_gap(one, LVAE).var == pytest.approx(0.3**2)
    beside = beside_printed(one, LVAE, -82.0)
    assert beside.var == pytest.approx(0.05**2 + 2 * BINARISATION_NATS**2)
    arrays = {"per_image": {"LK": of_images, "L1": of_images}}
    two = books(made(TUNED), made(TUNED_IW10, arrays=arrays))
    assert gain(two, TUNED_IW10, TUNED, "LK_test").var == pytest.approx(over)


def test_a_borrowed_spread_is_pooled_by_degrees_of_freedom() -> None:
    """Three trainings of one Run of variance 1, five of another of variance 4."""
    small = [made(VAE_BN, seed=s, L1_test=v) for s, v in enumerate((-91.0, -90.0, -89.0), 1)]
    values = (-90.0, -90.0, -90.0, -90.0 - 20**0.5, -90.0)
    large = [made(VAE_BN_WU, seed=s, L1_test=v) for s, v in enumerate(values, 1)]
    found = books(made(LVAE), *small, *large)
    parts = found.spread(run_of(LVAE, PAPER), lambda r: float(r.final["L1_test"]))
    assert [(var, df) for var, df, _ in parts] == [
        (pytest.approx(1 * 2 / 6), 2),
        (pytest.approx(4 * 4 / 6), 4),
    ]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda r: measures.active_at(r, 90).sum(), 50),
        (lambda r: measures.active_at(r).sum(), 20),
        (lambda r: measures.rise_since(0.5, r), 2.0),
        (measures.train_test_gap, 0.5),
        (lambda r: measures.shares_of_kl(r)[0], 0.75),
    ],
)
def test_measures_of_one_record(read: Callable[[Any], float], expected: float) -> None:
    test = np.zeros((2, 124))
    test[0, :50], test[1, :20] = 1.0, 1.0
    arrays = {"kl_units": {"epochs": np.array([100, 2000]), "test": test}}
    bounds = [-80.0, -92.5, -90.5]  # the first is of warm-up, and does not count
    table = pd.DataFrame({"epoch": [999, 900, 2000], "beta": [0.5, 1, 1], "L1_test": bounds})
    kl = [3.0, 1.0, -0.5, 0.0, 0.0]
    record = made(LVAE, arrays=arrays, kl_layers=kl, curve=table)
    assert float(read(record)) == pytest.approx(expected)
