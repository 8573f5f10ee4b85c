"""What `repro check` shows; of two stores, what counts as a regression and what is chance."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from check_records import HEADLINE, LOST, USES_ALL, made, of_images, otherwise, several, stored
from rich.console import Console

from repro.judge.check import Report, as_json, as_table, check, strict_failures, summary
from repro.judge.claims import CLAIMS
from repro.judge.claims.claim import LVAE, VAE
from repro.judge.compare import SEED_SD_NATS, SEED_SD_POINTS, Comparison, compare, seed_sd
from repro.judge.targets import TARGETS
from repro.plan.experiments import ladder
from repro.plan.experiments.grid import Cell
from repro.store import Record

KEYS = ["id", "source", "paper", "ours", "sd", "seeds", "mc_error", "tolerance", "verdict", "runs"]


def rendered(report: Report) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(as_table(report, "runs"))
    return console.export_text()


@pytest.fixture
def everything(tmp_path: Path) -> Report:
    """A number that is worse, a failing claim, a reproduced target and a diverged Run."""
    ours = several(LVAE, *[-82.12] * 3, L1_test=-88.0, kl_layers=[9.0, 5.0, 2.0, 1.0, 0])
    return check(stored(tmp_path, *ours, made(VAE, **LOST)), "paper")


def test_the_json_has_the_keys_of_the_contract_first_and_says_why(everything: Report) -> None:
    value = as_json(everything)
    assert list(value)[:3] == ["profile", "targets", "claims"]
    assert value["diverged"] == ["mnist-vae-L5-s1"]
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert all(list(t)[: len(KEYS)] == KEYS for t in value["targets"])
    of_claims = ["id", "text", "source", "verdict", "evidence"]
    assert all(list(c)[:5] == of_claims for c in value["claims"])
    targets, claims = ({x["id"]: x for x in value[kind]} for kind in ("targets", "claims"))
    assert (targets.keys(), claims.keys()) == (TARGETS.keys(), CLAIMS.keys())
    assert {t["confidence"] for t in value["targets"]} == {"published"}
    worse, same = targets["text/L1_test/lvae5"], targets[HEADLINE]
    assert (worse["verdict"], worse["direction"], worse["tolerance"]) == ("different", "worse", 0.5)
    assert worse["interval"][1] < -0.5
    assert (same["verdict"], same["direction"]) == ("reproduced", None)
    assert -0.5 < same["interval"][0] < 0 < same["interval"][1] < 0.5
    assert targets["text/L1_test/vae3"]["interval"] is None
    failing, other = claims[USES_ALL], claims["mnist/vae_collapsed_above_second_layer"]
    assert (failing["verdict"], failing["seeds"]) == ("fails", 3)
    assert failing["contrasts"][-1] == {"name": "KL of z_5", "margin": -0.1, "error": 0.0, "df": 2}
    assert (other["verdict"], other["contrasts"]) == ("not run", [])


def test_failures_are_lines_and_what_was_run_is_a_table(everything: Report) -> None:
    worse, claim = strict_failures(everything)
    words = "text/L1_test/lvae5: -88.00 ± 0.00 is worse than the published -85.23 (ours - published"
    assert worse.startswith(words)
    assert claim.startswith(f"{USES_ALL}: KL of z_1 to z_5: 9.00 / 5.00 / 2.00 / 1.00 / 0.00; ")
    line = summary(everything)
    for words in ("targets: ", "2 reproduced", "1 different", "1 fails", "not run"):
        assert words in line
    assert "diverged: mnist-vae-L5-s1" in line
    text = rendered(everything)
    for words in (f"{HEADLINE} ", USES_ALL, "worse; ours - published: -2.", "not run"):
        assert words in text
    assert "ladder/full/100" not in text


@pytest.mark.parametrize(
    ("values", "profile", "lines"),
    [
        ((-82.1, -82.1, -82.1), "paper", []),
        ((-81.0, -82.0, -83.0), "paper", []),  # undecided
        ((-70.0, -70.0, -70.0), "paper", []),  # different, but better
        ((-99.0, -99.0), "paper", []),
        ((-99.0, -99.0, -99.0), "quick", []),
        ((None,), "paper", [f"{HEADLINE}: diverged is worse than the published -82.12"]),
    ],
)
def test_only_worse_numbers_of_the_published_protocol_fail_strictly(
    tmp_path, values, profile, lines
):
    final = LOST if None in values else {"L1_test": -85.23}
    report = check(stored(tmp_path, *several(LVAE, *values, profile=profile, **final)), profile)
    assert [line for line in strict_failures(report) if HEADLINE in line] == lines
    assert ("not a reproduction" in rendered(report)) == (profile == "quick")


def test_the_table_shows_no_number_where_none_counts(tmp_path: Path) -> None:
    store = stored(tmp_path, made(LVAE, run=otherwise(made(LVAE).run), LK_test=-82.12))
    lines = rendered(check(store, "paper")).split("\n")
    (line,) = [n for n in lines if f"{HEADLINE} " in n]
    assert "other configuration" in line
    assert line.count("-82.12") == 1  # the published one


# One store against another

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
