"""`repro publish --weights`: the few models that anyone can use, and that they stay true."""

from pathlib import Path

import fixture_store
import numpy as np
import pytest
import torch
from commands import LVAE, QUICK, VAE, quick_run, refusal

from repro import store as stores
from repro.api import TrainedHierarchy, load_model
from repro.cli import publish as publishing
from repro.cli import run
from repro.data import load
from repro.data.images import binarise
from repro.machine.saved import weights
from repro.model.layers import Moments
from repro.plan.experiments.ladder import cell
from repro.plan.layers import layers
from repro.plan.profiles import run_of, runs
from repro.store import Store
from repro.store.places import ROOT
from repro.train.evaluate import bounds, importance_bound
from repro.train.score import noise_of

PUBLISHED = sorted((ROOT / "results" / "weights").glob("*/*.safetensors"))
CHUNK = 64  # images that a scoring pass with many samples draws for at a time
PARAMS = {"x.out.W": torch.ones(1, 5, 3)}
VAR = torch.full((1, 1, 3), 2.0)
ADAM = {"m/x.out.W": torch.ones(1, 5, 3)}


@pytest.fixture(autouse=True)
def undrawn(full, monkeypatch):
    """`runs/` with the records of profile quick; nothing is drawn from them."""
    monkeypatch.setattr(publishing, "draw", lambda *_: None)


def kept(store: Store, run_id: str = LVAE, value: float = 1.0) -> Path:
    """Weights as training leaves them, of a model of one layer."""
    path = weights.weights_path(store.folder("quick"), quick_run(run_id))
    params = {name: value * p for name, p in PARAMS.items()}
    weights.save_weights(path, quick_run(run_id), params, ADAM, seen(run_id))
    return path


def seen(run_id: str = LVAE) -> weights.Statistics:
    """Of every layer that a Run normalises."""
    model = quick_run(run_id).hierarchy
    names = [d.name for d in layers(model, 1) if d.norm and model.batch_norm]
    return {name: Moments(torch.ones(1, 1, 3), VAR.clone()) for name in names}


def published(run_id: str = LVAE) -> Path:
    return weights.published_path(Store(stores.NAMED["results"]), "quick", run_id)


def asked(*run_ids: str) -> list[str]:
    return ["publish", "--profile", "quick", *(w for i in run_ids for w in ("--weights", i))]


def publish(*run_ids: str) -> int:
    return run(asked(*run_ids))


def refused(capsys: pytest.CaptureFixture[str], code: int, *run_ids: str) -> str:
    """What is said; nothing is published."""
    before = sorted(stores.NAMED["results"].rglob("*"))
    said = refusal(capsys, *asked(*run_ids), code=code)
    assert sorted(stores.NAMED["results"].rglob("*")) == before
    return said


def test_parameters_and_statistics_are_published_where_asked_without_adam_s_moments(full):
    kept(full)
    assert publish() == 0
    assert not published().exists()
    assert publish(LVAE) == 0
    saved, params = weights.load_weights(published())
    assert saved == quick_run()
    assert params.keys() == PARAMS.keys()
    assert torch.equal(weights.load_statistics(published(), saved)["x.a"].var, VAR)
    assert not any(n.startswith(weights.ADAM) for n in weights.read(published())[1])


def test_published_weights_stay_with_their_record_and_follow_it(full, capsys):
    own = kept(full)
    publish(LVAE)
    before = published().read_bytes()
    own.unlink()
    assert publish() == 0
    assert published().read_bytes() == before
    fixture_store.write(full, "quick", quick_run(), L1_test=-99.0)
    # A new record does not join older weights.
    assert f"{own}: no weights of {LVAE}" in refused(capsys, 3)
    assert Store(stores.NAMED["results"]).record("quick", LVAE).final["L1_test"] != -99.0
    kept(full, value=3.0)
    assert publish() == 0
    assert torch.equal(weights.load_weights(published())[1]["x.out.W"], 3 * PARAMS["x.out.W"])


def test_what_is_not_whole_or_no_hierarchy_is_refused_before_anything_is_copied(full, capsys):
    """No record, no weights, no statistics; a diverged Run, a Ladder network."""
    assert "no finished record" in refused(capsys, 2, "mnist-none-L1-s1")
    path = kept(full)
    assert f"no weights of {VAE}" in refused(capsys, 3, LVAE, VAE)
    weights.save_weights(path, quick_run(), PARAMS)
    assert "no batch-norm statistics" in refused(capsys, 3, LVAE)
    path.unlink()
    fixture_store.diverge(full, "quick", quick_run(), epoch=2)
    assert "diverged, so it has no weights" in refused(capsys, 3, LVAE)
    ladder = run_of(cell("baseline"), QUICK)
    fixture_store.write(full, "quick", ladder)
    assert "a Ladder network, of which there is no model card" in refused(capsys, 2, ladder.id)


def test_large_models_and_more_than_a_few_are_refused(full, capsys, monkeypatch):
    ids = [r.id for r in runs(QUICK)][:3]
    for run_id in ids:
        kept(full, run_id)
    largest = 4 * (15 + 6 * max(len(seen(run_id)) for run_id in ids))
    monkeypatch.setattr(weights, "LARGEST_PUBLISHED", largest - 1)
    assert "leave this model out" in refused(capsys, 2, *ids)
    monkeypatch.setattr(weights, "LARGEST_PUBLISHED", largest)
    monkeypatch.setattr(weights, "MOST_PUBLISHED", 2)
    assert "remove one first" in refused(capsys, 2, *ids)
    assert publish(*ids[:2]) == 0
    assert publish(*ids[:2]) == 0
    assert "remove one first" in refused(capsys, 2, ids[2])


def test_few_and_small_models_are_published():
    assert len(PUBLISHED) <= weights.MOST_PUBLISHED
    assert all(path.stat().st_size < 1.01 * weights.LARGEST_PUBLISHED for path in PUBLISHED)


@pytest.mark.slow
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_published_weights_give_their_record(path, data_dir):
    """Image by image, with the record's own noise; another processor rounds otherwise."""
    model = load_model(path.stem, path.parent.name, ROOT / "results")
    assert isinstance(model, TrainedHierarchy)
    own = model.run
    test = binarise(load(own.data, data_dir).test, own.data.grey_scale, own.data.test_seed)
    x = torch.from_numpy(test).float().unsqueeze(0)
    noise = noise_of(own, own.schedule.epochs, torch.device("cpu"))
    L1 = bounds(model.net, x, noise, "test").L1[0].numpy()
    first = x[:, :CHUNK]
    LK = importance_bound(model.net, first, noise, own.evaluation.importance_samples).LK[0].numpy()
    saved = Store(ROOT / "results").record(path.parent.name, path.stem).arrays("per_image")
    np.testing.assert_allclose(L1, saved["L1"], atol=0.01)
    np.testing.assert_allclose(LK, saved["LK"][:CHUNK], atol=0.01)
