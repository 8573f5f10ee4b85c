"""The verdicts of `repro check` on claims, one test a rule."""

from pathlib import Path

import pytest
from check_records import claim, made, otherwise, saved, write

from repro.judge.check import check
from repro.judge.claims import CLAIMS
from repro.judge.claims.claim import LVAE, VAE_BN, VAE_BN_WU
from repro.plan.profiles import PROFILES, run_of
from repro.store import Store

USED = [11.7, 6.2, 2.9, 1.7]


def test_the_evidence_of_a_claim_holds_its_numbers_and_seeds(tmp_path: Path) -> None:
    for seed, top in ((1, 0.3), (2, 0.4), (3, 0.5)):
        write(tmp_path, LVAE, seed=seed, kl_layers=[*USED, top])
    assert claim(tmp_path).evidence == (
        "KL of z_1 to z_5: 11.70 / 6.20 / 2.90 / 1.70 / 0.40; least certain: KL of z_5, +0.30 ±"
        " 0.058 from its threshold; seeds: 3"
    )


def test_every_claim_of_an_empty_store_is_not_run(tmp_path: Path) -> None:
    results = check(Store(tmp_path), "paper").claims
    assert {r.claim.id for r in results if r.verdict == "not run"} == set(CLAIMS)


def test_a_claim_with_a_missing_run_names_it(tmp_path: Path) -> None:
    write(tmp_path, LVAE)
    result = claim(tmp_path, "mnist/lvae_bound_is_tighter")
    assert result.verdict == "not run"
    assert result.evidence == "1 of 2 Runs without a number: mnist-vae_bn_wu-L5"


def test_a_claim_whose_run_diverged_is_not_run_and_says_why(tmp_path: Path) -> None:
    write(tmp_path, LVAE, state="diverged", diverged_at=3, kl_layers=None)
    result = claim(tmp_path)
    assert result.verdict == "not run"
    assert "diverged at epoch 3, not counted: mnist-lvae_bn_wu-L5-s1" in result.evidence


def test_a_claim_whose_arrays_were_not_saved_is_not_run(tmp_path: Path) -> None:
    for cell in (VAE_BN, VAE_BN_WU):
        saved(tmp_path, made(cell), held={})
    result = claim(tmp_path, "mnist/warmup_leaves_more_units_active")
    assert result.verdict == "not run"
    assert result.evidence.startswith("no kl_units.npz in mnist-vae_bn-L5-s1")


@pytest.mark.parametrize(("top", "met"), [(3.0, "met"), (0.0, "not met")])
def test_a_claim_in_a_reduced_profile_is_reduced_protocol_and_says_whether_it_was_met(
    tmp_path: Path, top: float, met: str
) -> None:
    for seed in (1, 2, 3):
        write(tmp_path, LVAE, "quick", seed=seed, kl_layers=[*USED, top])
    result = claim(tmp_path, profile="quick")
    assert result.verdict == "reduced protocol"
    assert result.evidence.startswith(f"{met} at this budget: KL of z_1")


def test_a_run_of_another_configuration_answers_no_claim(tmp_path: Path) -> None:
    write(tmp_path, LVAE, run=otherwise(run_of(LVAE, PROFILES["paper"])))
    result = claim(tmp_path)
    assert result.verdict == "not run"
    assert result.evidence.endswith("other configuration, not counted: mnist-lvae_bn_wu-L5-s1")
