"""Numbers read off a record: what is missing or is none names its file and the remedy."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from check_records import made

from repro.errors import RecordError
from repro.judge import measures
from repro.judge.claims.claim import LVAE, VAE
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


def of_images(L1: object, LK: object) -> Record:
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
        value, error = measures.whole_set(of_images(l1, lk[:n])) or (np.nan, np.nan)
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
    found = measures.whole_set(of_images(L1, LK))
    assert found == (None if expected is None else pytest.approx(expected))


def test_l_1_beside_l_k_is_of_the_same_images_and_draws_if_there_are_any() -> None:
    assert measures.l1_beside_lk(of_images(RAMP, RAMP[:4] + 3)) == pytest.approx(-98.5)
    assert measures.l1_beside_lk(of_images(RAMP, [-np.inf] * 4)) is None
    images = {"L1": RAMP, "L1_of_LK": RAMP[:4] + 1, "LK": RAMP[:4] + 3}
    record, bare = replace(PLAIN, held={"per_image": images}), replace(PLAIN, sums={}, held={})
    assert measures.gap_of_bounds(record) == pytest.approx(np.full(4, 2.0))
    assert measures.numbers(PLAIN)["LK_whole"] == pytest.approx(-87.0)
    assert (measures.whole_set(bare), measures.l1_beside_lk(bare)) == (None, None)
    assert "LK_whole" not in measures.numbers(bare)
    single = made(VAE, K=1, LK_mc_error=0.0)  # whose Monte-Carlo error nobody knows
    assert np.isnan(measures.mc_error(single))
    assert (measures.numbers(single)["LK_mc_error"], single.final["LK_mc_error"]) == (None, 0.0)
