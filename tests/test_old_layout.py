"""What was written when a Run was saved with every field and hashed with its name, is still read.

`old/` holds it: a record and weights of `small_training.OLD_RUNS[0]`, a checkpoint of both of them.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small
from fixture_data import refused
from fixture_disk import files
from small_training import BLOCKS, EPOCHS, OPTIONS, PROFILE, checkpoints, hooked, interrupted
from small_training import OLD_RUNS as RUNS

from repro.errors import RecordError
from repro.machine.local import train
from repro.machine.rescoring import evaluate, verify
from repro.machine.saved import checkpoint
from repro.machine.saved.weights import find_weights, load_weights, weights_path
from repro.model.stack import Stack
from repro.plan.run import from_dict, saved, to_dict
from repro.store import Store
from repro.train.minibatch import BLOCK

OLD = Path(__file__).parent / "old"
CHECKPOINT = "bba924093fe0b579.safetensors"  # named by hashes that its Runs no longer have
FULL = json.loads((OLD / "runs.json").read_text())
UNINTERRUPTED = [-20.760955, -23.428535]  # L_1 of both Runs on the test set
LADDER = {"data": {"labels": 100}, "model": {"family": "ladder"}, "optim": {"batch": 100}}
SPARSE: list[dict[str, Any]] = [{}, LADDER, {"start": {"variant": "other"}}]
NOT_OF_BITS = {"labels": 100, "balanced": False, "pool": "rest", "first_images": 50_000}
NOT_OF_BITS |= {"label_order": "file", "copies": 1}


@pytest.fixture
def collected(store: Store) -> Store:
    """A store with the old record and its weights."""
    shutil.copytree(OLD / "record", store.folder(PROFILE, RUNS[0].id))
    path = weights_path(store.folder(PROFILE), RUNS[0])
    path.parent.mkdir()
    shutil.copy(OLD / "weights.safetensors", path)
    return store


@pytest.mark.parametrize(("full", "sparse"), [*zip(FULL, SPARSE, strict=True)])
def test_no_default_has_changed_since(full, sparse):
    run = from_dict(full)
    assert run == from_dict({"variant": "any", **sparse})
    assert saved(run) == {"variant": "any", **sparse}
    written = to_dict(run)
    assert own_fields(full, written) == written


def own_fields(full: Any, written: Any) -> Any:
    """Those of its kind of data; one that came later is at its default: else it would be saved."""
    if not isinstance(written, dict):
        return full
    return {n: own_fields(full.get(n, part), part) for n, part in written.items()}


@pytest.mark.parametrize(
    ("which", "field", "value"),
    [*((0, *choice) for choice in NOT_OF_BITS.items()), (1, "divide_by", "maximum")],
)
def test_a_choice_for_another_kind_of_data_is_no_field_of_this_one(which, field, value):
    raw = {**FULL[which], "data": {**FULL[which]["data"], field: value}}
    with refused(RecordError, f"run.data.{field}: unknown field"):
        from_dict(raw)


def test_a_run_that_could_not_be_is_a_damaged_record():
    with refused(RecordError, "here/run.json: ", "train at least one"):
        from_dict({"variant": "vae", "schedule": {"epochs": 0}}, "here/run.json")


def test_an_old_record_is_not_trained_again(collected, monkeypatch):
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS[:1], collected, PROFILE, OPTIONS).unfinished == []
    assert steps == [0]
    record = collected.record(PROFILE, RUNS[0].id)
    record.verify()
    assert (record.run, record.run.hash) == (RUNS[0], RUNS[0].hash)
    copied = Store(collected.root / "copied").copy(record)
    assert files(copied.folder) == files(OLD / "record")


def test_old_weights_score_the_old_record(collected):
    record = collected.record(PROFILE, RUNS[0].id)
    assert load_weights(find_weights(collected, record))[0] == RUNS[0]
    assert all(c.agrees for c in verify(RUNS[0].id, collected, PROFILE, OPTIONS))
    evaluate([RUNS[0].id], collected, PROFILE, OPTIONS)
    again = collected.record(PROFILE, RUNS[0].id)
    again.verify()
    assert again.final["L1_test"] == pytest.approx(record.final["L1_test"], rel=1e-4)
    assert "evaluated_again" in again.env


def test_an_old_checkpoint_is_continued(store, monkeypatch):
    folder = store.folder(PROFILE) / ".checkpoints"
    folder.mkdir(parents=True)
    shutil.copy(OLD / CHECKPOINT, folder)
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS, store, PROFILE, OPTIONS).done == [run.id for run in RUNS]
    assert steps == [(EPOCHS * BLOCKS - 1) * BLOCK]
    assert checkpoints(store) == []
    found = [store.record(PROFILE, run.id).final["L1_test"] for run in RUNS]
    assert found == pytest.approx(UNINTERRUPTED, rel=1e-4)


def test_equal_runs_of_two_names_are_told_apart(store, monkeypatch):
    run = small.run("lvae", 1, steps=2)
    other = replace(run, variant="another")
    assert run.hash == other.hash
    path = interrupted(store, [run], monkeypatch)
    assert checkpoint.find(path.parent, Stack((run,))) == path
    assert not checkpoint.find(path.parent, Stack((other,))).exists()
    assert sorted(train([run, other], store, PROFILE, OPTIONS).done) == sorted([run.id, other.id])
    records = [store.record(PROFILE, r.id) for r in (run, other)]
    assert [r.run for r in records] == [run, other]
    assert [load_weights(find_weights(store, r))[0] for r in records] == [run, other]
    assert records[0].final["L1_test"] == records[1].final["L1_test"]
