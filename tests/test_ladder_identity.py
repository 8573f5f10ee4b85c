"""Which Run is which: hashes, names, and the JSON of a Run."""

import hashlib
import json
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

# A changed layout, budget or variant gives others, and so does a choice that no longer counts. A
# changed default does not, as no field at its default counts: `test_old_layout.py` holds that.
HASHES = {
    "smoke": "5ab549f60eeb5e4cf31471fd26e590d96a148ce4fdf4a6cff9d579fa82c599b9",
    "quick": "384d35832bc163303b402961430ed164756f03658d0a9db651c2c137766584eb",
    "reduced": "ad054a05db7e0d327bdcda2acdc87e1e6deef1357de0f7bc023038b45977eb29",
    "paper": "a1f31cc0901285596cba90b32b7f1008d16b1e3606d470e3313f9f5b9cacf9a7",
}


@pytest.mark.parametrize("name", PROFILES)
def test_no_run_of_any_cell_has_changed(name: str) -> None:
    """A cell that is added changes these too: then write down the new ones."""
    hashes = "".join(sorted(run_of(c, profile(name)).hash for c in cells()))
    assert hashlib.sha256(hashes.encode()).hexdigest() == HASHES[name]


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


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"family": "gan"}, ["run.model.family", "'gan'"]),
        ({"family": "ladder", "latents": [64]}, ["run.model.latents", "unknown field"]),
    ],
)
def test_an_unknown_family_or_a_field_of_another_is_a_damaged_record(
    model: dict[str, Any], said: list[str]
) -> None:
    raw = to_dict(run_of(cell("full"), PAPER))
    with refused(RecordError, *said):
        from_dict({**raw, "model": model})
