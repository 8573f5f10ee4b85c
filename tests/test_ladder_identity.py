"""Which Run is which: hashes, names, and the JSON of a Run, old and new."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from fixture_data import refused

from repro.errors import RecordError
from repro.plan.experiments import EXPERIMENTS, cells
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.experiments.ladder import cell
from repro.plan.profiles import find_run, profile, run_of
from repro.plan.run import ADDED, Ladder, Model, Run, from_dict, to_dict

PAPER = profile("paper")
LADDERS = EXPERIMENTS["ladder"] + EXPERIMENTS["combinators"]

# Of Runs as they were when records of them were first made.
HASHES = {
    ("quick", "mnist-lvae_bn_wu-L5-s1"): (
        "ef6c64ba4d50c5e02bcf5754f6efa939f29036d2df50bb426be397642fc52e89"
    ),
    ("paper", "mnist-vae-L3-s1"): (
        "aa6354da8e6bf1c8ebbae44a9b68358d653a6b2eb2dfe87d0195c58a85c5e629"
    ),
    ("reduced", "ladder-full-100-s1"): (
        "e9b5e59376ba6c2a8069cbe20c0bd0761f641e33c444295adb747757a9e8867d"
    ),
    ("reduced", "ladder-baseline-100-s1"): (
        "a1059a0eb23a457bef9b3539adb9696db90fb0b7f69bd831b78eb3348537c341"
    ),
    ("paper", "ladder-kzky-100-s1"): (
        "1d258d07343b48674f6b6e3c6b3191ee84909a4166009a4d7b417f3b634c17f2"
    ),
    ("paper", "ladder-amlp_22-100-s1"): (
        "43dd5f20196181d6d56ae9dab6d9feec11b23bd4237c11e9e7ffe85fdfcab142"
    ),
}


def ladder(variant: str = "full", labels: int = 100, seed: int = 1) -> Run:
    return run_of(cell(variant, labels), PAPER, seed)


@pytest.mark.parametrize(("name", "run_id"), HASHES)
def test_a_run_keeps_its_hash(name: str, run_id: str) -> None:
    assert find_run(run_id, profile(name)).hash == HASHES[name, run_id]


NEWER: dict[str, Any] = {
    "leaky_slope": 0.01,
    "gammas": "all",
    "affine": "scale_first",
    "vertical_affine": True,
    "joined": True,
    "estimate_scale": "noisy",
    "passed_down": "normalised",
}


def test_every_newer_field_of_the_model_is_known_here() -> None:
    assert NEWER.keys() == ADDED["ladder"].keys()
    assert {name: getattr(Ladder(), name) for name in NEWER} == ADDED["ladder"]


@pytest.mark.parametrize("name", NEWER)
def test_a_newer_field_of_the_model_counts_where_it_is_used(name: str) -> None:
    run = ladder()
    run = replace(run, model=replace(run.ladder, joined=name == "estimate_scale"))
    changed = replace(run, model=replace(run.ladder, **{name: NEWER[name]}))
    assert changed.hash != run.hash


def test_a_record_from_before_the_ports_is_read() -> None:
    run = ladder()
    raw = to_dict(run)
    for name in NEWER:
        del raw["model"][name]
    for name in ("label_order", "first_images"):
        del raw["data"][name]
    assert from_dict(raw) == run


@pytest.mark.parametrize(
    "added", [{"labels": 10}, {"balanced": False}, {"pool": "rest"}, {"first_images": 50_000}]
)
def test_a_field_added_later_counts_where_it_is_used(added: dict[str, Any]) -> None:
    run = ladder()
    other = replace(run, data=replace(run.data, **{"labels": 100, **added}))
    assert other.hash != run.hash


def test_a_record_from_before_ladder_networks_is_read() -> None:
    run = find_run("mnist-vae-L3-s1", PAPER)
    raw = to_dict(run)
    for part, name in (("data", "labels"), ("data", "balanced"), ("data", "pool")):
        del raw[part][name]
    del raw["schedule"]["decay_from"]
    assert from_dict(raw) == run


@pytest.mark.parametrize("wanted", LADDERS, ids=lambda c: f"{c.variant}-{c.labels}")
def test_a_ladder_run_survives_its_json(wanted: Cell) -> None:
    run = run_of(wanted, PAPER, 7)
    again = from_dict(json.loads(json.dumps(to_dict(run))))
    assert (again, again.hash) == (run, run.hash)


def test_the_kind_of_model_is_told_by_its_family() -> None:
    raw = to_dict(ladder())
    assert isinstance(from_dict(raw).model, Ladder)
    raw["model"] = {"family": "lvae"}
    raw["data"]["labels"] = None
    assert isinstance(from_dict(raw).model, Model)


def test_an_unknown_family_is_a_damaged_record() -> None:
    raw = to_dict(ladder())
    raw["model"] = {"family": "gan"}
    with refused(RecordError, "run.model.family", "'gan'"):
        from_dict(raw)


def test_a_field_of_the_other_model_is_refused() -> None:
    raw = to_dict(ladder())
    raw["model"]["latents"] = [64]
    with refused(RecordError, "run.model.latents", "unknown field"):
        from_dict(raw)


def test_a_ladder_run_is_named_by_variant_labels_and_seed() -> None:
    assert ladder("kzky", seed=7).id == "ladder-kzky-100-s7"


def test_a_ladder_run_is_found_by_its_name() -> None:
    assert find_run("ladder-full-1000-s3", PAPER) == ladder("full", 1000, 3)


def test_names_of_all_cells_differ() -> None:
    names = [run_of(c, PAPER).id for c in cells()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("wanted", LADDERS, ids=lambda c: f"{c.variant}-{c.labels}")
def test_a_run_knows_its_cell(wanted: Cell) -> None:
    assert cell_of(run_of(wanted, PAPER)) == wanted
