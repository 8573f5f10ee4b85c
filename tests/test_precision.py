"""The comparison of TF32 with float32: paired by seed, held against seed noise."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fixture_store
import pytest

from repro.profiles import find_run
from repro.profiles import profile as find_profile
from repro.store import ROOT, Store

sys.path.insert(0, str(ROOT / "benchmarks"))
precision: Any = importlib.import_module("precision")


def test_a_difference_is_the_mean_over_pairs_with_its_error() -> None:
    d = precision.difference("L1_test", [-90.0, -91.0, -89.5], [-90.3, -91.1, -89.7])
    assert d.mean == pytest.approx(0.2)
    assert d.error == pytest.approx(0.1 / 3**0.5)
    assert d.seed_noise == pytest.approx(0.70238, rel=1e-4)


@pytest.mark.parametrize(("shift", "inside"), [(0.5, True), (-0.5, True), (0.9, False)])
def test_a_difference_larger_than_seed_noise_is_outside(shift: float, inside: bool) -> None:
    float32 = [-90.3, -91.1, -89.7]
    d = precision.difference("L1_test", [x + shift for x in float32], float32)
    assert d.inside is inside
    assert ("OUTSIDE" in str(d)) is not inside


def test_the_run_is_the_published_one_shortened() -> None:
    published = find_run("mnist-lvae_bn_wu-L5-s3", find_profile("paper"))
    ours = precision.run_for(100, 3)
    assert (ours.schedule.epochs, ours.schedule.warmup_epochs) == (100, 10)
    assert ours.evaluation.importance_samples == 5000
    same = {"schedule": published.schedule, "evaluation": published.evaluation}
    assert replace(ours, **same) == published


def test_records_of_both_precisions_are_compared_seed_by_seed(tmp_path: Path) -> None:
    runs = [find_run(f"mnist-lvae_bn_wu-L5-s{s}", find_profile("quick")) for s in (1, 2)]
    for name in precision.PRECISIONS:
        for run in runs:
            fixture_store.write(Store(tmp_path / name), "quick", run)
    found = precision.compared(tmp_path, "quick", runs)
    assert [d.metric for d in found] == ["L1_train", "L1_test", "LK_test"]
    assert {d.mean for d in found} == {0.0}


def test_without_a_device_the_script_says_so_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "precision.py"), "--out", str(tmp_path)]
    hidden = {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=hidden)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "error: no CUDA device found: TF32 exists only there\n"
