"""What `repro check` shows: JSON by the contract, a table, one line a failure."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from check_records import otherwise, write
from rich.console import Console

from repro.judge import measures
from repro.judge.check import Report, as_json, as_table, check, strict_failures, summary
from repro.judge.claims.claim import LVAE, VAE, Claim, Judgement, at_least, quantity
from repro.judge.evidence import Books
from repro.judge.targets import TARGETS
from repro.plan.profiles import PROFILES, run_of
from repro.store import Store

KEYS = ["id", "source", "paper", "ours", "sd"]
KEYS += ["seeds", "mc_error", "tolerance", "verdict", "runs"]


@pytest.fixture(autouse=True)
def one_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that these records contradict: kl_layers[4] is 0."""

    def test(found: Books) -> Judgement:
        top = quantity(found, LVAE, lambda r: float(measures.kl_layers(r)[-1]))
        return [at_least("KL of z_5", top, 0.1)], f"KL {top.mean:.1f}"

    claim = Claim("any/uses_top", "text", "source", "KL of z_5 at least 0.1", (LVAE,), test)
    monkeypatch.setattr(
        "repro.judge.check.CLAIMS",
        {claim.id: claim, "other": replace(claim, id="other", cells=(VAE,))},
    )


@pytest.fixture
def everything(tmp_path: Path) -> Report:
    """A number that is worse, a failing claim, a reproduced target and a diverged Run."""
    for seed in (1, 2, 3):
        kl = [9.0, 5.0, 2.0, 1.0, 0]
        write(tmp_path, LVAE, seed=seed, LK_test=-82.12, L1_test=-88.0, kl_layers=kl)
    lost = dict.fromkeys(("L1_test", "LK_test", "kl_layers"))
    write(tmp_path, VAE, state="diverged", diverged_at=5, **lost)
    return check(Store(tmp_path), "paper")


def test_the_json_has_the_keys_of_the_contract_first(everything: Report) -> None:
    value = as_json(everything)
    assert list(value)[:3] == ["profile", "targets", "claims"]
    assert all(list(t)[: len(KEYS)] == KEYS for t in value["targets"])
    of_claims = ["id", "text", "source", "verdict", "evidence"]
    assert all(list(c)[:5] == of_claims for c in value["claims"])
    assert {t["id"] for t in value["targets"]} == set(TARGETS)
    assert [c["id"] for c in value["claims"]] == ["any/uses_top", "other"]
    assert [t["confidence"] for t in value["targets"]] == ["published"] * len(TARGETS)
    assert value["diverged"] == ["mnist-vae-L5-s1"]
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_the_json_says_why_a_number_is_different(everything: Report) -> None:
    value = as_json(everything)
    of = {t["id"]: t for t in value["targets"]}
    worse, same = of["text/L1_test/lvae5"], of["table1/lvae5"]
    assert (worse["verdict"], worse["direction"], worse["tolerance"]) == ("different", "worse", 0.5)
    assert worse["interval"][1] < -0.5
    assert (same["verdict"], same["direction"]) == ("reproduced", None)
    assert -0.5 < same["interval"][0] < 0 < same["interval"][1] < 0.5
    assert of["text/L1_test/vae3"]["interval"] is None


def test_the_json_says_by_how_much_a_claim_fails(everything: Report) -> None:
    failing, other = as_json(everything)["claims"]
    assert (failing["verdict"], failing["seeds"]) == ("fails", 3)
    (contrast,) = failing["contrasts"]
    assert contrast == {"name": "KL of z_5", "margin": -0.1, "error": 0.0, "df": 2}
    assert (other["verdict"], other["contrasts"]) == ("not run", [])


def test_strict_failures_are_worse_numbers_and_failing_claims(everything: Report) -> None:
    lines = strict_failures(everything)
    worse, claim = lines
    assert worse.startswith(
        "text/L1_test/lvae5: -88.00 ± 0.00 is worse than the published -85.23 ("
    )
    assert claim.startswith("any/uses_top: KL 0.0; least certain: KL of z_5, -0.10 ± 0 from its")


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((-82.1, -82.1, -82.1), "reproduced"),
        ((-81.0, -82.0, -83.0), "undecided"),
        ((-70.0, -70.0, -70.0), "different"),  # better
        ((-99.0, -99.0), "one seed"),
    ],
)
def test_nothing_but_a_worse_number_fails_strictly(tmp_path, values, verdict):
    for seed, value in enumerate(values, start=1):
        write(tmp_path, LVAE, seed=seed, LK_test=value, L1_test=-85.23)
    report = check(Store(tmp_path), "paper")
    assert next(r for r in report.targets if r.target.id == "table1/lvae5").verdict == verdict
    assert strict_failures(report) == []


def test_a_cell_that_diverged_for_every_seed_fails_strictly(tmp_path: Path) -> None:
    write(tmp_path, LVAE, state="diverged", diverged_at=5, L1_test=None, LK_test=None)
    lines = strict_failures(check(Store(tmp_path), "paper"))
    assert "table1/lvae5: diverged is worse than the published -82.12" in lines


def test_the_summary_counts_every_verdict_and_names_diverged_runs(everything: Report) -> None:
    line = summary(everything)
    for words in ("2 reproduced", "1 different", "claims: 1 fails, 1 not run"):
        assert words in line
    assert "diverged: mnist-vae-L5-s1" in line


def rendered(report: Report) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(as_table(report, "runs"))
    return console.export_text()


def test_the_table_shows_what_was_run_and_the_caption_counts_the_rest(everything: Report) -> None:
    text = rendered(everything)
    assert "table1/lvae5 " in text
    assert "any/uses_top" in text
    assert "worse; ours - published: -2." in text
    assert "ladder/full/100" not in text
    assert "not run" in text


def test_a_reduced_profile_is_no_reproduction_and_fails_nothing_strictly(tmp_path: Path) -> None:
    write(tmp_path, LVAE, "quick", LK_test=-99.0, kl_layers=[9.0, 0.0, 0.0, 0.0, 0.0])
    report = check(Store(tmp_path), "quick")
    assert "not a reproduction" in rendered(report)
    assert strict_failures(report) == []


def test_the_table_shows_no_number_where_none_counts(tmp_path: Path) -> None:
    write(tmp_path, LVAE, run=otherwise(run_of(LVAE, PROFILES["paper"])), LK_test=-82.12)
    (line,) = [
        n for n in rendered(check(Store(tmp_path), "paper")).split("\n") if "table1/lvae5 " in n
    ]
    assert "other configuration" in line
    assert line.count("-82.12") == 1  # the published one
