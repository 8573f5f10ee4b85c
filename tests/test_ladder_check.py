"""Ladder networks held against published errors, against another store, and shown."""

from pathlib import Path
from typing import Any

import fixture_store
import numpy as np
import pytest
from check_records import said, target
from commands import printed
from scipy import stats

from repro.judge.compare import SEED_SD_POINTS, Comparison, compare
from repro.judge.evidence import books
from repro.plan.experiments import cells
from repro.plan.experiments.ladder import cell
from repro.plan.profiles import profile, run_of
from repro.plan.run import Run
from repro.store import Store

FULL = "ladder/full/100"
ID = "ladder-full-100-s1"


def of(seed: int = 1, name: str = "paper", variant: str = "full", labels: int = 100) -> Run:
    return run_of(cell(variant, labels), profile(name), seed)


def with_errors(root: Path, *errors: float, **kind: Any) -> Store:
    store = Store(root)
    for seed, error in enumerate(errors, start=1):
        fixture_store.write(store, "paper", of(seed, **kind), error_percent=error, error_se=0.1)
    return store


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ((1.0, 1.1, 1.3), "reproduced"),
        ((9.9, 9.9), "one seed"),
        ((1.3, 1.4, 1.5), "undecided"),
        ((1.9, 2.0, 2.1), "different, worse"),
        ((0.1, 0.15, 0.2), "different, better"),
    ],
)
def test_errors_are_judged_against_the_published_mean(tmp_path, errors, verdict):
    with_errors(tmp_path, *errors)
    assert said(target(tmp_path, FULL)) == verdict


def test_the_published_spread_over_ten_seeds_widens_the_interval(tmp_path: Path) -> None:
    """Welch: 0.37^2 / 10 of nine degrees of freedom beside ours of two."""
    ours = [1.0, 1.1, 1.3]
    with_errors(tmp_path, *ours)
    theirs = 1.06 + 0.37 * stats.zscore(np.arange(10.0), ddof=1)  # ten values of that spread
    welch = stats.ttest_ind(ours, theirs, equal_var=False)
    found = target(tmp_path, FULL).interval
    assert found == pytest.approx(tuple(welch.confidence_interval(0.90)))


def test_a_published_mean_without_a_spread_adds_nothing(tmp_path: Path) -> None:
    """The Gamma model with 1,000 labels: 1.53, no spread known."""
    ours = [1.5, 1.6, 1.7]
    with_errors(tmp_path, *ours, variant="gamma", labels=1000)
    found = target(tmp_path, "ladder/gamma/1000")
    half = stats.t.ppf(0.95, 2) * np.std(ours, ddof=1) / 3**0.5
    middle = 1.6 - 1.53
    assert found.interval == pytest.approx((middle - half, middle + half))
    assert found.verdict == "reproduced"


def compared(root: Path, ours: float, reference: float) -> Comparison:
    pair = [with_errors(root / part, e) for part, e in (("ours", ours), ("other", reference))]
    return compare(*pair, "paper")


CHANCE = (0.1**2 + 0.1**2 + 2 * SEED_SD_POINTS["paper"] ** 2) ** 0.5


@pytest.mark.parametrize(
    ("ours", "worse"), [(1.0 + 3.1 * CHANCE, True), (1.0 + 2.9 * CHANCE, False), (0.1, False)]
)
def test_an_error_that_rises_by_more_than_chance_is_a_regression(tmp_path, ours, worse):
    found = compared(tmp_path, ours, 1.0)
    assert [(d.run, d.metric) for d in found.regressions] == [(ID, "error_percent")] * worse
    assert found.skipped == ()


def test_a_run_that_diverged_here_alone_is_a_regression(tmp_path: Path) -> None:
    reference, ours = with_errors(tmp_path / "other", 1.0), Store(tmp_path / "ours")
    fixture_store.diverge(ours, "paper", of(), epoch=3)
    assert len(compare(ours, reference, "paper").regressions) == 1


def test_a_record_shows_its_error_and_configuration(tmp_path, capsys):
    store = with_errors(tmp_path, 1.25)
    shown = printed(capsys, "show", ID, "--profile", "paper", "--store", str(store.root))
    assert shown["final"]["error_percent"] == 1.25
    assert shown["config"]["model"]["family"] == "ladder"


def test_the_list_names_labels_and_experiments(local, capsys):
    rows = printed(capsys, "list", "--experiment", "ladder", "--profile", "quick")
    assert [(r["run"], r["labels"], r["state"]) for r in rows] == [
        (ID, 100, "missing"),
        ("ladder-baseline-100-s1", 100, "missing"),
    ]
    assert rows[0]["experiment"] == ["ladder", "ladder_100"]
    assert rows[0]["predicted_seconds"] > rows[1]["predicted_seconds"] > 0


def test_cells_of_hierarchies_do_not_count_ladder_networks(tmp_path: Path) -> None:
    found = books(with_errors(tmp_path, 1.0), "paper")
    assert {found.of(c).state for c in cells(["figure5"])} == {"not run"}
