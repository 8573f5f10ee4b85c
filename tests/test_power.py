"""Power of the verdicts, by simulation."""

import math
from pathlib import Path

import numpy as np
import pytest
from check_records import made, stored

from repro.judge.estimate import LEVEL, equivalence, of_seeds, quantile
from repro.judge.power import SEEDS, USUAL, Setting, bounds, ladder, power
from repro.judge.spread import WHOSE, known
from repro.show.scripts import load as script
from repro.store import Store

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
