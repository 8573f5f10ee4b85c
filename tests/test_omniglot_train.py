"""A Run of OMNIGLOT from the command line to its record, on the images that are rebuilt."""

import hashlib

import numpy as np
import pytest

from repro import data
from repro.cli import run
from repro.data.images import Images
from repro.judge.check import check

pytestmark = pytest.mark.slow

LVAE = "omniglot-lvae_bn_wu-L5-s1"


def test_a_smoke_run_is_trained_and_says_which_data_it_saw(local, data_dir, monkeypatch):
    loaded, load = list[Images](), data.load

    def noted(*asked, **named) -> Images:
        loaded.append(load(*asked, **named))
        return loaded[-1]

    monkeypatch.setitem(data.DATA_SETS, "omniglot", data.DATA_SETS["omniglot"].versions[-1])
    monkeypatch.setattr("repro.data.load", noted)
    arguments = ["--profile", "smoke", "--engine", "eager", "--data-dir", str(data_dir)]
    assert run(["train", "figure10", *arguments]) == 0
    is_whole_and_the_same_on_every_machine(loaded[0])
    (record,) = local.records("smoke")
    assert record.run.id == LVAE
    assert (record.env["data"]["name"], record.env["data"]["version"]) == ("omniglot", "rebuilt")
    assert record.arrays("samples")["true"].shape == (100, 784)
    name = "table2/omniglot/64-32-16-8-4/lvae_bn_wu"
    (target,) = (t for t in check(local, "smoke").targets if t.target.id == name)
    assert target.verdict == "other data"


def is_whole_and_the_same_on_every_machine(images: Images) -> None:
    """15 training and 5 test drawings of each character."""
    assert (images.train.shape, images.test.shape) == ((24_345, 784), (8_115, 784))
    assert len(np.unique(images.train_labels)) == len(np.unique(images.test_labels)) == 50
    found = hashlib.sha256(images.train.tobytes() + images.test.tobytes()).hexdigest()
    assert found == "39c999d442594ed628a0971acbfb087685d0e83add8c487b73af18e887ff5586"
