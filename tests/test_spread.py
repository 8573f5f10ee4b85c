"""Errors of differences of models: the spread over trainings, borrowed or not, and over images."""

import math
from dataclasses import replace

import numpy as np
import pytest
from check_records import IMAGES, USES_ALL, Unwritten, made, of_images, otherwise, several

from repro.judge.claims import CLAIMS, claim
from repro.judge.claims.bounds import TUNED, TUNED_IW10
from repro.judge.claims.claim import LVAE, VAE, VAE_BN, VAE_BN_WU, per_image_l1
from repro.judge.evidence import Books
from repro.judge.over_images import images_error
from repro.judge.targets.target import BINARISATION_NATS
from repro.judge.verdicts import claim_result
from repro.plan.experiments import ladder
from repro.plan.experiments.ablations import cell
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import PROFILES, run_of

PAPER = PROFILES["paper"]
THREE = (-88.0, -87.0, -86.0)  # of variance 1
AGAIN = [Cell("mnist", f"lvae_bn_wu{n}", 5) for n in ("", "@again2", "@again3")]


def books(*records: Unwritten) -> Books:
    return Books(records, PAPER)


def seeds(cell: Cell, *values: float) -> list[Unwritten]:
    return several(cell, *(values or THREE), name="L1_test")


def replicates(*values: float) -> list[Unwritten]:
    return [made(cell, L1_test=v) for cell, v in zip(AGAIN, values, strict=False)]


def copy() -> list[Unwritten]:
    """Of one training, scored again where rounding is otherwise, with what the first one lacks."""
    first, again = made(LVAE), made(AGAIN[1], L1_test=-90.5 - 1e-9, AIS_test=-84.6)
    return [first, replace(again, sums=first.sums)]


STALE = [made(VAE_BN, run=otherwise(r.run), L1_test=r.final["L1_test"]) for r in seeds(VAE_BN)]
LENT = {  # records, whether a spread is known, which replicates are no training of their own
    "nobody": ([made(LVAE)], False, ()),
    "as deep": ([made(LVAE), *seeds(VAE_BN)], True, ()),
    "shallower": ([made(LVAE), *seeds(Cell("mnist", "vae_bn", 1))], False, ()),
    "other data": ([made(LVAE), *seeds(Cell("omniglot", "vae_bn", 5))], False, ()),
    "another configuration": ([made(LVAE), *STALE], False, ()),
    "replicates": (replicates(-89.0, -89.1, -89.0), True, (3,)),
    "equal replicates": (replicates(-89.0, -89.0, -89.0), False, (2, 3)),
    "a copy": (copy(), False, (2,)),
    "tuned": ([made(LVAE), *seeds(TUNED)], False, ()),  # from one training, or from three that lend
    "scored otherwise": ([made(LVAE), *seeds(cell("batch_stats"))], False, ()),
}


@pytest.mark.parametrize(("records", "known", "equal"), LENT.values(), ids=LENT)
def test_trainings_that_count_lend_their_spread_to_models_like_them(records, known, equal):
    found = books(*records, made(VAE_BN_WU))
    assert found.difference(LVAE, VAE_BN_WU, "L1_test").known == known
    left_out = [note for note in found.of(LVAE).notes if "not counted" in note]
    why = "equal to a replicate to the last bit, not counted: mnist-lvae_bn_wu@again{}-L5-s1"
    assert left_out == [why.format(n) for n in equal]


def test_other_trainings_lend_their_spread_where_they_hold_the_same() -> None:
    lenders = seeds(VAE_BN)
    for record in lenders:
        del record.final["LK_test"]
    found = books(*lenders, made(VAE_BN_WU), made(LVAE, LK_test=-82.0))
    # Layers of another model say nothing of these.
    assert claim_result(CLAIMS[USES_ALL], found).verdict == "one seed"
    lent = found.difference(LVAE, VAE_BN_WU, "L1_test")
    assert (lent.error, lent.df) == (pytest.approx(math.sqrt(2)), 2)  # one variance, twice
    assert not found.difference(LVAE, VAE_BN_WU, "LK_test").known


def test_ladder_networks_lend_one_another_no_spread_and_err_on_the_same_images() -> None:
    full, gamma = (ladder.cell(variant) for variant in ("full", "gamma"))
    three = several(full, 1.1, 1.2, 1.3, name="error_percent", error_se=0.1)
    one = several(gamma, 1.7, name="error_percent", error_se=0.1)
    assert not books(*three, *one).difference(gamma, full, "error_percent").known
    assert images_error(one, three, "error_percent") == pytest.approx(0.1 * math.sqrt(2))


def test_a_borrowed_spread_is_pooled_by_degrees_of_freedom() -> None:
    """Variance 1 of three trainings, 4 of five; of three with a null bound among them two count."""
    large = seeds(VAE_BN_WU, -90.0, -90.0, -90.0, -90.0 - 20**0.5, -90.0)
    found = books(made(LVAE), *seeds(VAE_BN), *large)
    parts = found.spread(run_of(LVAE, PAPER), lambda r: float(r.final["L1_test"]))
    expected = [(pytest.approx(1 * 2 / 6), 2), (pytest.approx(4 * 4 / 6), 4)]
    assert [(var, df) for var, df, _ in parts] == expected
    null = books(*seeds(LVAE, -88.0, -87.0), made(LVAE, seed=3, LK_test=None))
    parts = null.spread(run_of(LVAE, PAPER), lambda r: r.final["L1_test"])
    assert [df for _, df, _ in parts] == [1]


def test_a_spread_that_the_other_side_borrows_is_one_variance_and_images_are_paired() -> None:
    lead = books(*seeds(VAE_BN), made(LVAE)).difference(LVAE, VAE_BN, "L1_test")
    assert (lead.error, lead.df) == (pytest.approx(math.sqrt(1 + 1 / 3)), 2)
    both = books(*seeds(VAE_BN), *seeds(LVAE), made(VAE_BN_WU))
    # 1 / 3 + 1 / 2 from the LVAE's trainings, 1 / 2 from those of VAE+BN.
    df = (4 / 3) ** 2 / ((5 / 6) ** 2 / 2 + (1 / 2) ** 2 / 2)
    assert both.difference(LVAE, VAE_BN_WU, "L1_test").df == pytest.approx(df)


@pytest.mark.parametrize("more", [{}, {"AIS_test": -84.6, "AIS_images": 100}], ids=["", "AIS"])
def test_what_else_a_record_says_takes_no_error_from_a_sum(more: dict[str, float]) -> None:
    lenders = [made(VAE_BN, seed=s, **of_images(L1=np.full(IMAGES, -89.0 + s))) for s in (1, 2)]
    found = books(*lenders, made(VAE_BN_WU, **more), made(LVAE))
    read, _ = per_image_l1(found, [LVAE, VAE_BN_WU])
    assert claim.combined(found, {LVAE: 1.0, VAE_BN_WU: -1.0}, read).known


def test_a_sum_over_cells_pairs_their_images() -> None:
    rng = np.random.default_rng(3)
    a, noise = 5 * rng.standard_normal(IMAGES), rng.standard_normal(IMAGES)
    found = books(made(VAE, **of_images(L1=a)), made(LVAE, **of_images(L1=a + noise)))
    read, how = per_image_l1(found, (VAE, LVAE))
    d = claim.combined(found, {LVAE: 2, VAE: -2}, read)
    assert (d.mean, d.df) == (pytest.approx(2 * noise.mean()), 0)
    assert d.var == pytest.approx(4 * noise.var(ddof=1) / IMAGES)
    assert how == "from one draw an image"


@pytest.mark.parametrize(("other", "expected"), [(-85.0, -85.0), (None, -90.5)])
def test_l_1_is_of_all_draws_where_every_record_has_it(other, expected):
    sharp = of_images(L1_of_LK=np.full(3, -85.0))
    found = books(made(VAE, L1_of_LK=-85.0, **sharp), made(LVAE, L1_of_LK=other, **sharp))
    read, _ = per_image_l1(found, (VAE, LVAE))
    assert float(read(found.of(VAE).done[0]).mean()) == expected


@pytest.mark.parametrize(
    ("first", "mean", "error", "counted"),
    [(1, 0.3, 0.1 / math.sqrt(3), 3), (2, 1.35, 0.05, 2), (4, 0.3, math.nan, 3)],
)
def test_gains_are_seed_by_seed_over_the_same_start(first, mean, error, counted):
    """Where no seed is shared, no error is known; the words are of what is tested."""
    before = several(TUNED, -82.0, -83.0, -84.0)
    values = enumerate((-81.6, -82.7, -83.8), first)
    found = books(*before, *(made(TUNED_IW10, seed=s, LK_test=v) for s, v in values))
    g = claim.gain(found, TUNED_IW10, TUNED, "LK_test")
    assert (g.mean, g.error) == (pytest.approx(mean), pytest.approx(error, nan_ok=True))
    result = claim_result(CLAIMS["mnist/more_samples_help_fine_tuning"], found)
    assert result.seeds == counted
    assert ("fine-tuned -83.50, with 10 x 10 samples -82.15" in result.evidence) == (first == 2)


def test_a_contrast_has_every_error_that_is_known() -> None:
    images = np.resize([0.0, 1.0], IMAGES)
    one = books(made(LVAE, L1_se=0.3, LK_jackknife_error=0.05))
    assert claim.train_test_gap(one, LVAE).var == pytest.approx(0.3**2)
    beside = claim.beside_printed(one, LVAE, -82.0)
    assert beside.var == pytest.approx(0.05**2 + 2 * BINARISATION_NATS**2)
    two = books(made(TUNED), made(TUNED_IW10, **of_images(LK=images)))
    over_images = np.var(images, ddof=1) / IMAGES
    assert claim.gain(two, TUNED_IW10, TUNED, "LK_test").var == pytest.approx(over_images)
