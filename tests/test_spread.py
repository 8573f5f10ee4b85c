"""Numbers read off a record, and errors of differences of models: over trainings and images."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from check_records import IMAGES, USES_ALL, Unwritten, made, of_images, otherwise, several

from repro.errors import RecordError
from repro.judge import measures
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
from repro.store import Record

PLAIN = made(VAE)
NO_EPOCH = pd.DataFrame({"epoch": [1], "beta": [1.0], "L1_test": [np.nan]})
REMEDY = "; of a Run in runs/, `repro evaluate mnist-vae-L5-s1 --profile paper` makes it anew"
HALF_WAY = partial(measures.rise_since, 0.5)


@pytest.mark.parametrize(
    ("changes", "read", "said"),
    [
        ({"L1_test": None}, measures.train_test_gap, "final.json: L1_test is None"),
        ({"L1_test": "high"}, measures.train_test_gap, "final.json: L1_test is 'high'"),
        ({"L1_test": True}, measures.train_test_gap, "final.json: L1_test is True"),
        (
            {"arrays": {"per_image": {"L1": 0}}},
            measures.gap_of_bounds,
            "per_image.npz: holds no LK",
        ),
        ({"kl_layers": [1.0]}, measures.kl_layers, "final.json: kl_layers is [1.0], not o"),
        ({"curve": NO_EPOCH}, HALF_WAY, "curve.csv: holds no evaluated epoch"),
    ],
)
def test_what_is_missing_or_is_no_number_is_named_with_its_remedy(changes, read, said):
    with pytest.raises(RecordError) as caught:
        read(made(VAE, **changes))
    assert str(caught.value).startswith(f"mnist-vae-L5-s1/{said}")
    assert str(caught.value).endswith(REMEDY)


def test_measures_of_one_record() -> None:
    test = np.zeros((2, 124))
    test[0, :50], test[1, :20] = 1.0, 1.0
    arrays = {"kl_units": {"epochs": np.array([100, 2000]), "test": test}}
    bounds = [-80.0, -92.5, -90.5]  # the first is of warm-up, and does not count
    table = pd.DataFrame({"epoch": [999, 900, 2000], "beta": [0.5, 1, 1], "L1_test": bounds})
    record = made(LVAE, arrays=arrays, kl_layers=[3.0, 1.0, -0.5, 0.0, 0.0], curve=table)
    active = measures.active_at(record, 90).sum(), measures.active_at(record).sum()
    assert (active, HALF_WAY(record)) == ((50, 20), 2.0)
    assert measures.train_test_gap(record) == pytest.approx(0.5)
    assert measures.shares_of_kl(record) == pytest.approx([0.75, 0.25, 0.0, 0.0, 0.0])


def with_images(L1: object, LK: object) -> Record:
    arrays = {"L1": np.asarray(L1, np.float32), "LK": np.asarray(LK, np.float32)}
    return replace(PLAIN, held={"per_image": arrays})


@pytest.mark.parametrize("easier", [0.0, 15.0])
def test_the_error_of_the_whole_set_is_how_far_the_estimate_lies_from_the_truth(easier):
    """200 draws of 2,000 images, L_K of the first 200, which are easier by none or one sd."""
    rng, n, N = np.random.default_rng(1), 200, 2_000
    off = []
    for _ in range(200):
        l1 = rng.normal(-90, 15, N) + easier * (np.arange(N) < n)
        lk = 1.1 * l1 + 12 + rng.normal(0, 2, N)
        value, error = measures.whole_set(with_images(l1, lk[:n])) or (np.nan, np.nan)
        off.append((value - lk.mean()) / error)
    assert np.mean(np.abs(off) < 2.5) > 0.95
    assert np.sqrt(np.mean(np.square(off))) == pytest.approx(1, abs=0.15)  # 3 errors of 200 draws
    assert abs(np.mean(off)) < 3 / 200**0.5


RAMP = np.arange(-100.0, -90.0)


@pytest.mark.parametrize(
    ("L1", "LK", "expected"),
    [
        (RAMP, RAMP + 3, (-92.5, 0.0)),  # all images scored
        (RAMP, RAMP[:4], (-95.5, 0.0)),  # K = 1: L_K is L_1
        (RAMP, [-np.inf, -90, -91, -92], None),
        ([np.nan, *RAMP], [-92, -90, -91, -92], None),
        ([*RAMP, -np.inf], [-92, -90, -91, -92], None),  # of an image without L_K
        (np.full(10, -90.1), [-88, -87, -86, -85], None),
        (RAMP, [-90, -91], None),
        (RAMP, [], None),
        ([], [], None),
        (RAMP[:3], RAMP, None),  # more L_K than L_1
    ],
)
def test_the_whole_set_where_it_is_known_and_where_it_is_not(L1, LK, expected):
    found = measures.whole_set(with_images(L1, LK))
    assert found == (None if expected is None else pytest.approx(expected))


def test_l_1_beside_l_k_is_of_the_same_images_and_draws_if_there_are_any() -> None:
    assert measures.l1_beside_lk(with_images(RAMP, RAMP[:4] + 3)) == pytest.approx(-98.5)
    assert measures.l1_beside_lk(with_images(RAMP, [-np.inf] * 4)) is None
    images = {"L1": RAMP, "L1_of_LK": RAMP[:4] + 1, "LK": RAMP[:4] + 3}
    record, bare = replace(PLAIN, held={"per_image": images}), replace(PLAIN, sums={}, held={})
    assert measures.gap_of_bounds(record) == pytest.approx(np.full(4, 2.0))
    assert measures.numbers(PLAIN)["LK_whole"] == pytest.approx(-87.0)
    assert (measures.whole_set(bare), measures.l1_beside_lk(bare)) == (None, None)
    assert "LK_whole" not in measures.numbers(bare)
    single = made(VAE, K=1, LK_mc_error=0.0)  # whose Monte-Carlo error nobody knows
    assert np.isnan(measures.mc_error(single))
    assert (measures.numbers(single)["LK_mc_error"], single.final["LK_mc_error"]) == (None, 0.0)


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
