"""Means with their errors against scipy, what an interval decides, and the power of verdicts."""

import math
from pathlib import Path

import numpy as np
import pytest
from check_records import made, stored
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro.judge.estimate import LEVEL, Estimate, all_positive, equivalence, of_seeds, quantile
from repro.judge.power import SEEDS, USUAL, Setting, bounds, ladder, power
from repro.judge.spread import WHOSE, known
from repro.show.scripts import load as script
from repro.store import Store

OURS, THEIRS = [-82.0, -82.3, -82.7, -82.1], [-83.0, -82.9, -84.0]
T2 = 2.919986  # of Student's t with two degrees of freedom, 5% beyond
Z = 1.644854


def test_a_difference_of_two_means_is_welch_s() -> None:
    d = of_seeds(OURS) - of_seeds(THEIRS)
    welch = stats.ttest_ind(OURS, THEIRS, equal_var=False)
    assert d.df == pytest.approx(welch.df)
    assert d.mean / d.error == pytest.approx(welch.statistic)
    assert d.interval() == pytest.approx(tuple(welch.confidence_interval(0.90)))
    assert d.interval(0.025) == pytest.approx(tuple(welch.confidence_interval(0.95)))


@given(
    st.lists(st.floats(0.01, 10), min_size=2, max_size=2),
    st.lists(st.integers(2, 30), min_size=2, max_size=2),
)
def test_degrees_of_freedom_are_those_of_published_means_and_spreads(sd, n):
    a, b = (Estimate(m, s * s / k, k - 1) for m, s, k in zip((1.0, 2.0), sd, n, strict=True))
    welch = stats.ttest_ind_from_stats(1.0, sd[0], n[0], 2.0, sd[1], n[1], equal_var=False)
    d = a - b
    assert d.mean / d.error == pytest.approx(welch.statistic)
    assert 2 * stats.t.sf(abs(welch.statistic), d.df) == pytest.approx(welch.pvalue)


VARIANCE = st.floats(1e-6, 100)
DEGREES = st.one_of(st.integers(1, 50).map(float), st.just(math.inf))


@given(VARIANCE, DEGREES, VARIANCE, DEGREES)
def test_another_source_of_error_never_makes_it_smaller(var, df, more, more_df):
    """Its interval can get narrower, as Welch's does: a known error adds degrees of freedom.

    That of a known error cannot.
    """
    alone = Estimate(0.0, var, df)
    both = alone.plus(more, more_df)
    assert both.error > alone.error
    assert min(df, more_df) * (1 - 1e-9) <= both.df <= (df + more_df) * (1 + 1e-9)
    assert both.interval()[1] >= Estimate(0.0, var + more).interval()[1] * (1 - 1e-9)
    assert Estimate(0.0, var).plus(more, more_df).interval()[1] >= Estimate(0.0, var).interval()[1]


def test_nothing_is_known_where_nothing_is_known_of_one_source() -> None:
    one = of_seeds([-82.0])
    assert (one.known, one.interval()) == (False, (-math.inf, math.inf))
    for d in (one - of_seeds(OURS), of_seeds(OURS) - one, one.plus(0.1), one - 1.0, -one):
        assert not d.known
        assert math.isnan(d.error)


def test_two_seeds_that_agree_show_no_error_and_three_do() -> None:
    """As the numbers of active units of a layer may."""
    assert [of_seeds([3.0] * n).known for n in (1, 2, 3)] == [False, False, True]
    assert of_seeds([3.0, 4.0]).known
    assert of_seeds(OURS).plus(0.0) == of_seeds(OURS) - 0.0 == of_seeds(OURS)
    assert Estimate(1.0, 0.0).interval() == (1.0, 1.0)


@pytest.mark.parametrize(
    ("mean", "var", "df", "outcome"),
    [
        (0.5 - T2 * 0.1 - 1e-6, 0.01, 2, "same"),
        (0.5 - T2 * 0.1 + 1e-6, 0.01, 2, "undecided"),
        (-0.5 + T2 * 0.1 + 1e-6, 0.01, 2, "same"),
        (-0.5 + T2 * 0.1 - 1e-6, 0.01, 2, "undecided"),
        (0.5 + T2 * 0.1 - 1e-6, 0.01, 2, "undecided"),
        (0.5 + T2 * 0.1 + 1e-6, 0.01, 2, "higher"),
        (-0.5 - T2 * 0.1 - 1e-6, 0.01, 2, "lower"),
        (0.5 - Z * 0.1 - 1e-6, 0.01, math.inf, "same"),
        (0.5 - Z * 0.1 + 1e-6, 0.01, math.inf, "undecided"),
        (0.5, 0.0, math.inf, "same"),  # the margin itself is within it
        (0.0, 0.2, 2, "undecided"),  # too wide to be either
        (9.0, 0.0, 0, "undecided"),  # nothing known of its error
    ],
)
def test_an_equivalence_test_compares_the_interval_with_the_margin(mean, var, df, outcome):
    assert equivalence(Estimate(mean, var, df), 0.5) == outcome


def test_a_number_at_the_margin_is_called_the_same_once_in_twenty() -> None:
    """Three seeds of sd 0.2, beside a known error of 0.12, in 4,000 replications."""
    rng, same = np.random.default_rng(1), 0
    for _ in range(4_000):
        seeds = 0.5 + rng.normal(0, 0.12) + rng.normal(0, 0.2, 3)
        same += equivalence(of_seeds(list(seeds)).plus(0.12**2), 0.5) == "same"
    assert 0.03 < same / 4_000 < 0.06


def test_the_best_of_several_is_called_the_same_as_seldom_as_one() -> None:
    """Of five models that all lie at the margin, each of three seeds, on one test set."""
    rng, same = np.random.default_rng(1), [0, 0]
    for _ in range(1_000):
        drawn = -0.5 + rng.normal(0, 0.12) + rng.normal(0, 0.2, (5, 3))
        best = max((of_seeds(list(seeds)).plus(0.12**2) for seeds in drawn), key=lambda d: d.mean)
        for i, several in enumerate((1, 5)):
            same[i] += equivalence(best, 0.5, several) == "same"
    assert same[1] / 1_000 < 0.06 < 0.12 < same[0] / 1_000


def test_at_a_corrected_level_trainings_that_happen_to_agree_do_not_decide() -> None:
    """A small spread of three seeds, beside a known error, has many degrees of freedom."""
    found, level = Estimate(0.0).plus(0.01**2, 2).plus(0.05**2), LEVEL / 56
    assert found.df > 1_000
    t, normal = (float(quantile(level, df)) for df in (2, math.inf))
    assert found.interval(level)[1] == pytest.approx(math.hypot(t * 0.01, normal * 0.05))
    assert found.interval()[1] == pytest.approx(Z * found.error, rel=0.01)


def e(mean: float, df: float = math.inf) -> Estimate:
    """With an error of 0.1."""
    return Estimate(mean, 0.01, df)


@pytest.mark.parametrize(
    ("margins", "outcome"),
    [
        ([e(0.17)], "holds"),  # 1.64 errors
        ([e(0.16)], "undecided"),
        ([e(0.28, 2)], "undecided"),
        ([e(0.30, 2)], "holds"),
        ([e(-0.17)], "fails"),
        ([e(-0.16)], "undecided"),
        ([e(0.17), e(0.17)], "holds"),  # each at 5%: an intersection
        ([e(9.0), e(0.16)], "undecided"),
        ([e(9.0), e(-0.17)], "undecided"),  # 5% over two: 1.96 errors
        ([e(9.0), e(-0.20)], "fails"),
        ([e(9.0), e(9.0, 0)], "one seed"),
        ([e(-9.0), e(9.0, 0)], "one seed"),
        ([Estimate(0.0)], "holds"),  # the threshold itself, without error
        ([Estimate(-0.1)], "fails"),
    ],
)
def test_a_statement_holds_where_every_margin_is_positive(margins, outcome):
    assert all_positive(margins) == outcome


FEW = 2.0  # degrees of freedom of a borrowed spread


@pytest.mark.parametrize(
    ("s", "published", "df"),
    [(bounds(0.2), math.sqrt(2) * 0.085, math.inf), (ladder(0.09), 0.37 / math.sqrt(10), 9)],
    ids=["bound", "test error"],
)
def test_the_simulation_is_of_the_test_that_judges(s: Setting, published: float, df: float) -> None:
    """4,000 replications through `equivalence` itself; the published error is not that of ours.

    A perfect replication of a bound with three seeds passes seven times in ten.
    """
    rng, same = np.random.default_rng(7), 0
    for _ in range(4_000):
        seeds = rng.normal(0, published) + rng.normal(0, s.sd, 3)
        same += equivalence(of_seeds(list(seeds)).plus(published**2, df), s.margin) == "same"
    passes = power(s, 3, FEW).passes
    assert same / 4_000 == pytest.approx(passes, abs=0.025)
    assert s.name == "test error" or 0.65 < passes < 0.78


@pytest.mark.parametrize("s", [bounds(0.2), ladder(0.37)], ids=lambda s: s.name)
def test_more_seeds_never_tell_apart_less(s: Setting) -> None:
    """But for the error over images; of fewer than three seeds two bounds of ours alone are."""
    rows = [power(s, n, FEW) for n in SEEDS]
    apart = [p.apart for p in rows if p.apart is not None]
    assert apart == sorted(apart, reverse=True)
    (one,), judged = ([p for p in rows if (p.seeds >= 3) == enough] for enough in (False, True))
    passes, different = ([getattr(p, name) for p in judged] for name in ("passes", "different"))
    assert passes == sorted(passes)
    assert different == sorted(different, reverse=True)
    assert all(d > s.margin for d in different)
    assert (one.passes, one.different) == (None, None)
    assert (one.apart is None) == (s.name == "test error")
    at_best = quantile(LEVEL, math.inf) + quantile(1 - USUAL, math.inf)
    assert power(s, 1_000, FEW).apart == pytest.approx(at_best * s.images, rel=0.1)


def test_the_table_says_where_its_spreads_come_from(tmp_path: Path) -> None:
    """A spread of two trainings is borrowed with its one degree of freedom."""
    table = script("tables", "power").build(Store(tmp_path), "paper")
    assert [row[1] for row in table.rows] == [str(n) for n in SEEDS] * 2
    assert "Spread of the bound (L_1): assumed, as no Run like it is known" in table.caption
    assert table.rows[0][4:] == ("–", "–", "–")  # one seed has no spread to borrow
    assert not {"nan", "inf"} & set(" ".join(map(" ".join, table.rows)).split())
    for seed in (1, 2):
        stored(tmp_path, made(WHOSE["bound"], seed=seed, L1_test=-85.0 - seed))
    spread = known(Store(tmp_path), "paper", "bound")
    assert (spread.sd, spread.df) == (0.2, 1)
    table = script("tables", "power").build(Store(tmp_path), "paper")
    assert table.rows[0][6] != "–"


def test_two_trainings_do_not_say_how_far_trainings_lie_apart(tmp_path: Path) -> None:
    spreads = []
    for seed in (1, 2, 3):
        stored(tmp_path, made(WHOSE["test error"], seed=seed, error_percent=1 + seed / 10))
        spreads.append(known(Store(tmp_path), "paper", "test error"))
    assert [(s.sd, s.df) for s in spreads[1:]] == [(0.37, 0), (pytest.approx(0.1), 2)]
    assert [s.source.startswith("assumed") for s in spreads] == [True, True, False]
