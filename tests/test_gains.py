"""Gains of fine-tuning: judged seed by seed over the Run that each starts from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from check_records import said, target, write

from repro.judge.claims.claim import LVAE
from repro.plan.experiments import finetuning

FINETUNED, GAIN = finetuning.cell("lvae_bn_wu_ft"), "table1/gain/ft"  # published: 0.28


def finetuned(root: Path, *gains: float, **kwargs: Any) -> None:
    """Three Runs of the LVAE that lie a nat apart, and some fine-tuned from them."""
    starts = (-82.0, -83.0, -84.0)
    for seed, value in enumerate(starts, start=1):
        write(root, LVAE, seed=seed, LK_test=value)
    for seed, gain in enumerate(gains, start=1):
        write(root, FINETUNED, seed=seed, LK_test=starts[seed - 1] + gain, **kwargs)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((0.27, 0.28, 0.30), "reproduced"),
        ((0.27,), "one seed"),
        ((0.0, 0.3, 0.6), "undecided"),
        ((0.0, 0.01, -0.01), "different, worse"),
        ((1.0, 1.01, 0.99), "different, better"),
    ],
)
def test_a_gain_is_judged_against_the_very_run_it_starts_from(tmp_path, gains, verdict):
    finetuned(tmp_path, *gains)
    result = target(tmp_path, GAIN)
    assert said(result) == verdict
    assert (result.ours, result.seeds) == (pytest.approx(np.mean(gains)), len(gains))
    if len(gains) > 1:
        assert result.sd == pytest.approx(np.std(gains, ddof=1))


def test_a_gain_has_its_error_over_images_too(tmp_path: Path) -> None:
    gains = (0.27, 0.28, 0.30)
    finetuned(tmp_path, *gains)
    low, high = target(tmp_path, GAIN).interval
    of_images = np.resize([0.0, 1.0], 8).astype(np.float32)
    finetuned(tmp_path, *gains, arrays={"per_image": {"LK": of_images}})
    wide_low, wide_high = target(tmp_path, GAIN).interval
    assert wide_high - wide_low > 5 * (high - low)


def test_a_gain_counts_the_seeds_that_have_the_run_they_start_from(tmp_path: Path) -> None:
    finetuned(tmp_path, 0.28, 0.28, 0.28)
    write(tmp_path, FINETUNED, seed=4, LK_test=-70.0)
    result = target(tmp_path, GAIN)
    assert (result.seeds, result.ours) == (3, pytest.approx(0.28))
    assert not any(name.endswith("s4") for name in result.runs)


@pytest.mark.parametrize("whose", [LVAE, FINETUNED], ids=["start", "fine-tuned"])
def test_a_gain_whose_seed_diverged_is_undecided(tmp_path: Path, whose: Any) -> None:
    finetuned(tmp_path, 0.27, 0.28, 0.30)
    write(tmp_path, whose, seed=4, state="diverged", diverged_at=7, L1_test=None, LK_test=None)
    result = target(tmp_path, GAIN)
    assert result.verdict == "undecided"
    assert "diverged at epoch 7, not counted" in result.note


def test_a_gain_without_the_run_it_starts_from_is_not_run(tmp_path: Path) -> None:
    write(tmp_path, FINETUNED)
    result = target(tmp_path, GAIN)
    assert (result.verdict, result.ours) == ("not run", None)
    assert target(tmp_path, "table1/lvae5_finetuned").verdict == "one seed"


def test_a_gain_over_a_run_that_was_scored_otherwise_is_reduced_protocol(tmp_path: Path) -> None:
    finetuned(tmp_path, 0.28, 0.28, 0.28)
    for seed in (1, 2, 3):
        write(tmp_path, LVAE, seed=seed, LK_test=-83.0, K=500)
    result = target(tmp_path, GAIN)
    assert (result.verdict, result.note) == ("reduced protocol", "L_500 on 10000 images")
