"""The verdicts of `repro check` on published numbers, one test a rule."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_records import LOST, made, of_images, otherwise, rescaled, said, several, stored, target
from scipy import stats

from repro.judge.check import check
from repro.judge.claims import CLAIMS
from repro.judge.claims.claim import LVAE
from repro.judge.targets.bounds import TUNED, VAES
from repro.judge.verdicts import TargetResult
from repro.plan.experiments import ladder
from repro.plan.experiments.grid import MAX_DEPTH, Cell, cell_of
from repro.plan.profiles import PROFILES, run_of
from repro.store import Record, Store

PAPER = PROFILES["paper"]
OMNIGLOT_LVAE = Cell("omniglot", "lvae_bn_wu", MAX_DEPTH)
FULL, GAMMA = ladder.cell("full"), ladder.cell("gamma", 1000)
NAMES = {  # of what is judged where a cell's records come first
    LVAE: "table1/lvae5",  # published: -82.12
    TUNED: "table1/gain/ft",  # 0.28
    OMNIGLOT_LVAE: "table2/omniglot/64-32-16-8-4/lvae_bn_wu",
    FULL: "ladder/full/100",
    GAMMA: "ladder/gamma/1000",
}
STARTS = (-82.0, -83.0, -84.0)  # of fine-tuning, a nat apart


def judged(root: Path, records: list[Record]) -> TargetResult:
    stored(root, *records)
    first = records[0]
    return target(root, NAMES[cell_of(first.run)], first.profile)


def bounds(*values: float, **final: Any) -> list[Record]:
    return several(LVAE, *values, **final)


def gained(*gains: float, **final: Any) -> list[Record]:
    """Runs fine-tuned from three Runs of the LVAE, then these."""
    after = (start + gain for start, gain in zip(STARTS, gains, strict=False))
    return [*several(TUNED, *after, **final), *bounds(*STARTS)]


def erred(*errors: float, cell: Cell = FULL) -> list[Record]:
    return several(cell, *errors, name="error_percent", error_se=0.1)


HALF = 1.6449 * (2 * 0.085**2 + 0.02**2 / 3) ** 0.5  # of the interval where all seeds agree


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        (bounds(-82.0, -82.4, -82.3), "reproduced"),
        (bounds(-82.3), "one seed"),
        (bounds(-70.0, -70.0), "one seed"),  # whatever the value
        (bounds(-82.0, -82.9, -81.4), "undecided"),  # seeds too far apart to say
        (bounds(*[-82.12 + 0.5 - HALF - 0.001] * 3), "reproduced"),
        (bounds(*[-82.12 + 0.5 - HALF + 0.001] * 3), "undecided"),
        (bounds(*[-82.12 - 0.5 + HALF + 0.001] * 3), "reproduced"),
        (bounds(*[-82.12 - 0.5 + HALF - 0.001] * 3), "undecided"),
        (bounds(*[-82.12 + 0.5 + HALF + 0.001] * 3), "different, better"),
        (bounds(*[-82.12 - 0.5 - HALF - 0.001] * 3), "different, worse"),
        (gained(0.27, 0.28, 0.30), "reproduced"),
        (gained(0.27), "one seed"),
        (gained(0.0, 0.3, 0.6), "undecided"),
        (gained(0.0, 0.01, -0.01), "different, worse"),
        (gained(1.0, 1.01, 0.99), "different, better"),
        (erred(1.0, 1.1, 1.3), "reproduced"),
        (erred(9.9, 9.9), "one seed"),
        (erred(1.3, 1.4, 1.5), "undecided"),
        (erred(1.9, 2.0, 2.1), "different, worse"),
        (erred(0.1, 0.15, 0.2), "different, better"),
    ],
)
def test_a_number_is_judged_by_the_interval_of_its_difference(tmp_path, records, verdict):
    assert said(judged(tmp_path, records)) == verdict


def test_the_interval_holds_seeds_monte_carlo_error_and_binarisation(tmp_path: Path) -> None:
    """By hand: variances 0.04 / 3 of two degrees of freedom, 0.03^2 / 3 and 2 x 0.085^2 known."""
    alone = judged(tmp_path, bounds(-82.0))  # a single sample and L_1 show no Monte-Carlo error
    assert (alone.interval, alone.sd) == (None, None)
    assert target(tmp_path, "text/L1_test/lvae5").mc_error is None
    assert judged(tmp_path, bounds(-82.0, K=1, LK_mc_error=0.0)).mc_error is None
    result = judged(tmp_path, bounds(-82.0, -82.2, -82.4, LK_mc_error=0.03))
    own, known = 0.04 / 3, 0.03**2 / 3 + 2 * 0.085**2
    df = (own + known) ** 2 / (own**2 / 2)
    half = stats.t.ppf(0.95, df) * (own + known) ** 0.5
    assert result.interval == pytest.approx((-0.08 - half, -0.08 + half))
    assert (result.ours, result.sd, result.seeds) == (pytest.approx(-82.2), pytest.approx(0.2), 3)
    assert result.mc_error == pytest.approx(0.03 / 3**0.5)


def test_a_gain_is_of_each_seed_and_has_its_error_over_images_too(tmp_path: Path) -> None:
    gains, images = (0.27, 0.28, 0.30), np.resize([0.0, 1.0], 8).astype(np.float32)
    result = judged(tmp_path, gained(*gains))
    assert result.ours == pytest.approx(np.mean(gains))
    assert result.sd == pytest.approx(np.std(gains, ddof=1))
    low, high = result.interval
    wide_low, wide_high = judged(tmp_path, gained(*gains, **of_images(LK=images))).interval
    assert wide_high - wide_low > 5 * (high - low)


def test_the_published_spread_over_ten_seeds_widens_the_interval(tmp_path: Path) -> None:
    """By Welch, as of two samples; of the Gamma model with 1,000 labels none is printed."""
    ours = (1.0, 1.1, 1.3)
    theirs = 1.06 + 0.37 * stats.zscore(np.arange(10.0), ddof=1)  # ten values of that spread
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    found = judged(tmp_path, erred(*ours)).interval
    assert found == pytest.approx(tuple(welch.confidence_interval(0.90)))
    alone = judged(tmp_path, erred(1.5, 1.6, 1.7, cell=GAMMA))
    half = stats.t.ppf(0.95, 2) * 0.1 / 3**0.5  # around 1.53, the published mean
    assert alone.interval == pytest.approx((1.6 - 1.53 - half, 1.6 - 1.53 + half))


def test_of_an_empty_store_numbers_are_quoted_or_not_run_and_no_claim_is(tmp_path: Path) -> None:
    report = check(Store(tmp_path), "paper")
    assert target(tmp_path, "table1/vae_vgp").verdict == "quoted"
    left = len(report.targets) - 6
    assert Counter(r.verdict for r in report.targets) == {"quoted": 6, "not run": left}
    assert [(r.claim.id, r.verdict) for r in report.claims] == [(c, "not run") for c in CLAIMS]


@pytest.mark.parametrize("profile", ["quick", "somebody's own"])
@pytest.mark.parametrize("value", [-82.12, -99.0])
def test_nothing_of_a_reduced_or_unknown_profile_is_more_than_reduced(tmp_path, profile, value):
    budget = PROFILES.get(profile, PAPER)
    runs = [run_of(LVAE, budget, seed) for seed in (1, 2, 3)]
    bounds = {"LK_test": value, "L1_test": value}
    store = stored(tmp_path, *(made(LVAE, profile, run=run, **bounds) for run in runs))
    ran = {r.verdict for r in check(store, profile).targets if r.runs}
    assert ran == {"reduced protocol"}


def lvae(seed: int = 1, change: Any = None, profile: str = "paper", **final: Any) -> Record:
    """A record of the 5-layer LVAE, of another Run than the profile's if changed."""
    run = run_of(LVAE, PROFILES.get(profile, PAPER), seed)
    run = change(run) if change else run
    return made(LVAE, profile, run=run, **{"LK_test": -82.12, **final})


def omniglot(seed: int = 1, profile: str = "paper", **final: Any) -> Record:
    return made(OMNIGLOT_LVAE, profile, seed, **{"LK_test": -102.11, "LK_images": 8_115, **final})


def rebuilt(*given: Any, **final: Any) -> Record:
    """The same on the set rebuilt from the originals."""
    env = {"data": {"hash": "1" * 64, "version": "rebuilt"}}
    return replace(omniglot(*given, **final), env=env)


SHARES = replace(omniglot(), run=rescaled(run_of(OMNIGLOT_LVAE, PAPER)))
SEEDS = (1, 2, 3)
AGREE = bounds(-82.0, -82.4, -82.3)
GAINED = gained(0.28, 0.28, 0.28)
GAINED_MORE = made(TUNED, seed=4, LK_test=-70.0)
QUICKLY = [rebuilt(seed, "quick") for seed in SEEDS]
DATA, CONFIGURATION, EPOCH = "other data", "other configuration", "diverged at epoch 7"
NULL, REDUCED = "no finite bound", "reduced protocol"
S1, S2, S4 = (f"not counted: mnist-lvae_bn_wu-L5-s{seed}" for seed in (1, 2, 4))
O1, O2 = (f"not counted: omniglot-lvae_bn_wu-L5-s{seed}" for seed in (1, 2))
T4 = "not counted: mnist-lvae_bn_wu_ft-L5-s4"
REBUILT = f"{DATA}, {O2}"
BOTH = f"{REBUILT}; {EPOCH}, {O1}"
VERSION = f"rebuilt data: {', '.join(f'omniglot-lvae_bn_wu-L5-s{seed}' for seed in SEEDS)}"
# Records, how many of them count, the first; the verdict, our number and what is noted.
COUNTED: list[tuple[list[Record], int, str, float | None, str]] = [
    ([lvae(1, rescaled)], 0, DATA, None, f"{DATA}, {S1}"),
    ([lvae(1, rescaled, "quick")], 0, DATA, None, f"{DATA}, {S1}"),
    ([lvae(1, rescaled, "somebody's own")], 0, DATA, None, f"{DATA}, {S1}"),
    ([SHARES], 0, DATA, None, f"{DATA}, {O1}"),
    ([lvae(1, otherwise)], 0, CONFIGURATION, None, f"{CONFIGURATION}, {S1}"),
    ([lvae(), lvae(2, rescaled)], 1, "one seed", -82.12, f"{DATA}, {S2}"),
    ([lvae(), lvae(2, otherwise)], 1, "one seed", -82.12, f"{CONFIGURATION}, {S2}"),
    ([lvae(), lvae(2, **LOST)], 1, "one seed", -82.12, f"{EPOCH}, {S2}"),
    ([*AGREE, lvae(4, **LOST)], 3, "undecided", -246.7 / 3, f"{EPOCH}, {S4}"),
    ([*AGREE, lvae(4, LK_test=None)], 3, "undecided", -246.7 / 3, f"{NULL}, {S4}"),
    ([lvae(**LOST)], 0, "different, worse", None, f"{EPOCH}, {S1}"),
    ([lvae(profile="quick", **LOST)], 0, REDUCED, None, f"{EPOCH}, {S1}"),
    ([lvae(**LOST), lvae(2, LK_test=None)], 0, "undecided", None, f"{NULL}, {S2}; {EPOCH}, {S1}"),
    ([lvae(K=500)], 1, REDUCED, -82.12, "L_500 on 10000 images"),
    ([lvae(LK_images=1000)], 1, REDUCED, -82.12, "L_5000 on 1000 images"),
    ([rebuilt(**LOST)], 0, DATA, None, f"{EPOCH}, {O1}"),
    ([omniglot(1, "quick", **LOST), rebuilt(2, "quick")], 0, REDUCED, None, BOTH),
    ([*map(rebuilt, SEEDS)], 3, DATA, -102.11, f"L_5000 on 8115 images; {VERSION}"),
    (QUICKLY, 3, DATA, -102.11, f"L_500 on 8115 images; {VERSION}"),
    ([omniglot(LK_test=-102.3, LK_images=8_070), rebuilt(2)], 1, "one seed", -102.3, REBUILT),
    # Of seeds that have the Run they start from.
    ([*GAINED, GAINED_MORE], 3, "reproduced", 0.28, ""),
    ([*GAINED, made(TUNED, seed=4, **LOST)], 3, "undecided", 0.28, f"{EPOCH}, {T4}"),
    ([*GAINED, lvae(4, **LOST)], 3, "undecided", 0.28, f"{EPOCH}, {S4}"),
    ([*GAINED[:3], *bounds(*STARTS, K=500)], 3, REDUCED, 0.28, "L_500 on 10000 images"),
    ([GAINED_MORE], 0, "not run", None, "no Run that it starts from, of the same seed"),
]


@pytest.mark.parametrize(("records", "counted", "verdict", "ours", "note"), COUNTED)
def test_what_does_not_count_is_only_named(tmp_path, records, counted, verdict, ours, note):
    result = judged(tmp_path, records)
    assert (said(result), result.note) == (verdict, note)
    assert result.ours == (ours and pytest.approx(ours))
    assert result.runs == tuple(r.run.id for r in records[:counted])
    assert (result.seeds, result.interval is None) == (counted, counted < 3)


def test_the_best_vae_is_the_best_cell_once_all_have_run(tmp_path: Path) -> None:
    best, name = Cell("mnist", "vae_bn", 4), "text/L5000_test/vae_best"
    *cells, last = VAES
    stored(tmp_path, *(made(c, LK_test=-82.8 if c == best else -84.0) for c in cells))
    result = target(tmp_path, name)
    assert (result.verdict, result.ours) == ("not run", None)
    assert result.note == "14 of 15 cells have run"
    stored(tmp_path, made(last, LK_test=-84.0))
    result = target(tmp_path, name)
    assert (result.verdict, result.runs) == ("one seed", ("mnist-vae_bn-L4-s1",))
    for c in VAES:
        stored(tmp_path, *(made(c, seed=s, LK_test=-82.8 if c == best else -84.0) for s in (2, 3)))
    assert said(target(tmp_path, name)) == "reproduced"
    stored(tmp_path, made(last, seed=4, **LOST))
    assert said(target(tmp_path, name)) == "undecided"
