"""What `repro check` shows: JSON by the contract, a table, one line a failure."""

import io
import json
from pathlib import Path

import pytest
from check_records import HEADLINE, LOST, USES_ALL, made, otherwise, several, stored
from rich.console import Console

from repro.judge.check import Report, as_json, as_table, check, strict_failures, summary
from repro.judge.claims import CLAIMS
from repro.judge.claims.claim import LVAE, VAE
from repro.judge.targets import TARGETS

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
