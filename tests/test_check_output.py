"""What `repro check` shows: JSON by the contract, a table, one line a failure."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

from check_records import write
from rich.console import Console

from repro.judge.check import Report, as_json, as_table, check, strict_failures, summary
from repro.judge.claims import CLAIMS
from repro.judge.claims.claim import LVAE, VAE
from repro.judge.targets import TARGETS
from repro.judge.verdicts import TargetResult
from repro.store import Store

KEYS = ["id", "source", "paper", "ours", "sd"]
KEYS += ["seeds", "mc_error", "tolerance", "verdict", "runs"]


def report_with_everything(root: Path) -> Report:
    """A short target, a failing claim, a reproduced target and a diverged Run."""
    for seed in (1, 2, 3):
        write(
            root, LVAE, seed=seed, LK_test=-82.12, L1_test=-88.0, kl_layers=[9.0, 5.0, 2.0, 1.0, 0]
        )
    write(root, VAE, state="diverged", diverged_at=5, L1_test=None, LK_test=None, kl_layers=None)
    return check(Store(root), "paper")


def test_the_json_has_the_keys_of_the_contract_first(tmp_path: Path) -> None:
    value = as_json(report_with_everything(tmp_path))
    assert list(value)[:3] == ["profile", "targets", "claims"]
    assert all(list(t)[: len(KEYS)] == KEYS for t in value["targets"])
    assert all(
        list(c)[:5] == ["id", "text", "source", "verdict", "evidence"] for c in value["claims"]
    )


def test_the_json_holds_every_target_and_claim(tmp_path: Path) -> None:
    value = as_json(check(Store(tmp_path), "paper"))
    assert {t["id"] for t in value["targets"]} == set(TARGETS)
    assert {c["id"] for c in value["claims"]} == set(CLAIMS)


def test_the_json_is_strict(tmp_path: Path) -> None:
    value = as_json(report_with_everything(tmp_path))
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_the_json_shows_low_confidence(tmp_path: Path) -> None:
    value = as_json(check(Store(tmp_path), "paper"))
    recalled = [t["id"] for t in value["targets"] if t["confidence"] == "from memory"]
    assert len(recalled) == 9 + 15


def test_the_json_names_diverged_runs(tmp_path: Path) -> None:
    assert as_json(report_with_everything(tmp_path))["diverged"] == ["mnist-vae-L5-s1"]


def test_strict_failures_are_short_targets_and_failing_claims(tmp_path: Path) -> None:
    lines = strict_failures(report_with_everything(tmp_path))
    failing = ["text/L1_test/lvae5", "mnist/lvae_uses_all_layers"]
    assert [line.split(":")[0] for line in lines] == failing


def test_nothing_of_a_reduced_profile_fails_strictly(tmp_path: Path) -> None:
    write(tmp_path, LVAE, "quick", LK_test=-99.0, kl_layers=[9.0, 0.0, 0.0, 0.0, 0.0])
    assert strict_failures(check(Store(tmp_path), "quick")) == []


def test_the_summary_counts_every_verdict(tmp_path: Path) -> None:
    line = summary(report_with_everything(tmp_path))
    assert "2 reproduced" in line
    assert "1 short" in line
    assert "claims: 14 not run, 1 fails" in line


def test_the_summary_names_diverged_runs(tmp_path: Path) -> None:
    assert "diverged: mnist-vae-L5-s1" in summary(report_with_everything(tmp_path))


def rendered(report: Report) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(as_table(report))
    return console.export_text()


def test_the_table_shows_what_was_run_and_leaves_the_rest_to_the_caption(tmp_path: Path) -> None:
    text = rendered(report_with_everything(tmp_path))
    assert "table1/lvae5 " in text
    assert "mnist/lvae_uses_all_layers" in text
    assert "ladder/full/100" not in text
    assert "not run" in text


def test_the_table_of_a_reduced_profile_says_that_it_is_no_reproduction(tmp_path: Path) -> None:
    write(tmp_path, LVAE, "quick")
    assert "not a reproduction" in rendered(check(Store(tmp_path), "quick"))


def test_the_table_shows_low_confidence(tmp_path: Path) -> None:
    recalled = TargetResult(TARGETS["ladder/gamma/100"], "short", ours=9.0, seeds=1)
    report = replace(check(Store(tmp_path), "paper"), targets=(recalled,))
    assert "3.06 (from memory)" in rendered(report)
