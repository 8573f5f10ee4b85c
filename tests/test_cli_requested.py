"""What is trained on request alone, by the command line, on the real data at smoke."""

import csv
from pathlib import Path

import pytest

from repro.cli import run
from repro.machine.saved.weights import load_adam, weights_path

pytestmark = pytest.mark.slow

START = "mnist-lvae_bn_wu-L5-s1"
TUNED = {
    "mnist-lvae_bn_wu_ft-L5-s1": "LVAE, 5-layer + finetuning",
    "mnist-lvae_bn_wu_ft_iw10-L5-s1": "LVAE, 5-layer + finetuning + IW=10",
}
IWAE = {
    "mnist-iwae_k1-L2-s1": "IWAE, 2-layer + IW=1",
    "mnist-iwae_k50-L2-s1": "IWAE, 2-layer + IW=50",
}


def train(experiment: str, data_dir: Path) -> int:
    where = ["--profile", "smoke", "--data-dir", str(data_dir)]
    return run(["train", experiment, *where, "--engine", "eager", "--threads", "1"])


def rows(tmp_path: Path) -> dict[str, str]:
    """Our L_5 of each row of Table 1."""
    out = str(tmp_path / "tables")
    assert run(["tables", "--store", "runs", "--profile", "smoke", "--out", out]) == 0
    with (tmp_path / "tables" / "table1.csv").open() as f:
        return {row["model"]: row["ours, L_5"] for row in csv.DictReader(f)}


def test_fine_tuning_trains_its_start_and_goes_on_from_there(local, data_dir, tmp_path):
    assert train("finetuning", data_dir) == 0
    records = {r.run.id: r for r in local.records("smoke")}
    assert records.keys() == {START, *TUNED}
    updates = {
        i: int(load_adam(weights_path(local.folder("smoke"), r.run))["t"])
        for i, r in records.items()
    }
    first, second = TUNED
    assert updates == {START: 20, first: 40, second: 22}  # 100 samples: one step an epoch
    bounds = {i: float(r.final["L1_test"]) for i, r in records.items()}
    assert bounds[first] > bounds[START] + 5
    assert {row for row, ours in rows(tmp_path).items() if ours[:1] == "-"} == {
        "LVAE, 5-layer",
        *TUNED.values(),
    }


def test_both_iwae_rows_are_trained_and_stand_beside_the_quoted_values(local, data_dir, tmp_path):
    assert train("iwae", data_dir) == 0
    assert {r.run.id for r in local.records("smoke")} == set(IWAE)
    assert all(r.final["L1_test"] < -100 for r in local.records("smoke"))
    measured = {row for row, ours in rows(tmp_path).items() if ours[:1] == "-"}
    assert measured == set(IWAE.values())
