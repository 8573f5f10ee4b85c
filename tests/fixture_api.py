"""Tiny trained models as `repro.api` gives them, and images for them."""

from pathlib import Path

import ladder_small
import numpy as np
import pytest
import small
import small_training

from repro.api import TrainedHierarchy, TrainedLadder, load_model
from repro.data.images import binarise
from repro.machine.saved.weights import weights_path
from repro.store import Store

PROFILE = "tiny"
LVAE, VAE = small.run("lvae", 3), small.run("vae", 2, batch_norm=False)
LADDER = ladder_small.run()
X, CLASSES = small.PIXELS, ladder_small.SIZES[-1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with two hierarchies and a Ladder network."""
    folder = tmp_path_factory.mktemp("trained")
    small_training.trained(folder, [LVAE, VAE])
    return small_training.trained(folder, [LADDER], images=ladder_small.raw)


@pytest.fixture
def copied(trained: Store, tmp_path: Path) -> Store:
    """A store with weights that a test may change."""
    for run in (LVAE, LADDER):
        Store(tmp_path).copy(trained.record(PROFILE, run.id))
        path = weights_path(tmp_path / PROFILE, run)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(weights_path(trained.folder(PROFILE), run).read_bytes())
    return Store(tmp_path)


def hierarchy(store: Store, run=LVAE) -> TrainedHierarchy:
    model = load_model(run.id, PROFILE, store.root)
    assert isinstance(model, TrainedHierarchy)
    return model


def ladder(store: Store) -> TrainedLadder:
    model = load_model(LADDER.id, PROFILE, store.root)
    assert isinstance(model, TrainedLadder)
    return model


def binary() -> np.ndarray:
    return binarise(small.raw().test, LVAE.data.grey_scale, LVAE.data.test_seed)


def draws(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) < 0.4).astype(np.uint8)
