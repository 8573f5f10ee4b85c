"""One store against another: what counts as a regression and what is chance."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from check_records import LOST, made, of_images, otherwise, several, stored

from repro.judge.claims.claim import LVAE, VAE
from repro.judge.compare import SEED_SD_NATS, SEED_SD_POINTS, Comparison, compare, seed_sd
from repro.plan.experiments import ladder
from repro.plan.experiments.grid import Cell
from repro.store import Record

CHANCE = 2**0.5 * SEED_SD_NATS["paper"]  # of two trainings, where seeds are few
POINTS = (2 * 0.1**2 + 2 * SEED_SD_POINTS["paper"] ** 2) ** 0.5  # of two errors
ID = "mnist-lvae_bn_wu-L5-s1"
PLAIN, FULL = made(LVAE), ladder.cell("full")


def compared(root: Path, ours: Record, *reference: Record) -> Comparison:
    reference = reference or (PLAIN,)
    return compare(stored(root / "ours", ours), stored(root / "reference", *reference), "paper")


def test_shorter_training_is_given_a_wider_spread() -> None:
    for name in ("L1_test", "error_percent"):
        spreads = [seed_sd(0.0, 0.0, name, p) for p in ("paper", "reduced", "quick", "smoke")]
        assert spreads == sorted({*spreads})


def error(comparison: Comparison, metric: str = "L1_test") -> float:
    return next(d.error for d in comparison.differences if d.metric == metric)


def erring(percent: float | None = 1.0, **final: object) -> Record:
    """A Ladder network's record."""
    return made(FULL, error_percent=percent, error_se=0.1, **final)


@pytest.mark.parametrize(
    ("ours", "reference", "regressions"),
    [
        (PLAIN, PLAIN, set()),
        (made(LVAE, LK_test=-87.0 - 3.1 * CHANCE), PLAIN, {"LK_test"}),
        (made(LVAE, LK_test=-87.0 - 2.9 * CHANCE), PLAIN, set()),
        (made(LVAE, L1_test=-80.0), PLAIN, set()),  # a rise
        (made(LVAE, **LOST), PLAIN, {"L1_test", "LK_test"}),
        (erring(1.0 + 3.1 * POINTS), erring(), {"error_percent"}),
        (erring(1.0 + 2.9 * POINTS), erring(), set()),
        (erring(0.1), erring(), set()),
        (erring(None, **LOST), erring(), {"error_percent"}),
    ],
)
def test_three_errors_for_the_worse_are_a_regression(tmp_path, ours, reference, regressions):
    found = compared(tmp_path, ours, reference)
    assert {(d.run, d.metric) for d in found.regressions} == {(ours.run.id, n) for n in regressions}
    assert found.skipped == ()


def test_the_error_over_images_is_paired_or_of_other_images_combines_both(tmp_path: Path) -> None:
    spread = np.array([-60.0, -80.0, -100.0, -120.0])
    steps = np.array([1.0, -1.0, 1.0, -1.0])
    ours, reference = (made(LVAE, **of_images(LK=lk)) for lk in (spread + steps, spread))
    paired = float(np.std(steps, ddof=1)) / 2
    found = compared(tmp_path / "same", ours, reference)
    assert error(found, "LK_test") == pytest.approx(np.hypot(paired, CHANCE))
    for name, other in (("held", {}), ("env", {"data": {"hash": "1" * 64}})):
        ours = replace(made(LVAE, L1_se=0.3), **{name: other})
        found = compared(tmp_path / name, ours, made(LVAE, L1_se=0.4))
        assert error(found) == pytest.approx(np.hypot(0.5, CHANCE))


OTHER_RUN = made(LVAE, run=otherwise(PLAIN.run))
REBUILT = replace(PLAIN, env={"data": {"version": "rebuilt"}})
NO_LK = made(LVAE, LK_test=None)


@pytest.mark.parametrize(
    ("ours", "reference", "metrics", "skipped"),
    [
        (made(LVAE, K=500), PLAIN, ["L1_test"], " LK_test: other K or images"),
        (made(LVAE, LK_images=1000), PLAIN, ["L1_test"], " LK_test: other K or images"),
        (NO_LK, PLAIN, ["L1_test"], " LK_test: no finite bound"),
        (made(LVAE, **LOST), NO_LK, ["L1_test"], " LK_test: no finite bound"),
        (OTHER_RUN, PLAIN, [], ": another configuration"),
        (PLAIN, made(LVAE, **LOST), [], ": the reference diverged"),
        (REBUILT, PLAIN, [], ": other data"),
    ],
)
def test_what_cannot_be_compared_is_skipped(tmp_path, ours, reference, metrics, skipped):
    found = compared(tmp_path, ours, reference)
    assert [d.metric for d in found.differences] == metrics
    assert found.skipped == (ID + skipped,)
    assert all(d.ours == ours.final[d.metric] for d in found.differences)


def test_runs_of_the_reference_that_are_missing_are_listed(tmp_path: Path) -> None:
    assert compared(tmp_path, made(VAE), made(VAE), PLAIN).missing == (ID,)


AGAIN = Cell("mnist", "lvae_bn_wu@again2", 5)  # the LVAE's Run under another name


@pytest.mark.parametrize(
    ("reference", "var"),
    [
        (several(LVAE, -85.0, -86.0, -87.0, name="L1_test"), 1.0),
        ([made(LVAE, L1_test=-85.0), made(AGAIN, L1_test=-86.0)], 0.5),
        (several(LVAE, -85.0, -85.0, name="L1_test"), 0.0),
    ],
)
def test_the_spread_of_the_reference_enters_the_error_and_is_never_zero(tmp_path, reference, var):
    df = len(reference) - 1
    spread = np.sqrt((SEED_SD_NATS["paper"] ** 2 + df * var) / (df + 1))
    assert error(compared(tmp_path, PLAIN, *reference)) == pytest.approx(2**0.5 * spread)


def test_a_difference_reads_as_one_line(tmp_path: Path) -> None:
    line = f"{ID} L1_test: -91.00, reference -90.50, difference -0.50 ± 0.28"
    assert str(compared(tmp_path, made(LVAE, L1_test=-91.0)).differences[0]) == line
