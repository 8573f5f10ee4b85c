"""A Run of OMNIGLOT from the command line to its record."""

from __future__ import annotations

from pathlib import Path

import pytest

from repro.cli import run
from repro.judge.check import check
from repro.store import Store

pytestmark = pytest.mark.slow

LVAE = "omniglot-lvae_bn_wu-L5-s1"


def test_a_smoke_run_is_trained_and_says_which_data_it_saw(local: Store, data_dir: Path) -> None:
    arguments = ["--profile", "smoke", "--engine", "eager", "--data-dir", str(data_dir)]
    assert run(["train", "figure10", *arguments]) == 0
    (record,) = local.records("smoke")
    assert record.run.id == LVAE
    assert record.env["data"]["name"] == "omniglot"
    assert record.env["data"]["version"] in ("published", "rebuilt")
    assert record.arrays("samples")["true"].shape == (100, 784)
    name = "table2/omniglot/64-32-16-8-4/lvae_bn_wu"
    (target,) = (t for t in check(local, "smoke").targets if t.target.id == name)
    rebuilt = record.env["data"]["version"] == "rebuilt"
    assert target.verdict == ("other data" if rebuilt else "reduced protocol")
