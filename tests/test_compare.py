"""One store against another: what counts as a regression and what is chance."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_records import made, saved, write

from repro.judge.claims.claim import LVAE, VAE
from repro.judge.compare import SEED_SD_NATS, Comparison, Difference, compare, seed_sd
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import PROFILES, run_of
from repro.store import Store
from repro.store.sealed import Arrays

CHANCE = 2**0.5 * SEED_SD_NATS["paper"]  # of two trainings, where seeds are few
ID = "mnist-lvae_bn_wu-L5-s1"


def compared(root: Path, profile: str = "paper") -> Comparison:
    return compare(Store(root / "ours"), Store(root / "reference"), profile)


def difference(root: Path, metric: str = "LK_test") -> Difference:
    return next(d for d in compared(root).differences if d.metric == metric)


def images(lk: np.ndarray, l1: np.ndarray) -> dict[str, Arrays]:
    return {"per_image": {"L1": l1, "LK": lk}}


def both(root: Path, ours: dict[str, Any], reference: dict[str, Any] | None = None) -> Comparison:
    write(root / "ours", LVAE, **ours)
    write(root / "reference", LVAE, **(reference or {}))
    return compared(root)


DIVERGED = {"state": "diverged", "diverged_at": 4, "L1_test": None, "LK_test": None}


@pytest.mark.parametrize(
    ("ours", "regressions"),
    [
        ({}, set()),
        ({"LK_test": -87.0 - 3.1 * CHANCE}, {"LK_test"}),  # more than three errors
        ({"LK_test": -87.0 - 2.9 * CHANCE}, set()),
        ({"L1_test": -80.0}, set()),  # a rise
        (DIVERGED, {"L1_test", "LK_test"}),
    ],
)
def test_a_fall_of_more_than_three_errors_is_a_regression(tmp_path, ours, regressions):
    found = both(tmp_path, ours).regressions
    assert {(d.run, d.metric) for d in found} == {(ID, name) for name in regressions}


def test_the_error_over_equal_images_is_paired(tmp_path: Path) -> None:
    spread = np.array([-60.0, -80.0, -100.0, -120.0])
    steps = np.array([1.0, -1.0, 1.0, -1.0])
    both(tmp_path, {"arrays": images(spread + steps, spread)}, {"arrays": images(spread, spread)})
    paired = float(np.std(steps, ddof=1)) / 2
    assert difference(tmp_path).error == pytest.approx(np.hypot(paired, CHANCE))


@pytest.mark.parametrize(
    "changes", [{"held": {}}, {"env": {"data": {"hash": "1" * 64}}}], ids=["none", "other source"]
)
def test_the_error_of_images_that_are_not_the_same_combines_both(tmp_path, changes):
    write(tmp_path / "reference", LVAE, L1_se=0.4)
    saved(tmp_path / "ours", made(LVAE, L1_se=0.3), **changes)
    assert difference(tmp_path, "L1_test").error == pytest.approx(np.hypot(0.5, CHANCE))


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        ({"K": 500}, "other K or images"),
        ({"LK_images": 1000}, "other K or images"),
        ({"LK_test": None}, "no finite bound"),
    ],
)
def test_l_k_of_another_scoring_or_without_a_number_is_skipped(tmp_path, ours, why):
    comparison = both(tmp_path, ours)
    assert [d.metric for d in comparison.differences] == ["L1_test"]
    assert comparison.skipped == (f"{ID} LK_test: {why}",)


def test_a_run_that_diverged_is_held_against_the_bounds_that_the_reference_has(tmp_path):
    comparison = both(tmp_path, DIVERGED, {"LK_test": None})
    assert [(d.metric, d.ours) for d in comparison.differences] == [("L1_test", None)]
    assert comparison.skipped == (f"{ID} LK_test: no finite bound",)


RUN = run_of(LVAE, PROFILES["paper"])
FASTER = replace(RUN, optim=replace(RUN.optim, lr=0.1))


@pytest.mark.parametrize(
    ("ours", "reference", "why"),
    [({"run": FASTER}, {}, "another configuration"), ({}, DIVERGED, "the reference diverged")],
)
def test_a_run_that_cannot_be_compared_is_skipped(tmp_path, ours, reference, why):
    comparison = both(tmp_path, ours, reference)
    assert (comparison.differences, comparison.skipped) == ((), (f"{ID}: {why}",))


def test_runs_on_another_version_of_the_data_are_not_compared(tmp_path: Path) -> None:
    write(tmp_path / "reference", LVAE)
    saved(tmp_path / "ours", made(LVAE), env={"data": {"version": "rebuilt"}})
    comparison = compared(tmp_path)
    assert (comparison.differences, comparison.skipped) == ((), (f"{ID}: other data",))


def test_runs_of_the_reference_that_are_missing_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "reference", LVAE)
    write(tmp_path / "reference", VAE)
    write(tmp_path / "ours", VAE)
    assert compared(tmp_path).missing == (ID,)


AGAIN = Cell("mnist", "lvae_bn_wu@again2", 5)  # the LVAE's Run under another name


@pytest.mark.parametrize(
    ("trainings", "var"),
    [
        ([(LVAE, 1, -85.0), (LVAE, 2, -86.0), (LVAE, 3, -87.0)], 1.0),
        ([(LVAE, 1, -85.0), (AGAIN, 1, -86.0)], 0.5),
        ([(LVAE, 1, -85.0), (LVAE, 2, -85.0)], 0.0),
    ],
    ids=["seeds", "replicates", "seeds that agree"],
)
def test_the_spread_over_trainings_of_the_reference_enters_the_error_and_is_never_zero(
    tmp_path: Path, trainings: list[tuple[Cell, int, float]], var: float
) -> None:
    for cell, seed, value in trainings:
        write(tmp_path / "reference", cell, seed=seed, L1_test=value)
    write(tmp_path / "ours", LVAE)
    df = len(trainings) - 1
    spread = np.sqrt((SEED_SD_NATS["paper"] ** 2 + df * var) / (df + 1))
    assert seed_sd(var, df, "L1_test", "paper") == pytest.approx(spread)
    assert difference(tmp_path, "L1_test").error == pytest.approx(2**0.5 * spread)


def test_shorter_training_is_given_a_wider_spread() -> None:
    spreads = [seed_sd(0.0, 0, "L1_test", p) for p in ("paper", "reduced", "quick", "smoke")]
    assert spreads == sorted(spreads)
    assert len(set(spreads)) == 4


def test_a_difference_reads_as_one_line(tmp_path: Path) -> None:
    both(tmp_path, {"L1_test": -91.0}, {"L1_test": -90.5})
    line = f"{ID} L1_test: -91.00, reference -90.50, difference -0.50 ± 0.28"
    assert str(difference(tmp_path, "L1_test")) == line
