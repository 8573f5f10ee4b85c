"""What is trained on request alone, by the command line, on the real data at smoke."""

import csv

import pytest

from repro.cli import run
from repro.machine.saved.weights import load_adam, weights_path

pytestmark = pytest.mark.slow

START = "mnist-lvae_bn_wu-L5-s1"
FIRST, SECOND = "mnist-lvae_bn_wu_ft-L5-s1", "mnist-lvae_bn_wu_ft_iw10-L5-s1"
IWAE = ("mnist-iwae_k1-L2-s1", "mnist-iwae_k50-L2-s1")


def test_fine_tuning_goes_on_from_its_start_and_stands_in_table_1_as_iwae_does(
    local, data_dir, tmp_path
):
    where = ["--profile", "smoke", "--data-dir", str(data_dir)]
    for experiment in ("finetuning", "iwae"):
        assert run(["train", experiment, *where, "--engine", "eager", "--threads", "1"]) == 0
    records = {r.run.id: r for r in local.records("smoke")}
    assert records.keys() == {START, FIRST, SECOND, *IWAE}
    paths = {i: weights_path(local.folder("smoke"), records[i].run) for i in (START, FIRST, SECOND)}
    updates = {i: int(load_adam(path)["t"]) for i, path in paths.items()}
    assert updates == {START: 20, FIRST: 40, SECOND: 22}  # 100 samples: one step an epoch
    bounds = {i: float(r.final["L1_test"]) for i, r in records.items()}
    assert bounds[FIRST] > bounds[START] + 5
    assert all(bounds[i] < -100 for i in IWAE)
    assert run(["tables", "--profile", "smoke", "--out", str(tmp_path)]) == 0
    with (tmp_path / "table1.csv").open() as f:
        ours = {row["model"]: row["ours, L_5"] for row in csv.DictReader(f)}
    assert {row for row, value in ours.items() if value[:1] == "-"} == {
        "LVAE, 5-layer",
        "LVAE, 5-layer + finetuning",
        "LVAE, 5-layer + finetuning + IW=10",
        "IWAE, 2-layer + IW=1",
        "IWAE, 2-layer + IW=50",
    }
