"""Which Run is which: hashes, names, and the JSON of a Run, old and new."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from fixture_data import refused

from repro.errors import RecordError
from repro.plan.experiments import EXPERIMENTS, cells
from repro.plan.experiments.ablations import DEFAULT
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.experiments.ladder import cell
from repro.plan.profiles import PROFILES, find_run, profile, run_of, runs
from repro.plan.run import from_dict, saved, to_dict

PAPER = profile("paper")
FULL = run_of(cell("full"), PAPER)

# A changed layout, budget or variant would give these another one. A changed default would not, as
# no field at its default counts: that is held by `test_old_layout.py`.
HASHES = """
quick   mnist-lvae_bn_wu-L5-s1   aab48b6ff355da9c6bbf6513ba890e8e87007cef6bd09fe4033b855e2ae41e55
paper   mnist-vae-L3-s1          c9c4b29c57989740c0df07c0ea04a4859bb3f7ea10d37ea8c61552637a3a2db7
reduced ladder-full-100-s1       72fe6d9ddfe1ae7651fb3a452ee562a5b55fe05ad8f7a55650917ea6f5e95415
reduced ladder-baseline-100-s1   690f96c733928fd4c0bd57f306169b725b19e0148f830ead5cb66be8f09442dd
paper   ladder-kzky-100-s1       83945051a336c9ea845fb4254c9e2749595f9c29976f5f194ed321a4f8849b97
paper   ladder-amlp_22-100-s1    10ab801f384920df5e973c496021c545eb5832c07accbd2b88a03f91edd9e167
"""


@pytest.mark.parametrize("row", HASHES.strip().splitlines(), ids=lambda row: row[:32].rstrip())
def test_a_run_keeps_its_hash(row: str) -> None:
    name, run_id, expected = row.split()
    assert find_run(run_id, profile(name)).hash == expected


ALL = "a1f31cc0901285596cba90b32b7f1008d16b1e3606d470e3313f9f5b9cacf9a7"


def test_no_run_of_the_published_protocol_has_changed() -> None:
    """Of every cell. A Run that is added changes this too: then write down the new one."""
    hashes = "".join(sorted(run_of(c, PAPER).hash for c in cells()))
    assert hashlib.sha256(hashes.encode()).hexdigest() == ALL


NEWER: dict[str, Any] = {
    "leaky_slope": 0.01,
    "gammas": "all",
    "affine": "scale_first",
    "vertical_affine": True,
    "joined": True,
    "estimate_scale": "noisy",
    "passed_down": "normalised",
}


@pytest.mark.parametrize("name", NEWER)
def test_a_newer_field_of_the_model_counts_where_it_is_used(name: str) -> None:
    run = replace(FULL, model=replace(FULL.ladder, joined=name == "estimate_scale"))
    changed = replace(run, model=replace(run.ladder, **{name: NEWER[name]}))
    assert changed.hash != run.hash


@pytest.mark.parametrize(
    "added", [{"labels": 10}, {"balanced": False}, {"pool": "rest"}, {"first_images": 50_000}]
)
def test_a_field_added_later_counts_where_it_is_used(added: dict[str, Any]) -> None:
    other = replace(FULL, data=replace(FULL.data, **{"labels": 100, **added}))
    assert other.hash != FULL.hash


ON_REQUEST = ("ablations", "replicates", "finetuning", "iwae", "flows", "norb", "combinators")


@pytest.mark.parametrize("name", ON_REQUEST)
def test_what_is_on_request_is_trained_where_it_is_named_and_only_there(name: str) -> None:
    own = set(EXPERIMENTS[name]) - {DEFAULT}
    for p in PROFILES.values():
        named, usual = ({cell_of(r) for r in runs(p, of)} for of in ([name], None))
        assert named - {DEFAULT} == {c for c in own if p.holds(c)}
        assert not own & usual


@pytest.mark.parametrize("wanted", cells(), ids=lambda cell: run_of(cell, PAPER, 7).id)
def test_json_and_name_of_a_run_lead_back_to_it_and_it_knows_its_cell(wanted: Cell) -> None:
    run = run_of(wanted, PAPER, 7)
    again = from_dict(json.loads(json.dumps(saved(run))))
    assert (again, again.hash) == (run, run.hash)
    assert find_run(run.id, PAPER) == run  # so no other has that name
    assert cell_of(run) == wanted


def test_an_unknown_family_is_a_damaged_record() -> None:
    raw = to_dict(FULL)
    raw["model"] = {"family": "gan"}
    with refused(RecordError, "run.model.family", "'gan'"):
        from_dict(raw)


def test_a_field_of_the_other_model_is_refused() -> None:
    raw = to_dict(FULL)
    raw["model"]["latents"] = [64]
    with refused(RecordError, "run.model.latents", "unknown field"):
        from_dict(raw)


def test_a_ladder_run_is_named_by_variant_labels_and_seed() -> None:
    assert run_of(cell("full", 1000), PAPER, 3).id == "ladder-full-1000-s3"
