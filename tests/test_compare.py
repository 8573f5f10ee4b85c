"""One store against another: what counts as a regression and what is chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from check_records import write

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


def test_equal_stores_have_no_regression(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE)
    write(tmp_path / "reference", LVAE)
    assert compared(tmp_path).regressions == ()


def test_a_fall_of_more_than_three_errors_is_a_regression(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE, LK_test=-87.0 - 3.1 * CHANCE)
    write(tmp_path / "reference", LVAE, LK_test=-87.0)
    assert [(d.run, d.metric) for d in compared(tmp_path).regressions] == [(ID, "LK_test")]


def test_a_fall_of_less_than_three_errors_is_chance(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE, LK_test=-87.0 - 2.9 * CHANCE)
    write(tmp_path / "reference", LVAE, LK_test=-87.0)
    assert compared(tmp_path).regressions == ()


def test_a_rise_is_no_regression(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE, L1_test=-80.0)
    write(tmp_path / "reference", LVAE, L1_test=-90.0)
    assert compared(tmp_path).regressions == ()


def test_the_error_over_equal_images_is_paired(tmp_path: Path) -> None:
    spread = np.array([-60.0, -80.0, -100.0, -120.0])
    steps = np.array([1.0, -1.0, 1.0, -1.0])
    write(tmp_path / "ours", LVAE, arrays=images(spread + steps, spread))
    write(tmp_path / "reference", LVAE, arrays=images(spread, spread))
    paired = float(np.std(steps, ddof=1)) / 2
    assert difference(tmp_path).error == pytest.approx(np.hypot(paired, CHANCE))


def test_the_error_without_per_image_values_combines_both_standard_errors(tmp_path: Path) -> None:
    for name, se in (("ours", 0.3), ("reference", 0.4)):
        record = write(tmp_path / name, LVAE, L1_se=se)
        Store(tmp_path / name).write(
            "paper", record.run, record.env, record.final, record.curve(), {}
        )
    assert difference(tmp_path, "L1_test").error == pytest.approx(np.hypot(0.5, CHANCE))


def test_images_of_another_source_are_not_paired(tmp_path: Path) -> None:
    write(tmp_path / "reference", LVAE, LK_se=0.4)
    record = write(tmp_path / "ours", LVAE, LK_se=0.3)
    arrays = {"per_image": record.arrays("per_image")}
    env = {"data": {"hash": "1" * 64}}
    Store(tmp_path / "ours").write("paper", record.run, env, record.final, record.curve(), arrays)
    assert difference(tmp_path).error == pytest.approx(np.hypot(0.5, CHANCE))


def test_l_k_with_another_k_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE, K=500)
    write(tmp_path / "reference", LVAE)
    comparison = compared(tmp_path)
    assert [d.metric for d in comparison.differences] == ["L1_test"]
    assert comparison.skipped == (f"{ID} LK_test: other K or images",)


def test_a_bound_that_is_not_finite_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE, LK_test=None)
    write(tmp_path / "reference", LVAE)
    comparison = compared(tmp_path)
    assert [d.metric for d in comparison.differences] == ["L1_test"]
    assert comparison.skipped == (f"{ID} LK_test: no finite bound",)


def test_l_k_on_other_images_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE, LK_images=1000)
    write(tmp_path / "reference", LVAE)
    assert [d.metric for d in compared(tmp_path).differences] == ["L1_test"]


def test_a_run_of_another_configuration_is_skipped(tmp_path: Path) -> None:
    run = run_of(LVAE, PROFILES["paper"])
    write(tmp_path / "ours", LVAE, run=replace(run, optim=replace(run.optim, lr=0.1)))
    write(tmp_path / "reference", LVAE)
    comparison = compared(tmp_path)
    assert (comparison.differences, comparison.skipped) == ((), (f"{ID}: another configuration",))


def test_runs_of_the_reference_that_are_missing_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "reference", LVAE)
    write(tmp_path / "reference", VAE)
    write(tmp_path / "ours", VAE)
    assert compared(tmp_path).missing == (ID,)


def test_a_run_that_diverged_here_only_is_a_regression(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE, state="diverged", diverged_at=4, L1_test=None, LK_test=None)
    write(tmp_path / "reference", LVAE)
    assert {d.metric for d in compared(tmp_path).regressions} == {"L1_test", "LK_test"}


def test_a_run_that_diverged_in_the_reference_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE)
    write(tmp_path / "reference", LVAE, state="diverged", diverged_at=4, LK_test=None)
    assert compared(tmp_path).skipped == (f"{ID}: the reference diverged",)


def test_the_spread_over_seeds_of_the_reference_enters_the_error(tmp_path: Path) -> None:
    for seed, value in ((1, -85.0), (2, -86.0), (3, -87.0)):
        write(tmp_path / "reference", LVAE, seed=seed, L1_test=value)
    write(tmp_path / "ours", LVAE)
    spread = np.sqrt((SEED_SD_NATS["paper"] ** 2 + 2 * 1.0**2) / 3)
    assert seed_sd(1.0, 2, "L1_test", "paper") == pytest.approx(spread)
    assert difference(tmp_path, "L1_test").error == pytest.approx(2**0.5 * spread)


def test_replicates_of_the_reference_enter_the_error_too(tmp_path: Path) -> None:
    """Two trainings of one Run under two names, a nat apart."""
    again = Cell("mnist", "lvae_bn_wu@again2", 5)
    for cell, value in ((LVAE, -85.0), (again, -86.0)):
        write(tmp_path / "reference", cell, L1_test=value)
    write(tmp_path / "ours", LVAE)
    spread = np.sqrt((SEED_SD_NATS["paper"] ** 2 + 0.5) / 2)
    assert difference(tmp_path, "L1_test").error == pytest.approx(2**0.5 * spread)


def test_two_seeds_that_agree_do_not_make_the_spread_zero(tmp_path: Path) -> None:
    for seed in (1, 2):
        write(tmp_path / "reference", LVAE, seed=seed, L1_test=-85.0)
    write(tmp_path / "ours", LVAE, L1_test=-85.0)
    expected = SEED_SD_NATS["paper"] / 2**0.5
    assert seed_sd(0.0, 1, "L1_test", "paper") == pytest.approx(expected)
    assert difference(tmp_path, "L1_test").error == pytest.approx(2**0.5 * expected)


def test_shorter_training_is_given_a_wider_spread() -> None:
    spreads = [seed_sd(0.0, 0, "L1_test", p) for p in ("paper", "reduced", "quick", "smoke")]
    assert spreads == sorted(spreads)
    assert len(set(spreads)) == 4


def test_a_difference_reads_as_one_line(tmp_path: Path) -> None:
    write(tmp_path / "ours", LVAE, L1_test=-91.0)
    write(tmp_path / "reference", LVAE, L1_test=-90.5)
    line = f"{ID} L1_test: -91.00, reference -90.50, difference -0.50 ± 0.28"
    assert str(difference(tmp_path, "L1_test")) == line
