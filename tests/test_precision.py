"""The comparison of rounded products with float32: paired by seed, beside rounding alone."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import fixture_store
import pytest
import small

from repro.plan.profiles import find_run
from repro.plan.profiles import profile as find_profile
from repro.store import Store
from repro.store.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
precision: Any = importlib.import_module("precision")
FLOAT32 = [-90.3, -91.1, -89.7]


def test_a_difference_is_the_mean_over_pairs_beside_rounding_alone() -> None:
    again = [-90.2, -91.3, -89.7]
    values = dict(zip(precision.TRAININGS, ([-90.0, -91.0, -89.5], FLOAT32, again), strict=True))
    d = precision.difference("vae", "L1_test", values)
    assert d.mean == pytest.approx(0.2)
    assert d.error == pytest.approx(0.1 / 3**0.5)
    assert d.rounding == pytest.approx(((0.01 + 0.04 + 0) / 3 / 2) ** 0.5)
    assert d.seeds == pytest.approx(0.70238, rel=1e-4)


@pytest.mark.parametrize(("shift", "inside"), [(0.15, True), (-0.15, True), (0.25, False)])
def test_a_shift_beyond_the_spread_of_rounding_is_outside(shift: float, inside: bool) -> None:
    moved, again = ([x + by for x in FLOAT32] for by in (shift, 0.17))
    values = dict(zip(precision.TRAININGS, (moved, FLOAT32, again), strict=True))
    d = precision.difference("vae", "L1_test", values)
    assert d.inside is inside
    assert ("OUTSIDE" in str(d)) is not inside


def test_records_are_compared_seed_by_seed(tmp_path: Path) -> None:
    for training in precision.TRAININGS:
        for variant in precision.VARIANTS:
            for run in precision.runs_of(variant, "quick", 2):
                assert run == find_run(run.id, find_profile("quick"))
                fixture_store.write(Store(tmp_path / training), "quick", run)
    found = precision.compared(tmp_path, "quick", 2)
    assert len(found) == len(precision.VARIANTS) * len(precision.METRICS)
    assert {(d.mean, d.rounding) for d in found} == {(0.0, 0.0)}


def test_all_three_trainings_are_made_and_their_record_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("repro.data.load", small.raw)
    monkeypatch.setattr("repro.model.layers.SMALL", 0)
    family = {"lvae_bn_wu": "lvae", "vae": "vae"}
    tiny = lambda v, _, n: [small.run(family[v], 1, seed) for seed in range(1, n + 1)]  # noqa: E731
    monkeypatch.setattr(precision, "runs_of", tiny)
    arguments = ["precision", "--profile", "smoke", "--seeds", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert precision.main() == 0
    content = json.loads((tmp_path / "precision.json").read_text())
    assert (content["rounded"], content["profile"]) == ("bfloat16", "smoke")
    assert len(content["differences"]) == capsys.readouterr().out.count("rounded - float32") == 6
    assert all(d["mean"] != 0 for d in content["differences"])
