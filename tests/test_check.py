"""The verdicts of `repro check`, one test a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from check_records import HEADLINE, made, otherwise, said, saved, target, write
from scipy import stats

from repro.errors import RecordError
from repro.judge.check import check
from repro.judge.claims import CLAIMS
from repro.judge.claims.claim import LVAE, Claim, Contrast
from repro.judge.estimate import Estimate
from repro.judge.evidence import books
from repro.judge.targets.bounds import VAES
from repro.judge.verdicts import claim_result
from repro.plan.experiments.grid import MAX_DEPTH, Cell
from repro.plan.profiles import PROFILES, run_of
from repro.plan.run import Run
from repro.store import Store

PAPER = PROFILES["paper"]
OMNIGLOT_LVAE = Cell("omniglot", "lvae_bn_wu", MAX_DEPTH)
OMNIGLOT = "table2/omniglot/64-32-16-8-4/lvae_bn_wu"
LOST = {"state": "diverged", "diverged_at": 7, "LK_test": None, "L1_test": None}


def seeds(root: Path, *values: float, **kwargs: Any) -> None:
    for seed, value in enumerate(values, start=1):
        write(root, LVAE, seed=seed, LK_test=value, **kwargs)


def over(scale: Literal[255, 256]) -> Callable[[Run], Run]:
    return lambda run: replace(run, data=replace(run.data, grey_scale=scale))


HALF = 1.6449 * (2 * 0.085**2 + 0.02**2 / 3) ** 0.5  # of the interval where all seeds agree


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((-82.0, -82.4, -82.3), "reproduced"),
        ((-82.3,), "one seed"),
        ((-70.0, -70.0), "one seed"),  # whatever the value
        ((-82.0, -82.9, -81.4), "undecided"),  # seeds too far apart to say
        ((-82.12 + 0.5 - HALF - 0.001,) * 3, "reproduced"),
        ((-82.12 + 0.5 - HALF + 0.001,) * 3, "undecided"),
        ((-82.12 - 0.5 + HALF + 0.001,) * 3, "reproduced"),
        ((-82.12 - 0.5 + HALF - 0.001,) * 3, "undecided"),
        ((-82.12 + 0.5 + HALF + 0.001,) * 3, "different, better"),
        ((-82.12 - 0.5 - HALF - 0.001,) * 3, "different, worse"),
    ],
)
def test_a_number_is_judged_by_the_interval_of_its_difference(
    tmp_path: Path, values: tuple[float, ...], verdict: str
) -> None:
    seeds(tmp_path, *values)
    assert said(target(tmp_path)) == verdict


def test_the_interval_holds_seeds_monte_carlo_error_and_binarisation(tmp_path: Path) -> None:
    """By hand: variances 0.04 / 3 of two degrees of freedom, 0.03^2 / 3 and 2 x 0.085^2 known."""
    seeds(tmp_path, -82.0, -82.2, -82.4, LK_mc_error=0.03)
    own, known = 0.04 / 3, 0.03**2 / 3 + 2 * 0.085**2
    df = (own + known) ** 2 / (own**2 / 2)
    half = stats.t.ppf(0.95, df) * (own + known) ** 0.5
    result = target(tmp_path)
    assert result.interval == pytest.approx((-0.08 - half, -0.08 + half))
    assert (result.ours, result.sd, result.seeds) == (pytest.approx(-82.2), pytest.approx(0.2), 3)
    assert result.mc_error == pytest.approx(0.03 / 3**0.5)


def test_one_training_has_no_spread_and_l_1_no_monte_carlo_error(tmp_path: Path) -> None:
    seeds(tmp_path, -82.0)
    result = target(tmp_path)
    assert (result.interval, result.sd) == (None, None)
    assert target(tmp_path, "text/L1_test/lvae5").mc_error is None


def test_targets_of_an_empty_store_are_quoted_or_not_run(tmp_path: Path) -> None:
    results = check(Store(tmp_path), "paper").targets
    assert target(tmp_path, "table1/vae_vgp").verdict == "quoted"
    assert Counter(r.verdict for r in results) == {"quoted": 6, "not run": len(results) - 6}


@pytest.mark.parametrize("profile", ["quick", "somebody's own"])
@pytest.mark.parametrize("value", [-82.12, -99.0])
def test_nothing_of_a_reduced_or_unknown_profile_is_more_than_reduced(
    tmp_path: Path, profile: str, value: float
) -> None:
    budget = PROFILES.get(profile, PAPER)
    for seed in (1, 2, 3):
        run = run_of(LVAE, budget, seed)
        write(tmp_path, LVAE, profile, run=run, LK_test=value, L1_test=value)
    ran = {r.verdict for r in check(Store(tmp_path), profile).targets if r.runs}
    assert ran == {"reduced protocol"}


@pytest.mark.parametrize(
    ("cell", "name", "other", "profile", "verdict"),
    [
        (LVAE, HEADLINE, over(255), "paper", "other data"),
        (LVAE, HEADLINE, over(255), "quick", "other data"),
        (LVAE, HEADLINE, over(255), "somebody's own", "other data"),
        (OMNIGLOT_LVAE, OMNIGLOT, over(256), "paper", "other data"),
        (LVAE, HEADLINE, otherwise, "paper", "other configuration"),
    ],
)
def test_a_record_of_another_run_than_the_profile_s_is_no_number(
    tmp_path: Path,
    cell: Cell,
    name: str,
    other: Callable[[Run], Run],
    profile: str,
    verdict: str,
) -> None:
    run = other(run_of(cell, PROFILES.get(profile, PAPER)))
    write(tmp_path, cell, profile, run=run, LK_test=-82.12)
    result = target(tmp_path, name, profile)
    assert (result.verdict, result.ours, result.seeds) == (verdict, None, 0)
    assert result.note == f"{verdict}, not counted: {run.id}"


@pytest.mark.parametrize(
    ("other", "why"), [(over(255), "other data"), (otherwise, "other configuration")]
)
def test_a_seed_of_another_run_does_not_count_and_is_named(
    tmp_path: Path, other: Callable[[Run], Run], why: str
) -> None:
    seeds(tmp_path, -82.12)
    write(tmp_path, LVAE, run=other(run_of(LVAE, PAPER, seed=2)), LK_test=-70.0)
    result = target(tmp_path)
    assert (result.verdict, result.ours, result.seeds) == ("one seed", -82.12, 1)
    assert f"{why}, not counted: mnist-lvae_bn_wu-L5-s2" in result.note


def rebuilt(root: Path, *seeds: int, profile: str = "paper") -> None:
    """Records of the OMNIGLOT LVAE on the set rebuilt from the originals."""
    for seed in seeds:
        record = made(OMNIGLOT_LVAE, profile, seed, LK_test=-102.11, LK_images=8_115)
        saved(root, record, env={"data": {"hash": "1" * 64, "version": "rebuilt"}})


@pytest.mark.parametrize("profile", ["paper", "quick"])
def test_a_record_on_a_rebuilt_data_set_is_other_data(tmp_path: Path, profile: str) -> None:
    rebuilt(tmp_path, 1, 2, 3, profile=profile)
    result = target(tmp_path, OMNIGLOT, profile)
    assert (result.verdict, result.ours, result.seeds) == ("other data", -102.11, 3)
    assert "rebuilt data: omniglot-lvae_bn_wu-L5-s1" in result.note


def test_a_seed_on_a_rebuilt_data_set_does_not_count_beside_one_on_the_published(
    tmp_path: Path,
) -> None:
    rebuilt(tmp_path, 2)
    write(tmp_path, OMNIGLOT_LVAE, seed=1, LK_test=-102.3, LK_images=8_070)
    result = target(tmp_path, OMNIGLOT)
    assert (result.verdict, result.ours, result.seeds) == ("one seed", -102.3, 1)
    assert "other data, not counted: omniglot-lvae_bn_wu-L5-s2" in result.note


def test_a_claim_on_a_rebuilt_data_set_does_not_count_as_the_published_protocol(
    tmp_path: Path,
) -> None:
    rebuilt(tmp_path, 1, 2, 3)
    positive = Contrast("any", Estimate(1.0, 0.01))
    claim = Claim("c", "", "", "", (OMNIGLOT_LVAE,), lambda _: ([positive], "holds"))
    result = claim_result(claim, books(Store(tmp_path), "paper"))
    assert (result.verdict, result.seeds) == ("reduced protocol", 3)
    assert result.evidence.startswith("met at this budget")
    assert "on rebuilt data, not the published set" in result.evidence


@pytest.mark.parametrize(
    ("scoring", "note"),
    [({"K": 500}, "L_500 on 10000 images"), ({"LK_images": 1000}, "L_5000 on 1000 images")],
)
def test_another_scoring_of_l_k_is_reduced_protocol(
    tmp_path: Path, scoring: dict[str, int], note: str
) -> None:
    seeds(tmp_path, -82.12, **scoring)
    result = target(tmp_path)
    assert (result.verdict, result.note) == ("reduced protocol", note)


@pytest.mark.parametrize("scoring", [{"K": 500}, {"LK_images": 1000}])
def test_a_claim_on_another_scoring_of_l_k_does_not_count_either(
    tmp_path: Path, scoring: dict[str, int]
) -> None:
    seeds(tmp_path, -80.0, -80.0, -80.0, **scoring)
    claim = CLAIMS["mnist/lvae_above_flows_and_iwae"]
    result = claim_result(claim, books(Store(tmp_path), "paper"))
    assert (result.verdict, result.seeds) == ("reduced protocol", 3)


def test_a_diverged_seed_does_not_count_and_is_named(tmp_path: Path) -> None:
    seeds(tmp_path, -82.12)
    write(tmp_path, LVAE, seed=2, **LOST)
    result = target(tmp_path)
    assert (result.seeds, result.runs) == (1, ("mnist-lvae_bn_wu-L5-s1",))
    assert "diverged at epoch 7, not counted: mnist-lvae_bn_wu-L5-s2" in result.note


def test_a_number_within_the_margin_is_undecided_where_a_seed_diverged(tmp_path: Path) -> None:
    seeds(tmp_path, -82.0, -82.4, -82.3)
    assert said(target(tmp_path)) == "reproduced"
    write(tmp_path, LVAE, seed=4, **LOST)
    assert (said(target(tmp_path)), target(tmp_path).seeds) == ("undecided", 3)


@pytest.mark.parametrize(
    ("profile", "verdict"), [("paper", "different, worse"), ("quick", "reduced protocol")]
)
def test_a_cell_that_diverged_for_every_seed_is_worse(
    tmp_path: Path, profile: str, verdict: str
) -> None:
    write(tmp_path, LVAE, profile, **LOST)
    result = target(tmp_path, profile=profile)
    assert said(result) == verdict
    assert (result.ours, result.seeds, result.interval) == (None, 0, None)


def test_a_seed_without_a_bound_is_not_worse_for_one_that_diverged(tmp_path: Path) -> None:
    write(tmp_path, LVAE, seed=1, **LOST)
    write(tmp_path, LVAE, seed=2, LK_test=None)
    assert said(target(tmp_path)) == "undecided"


def test_a_run_on_another_set_that_diverged_is_other_data(tmp_path: Path) -> None:
    env = {"data": {"hash": "1" * 64, "version": "rebuilt"}}
    saved(tmp_path, made(OMNIGLOT_LVAE, **LOST), env=env)
    assert said(target(tmp_path, OMNIGLOT)) == "other data"


def test_the_best_vae_is_the_best_cell_once_all_have_run(tmp_path: Path) -> None:
    best, name = Cell("mnist", "vae_bn", 4), "text/L5000_test/vae_best"
    for cell in VAES[:-1]:
        write(tmp_path, cell, LK_test=-82.8 if cell == best else -84.0)
    result = target(tmp_path, name)
    assert (result.verdict, result.ours) == ("not run", None)
    assert result.note == "14 of 15 cells have run"
    write(tmp_path, VAES[-1], LK_test=-84.0)
    result = target(tmp_path, name)
    assert (result.verdict, result.runs) == ("one seed", ("mnist-vae_bn-L4-s1",))


def test_a_record_without_its_metric_is_refused(tmp_path: Path) -> None:
    write(tmp_path, LVAE, LK_test="-82")
    with pytest.raises(RecordError, match="LK_test is '-82'"):
        check(Store(tmp_path), "paper")
