"""Trained models in the hands of a user: what they give, and what they refuse."""

from dataclasses import replace
from typing import Any

import fixture_api
import ladder_small
import numpy as np
import pytest
import small
import torch
from fixture_api import LADDER, LVAE, PROFILE, VAE, X, binary, draws, hierarchy, ladder
from numpy.testing import assert_array_equal

from repro.api import TrainedHierarchy, load_model, load_record
from repro.machine.local import train
from repro.machine.saved.tensors import read
from repro.machine.saved.weights import SEEN, load_statistics, weights_path
from repro.machine.work import Options
from repro.model import streams
from repro.model.hierarchy import generate
from repro.model.layers import Net
from repro.plan.run import Schedule
from repro.store import Store
from repro.train.evaluate import ROWS, bounds, importance_bound
from repro.train.score import noise_of
from repro.train.tasks.hierarchies import HIERARCHIES

copied, trained = fixture_api.copied, fixture_api.trained

IWAE = {"nonlinearity": "tanh", "variance": "exp", "init": "glorot", "output_bias": "data"}
START = small.run("lvae", 3, steps=3)
KINDS = {
    "batch norm": START,
    "without": small.run("vae", 2, batch_norm=False, steps=3),
    "lvae without": small.run("lvae", 3, batch_norm=False, steps=3),
    "heads without": small.run("lvae", 2, head_batch_norm=False, steps=3),
    "two top-down networks": small.run("lvae", 3, shared=False, steps=3),
    "mu upward": small.run("lvae", 3, upward="mu", steps=3),
    "minibatch statistics": small.run("lvae", 3, evaluation={"statistics": "minibatches"}, steps=3),
    "gaussian": small.run("lvae", 3, observation="gaussian", nonlinearity="tanh", steps=3),
    "iwae": small.run(
        "vae", 2, batch_norm=False, var_floor=0.0, **IWAE, optim={"importance_samples": 3}, steps=3
    ),
    "flows": small.run("vae", 1, flows=3, steps=3),
    "fine-tuned": replace(
        START, variant="tuned", schedule=Schedule(2, steps_per_epoch=3), start=START
    ),
}


@pytest.mark.parametrize("run", KINDS.values(), ids=KINDS)
def test_a_loaded_model_is_the_one_that_was_scored(store: Store, run) -> None:
    """After training in one stack with another seed."""
    beside = replace(run, seed=7, start=run.start and run.start.with_seed(7))
    train([run, beside], store, PROFILE, Options(engine="eager", threads=1))
    raw = HIERARCHIES.images(run, small.raw())
    x, noise = torch.from_numpy(raw.test).float().unsqueeze(0), noise_of(run, 2, small.CPU)
    net = hierarchy(store, run).net
    scored = store.record(PROFILE, run.id).arrays("per_image")
    assert_array_equal(bounds(net, x, noise, "test").L1[0].numpy(), scored["L1"])
    LK = importance_bound(net, x, noise, run.evaluation.importance_samples).LK.float()
    assert_array_equal(LK[0].numpy(), scored["LK"])


def test_a_loaded_ladder_network_classifies_as_the_record_says(trained: Store) -> None:
    expected = trained.record(PROFILE, LADDER.id).arrays("predictions")["predicted"]
    pixels = ladder_small.raw().test / LADDER.data.grey_scale
    assert_array_equal(ladder(trained).classify(pixels), expected)


def test_scores_are_the_record_s_but_for_chance(trained: Store) -> None:
    final = load_record(LVAE.id, PROFILE, trained.root).final
    scores = hierarchy(trained).score(binary(), samples=final["K"])
    assert scores.LK.mean() == pytest.approx(final["LK_test"], abs=6 * final["LK_mc_error"] + 0.2)
    assert scores.L1.mean() == pytest.approx(final["L1_test"], abs=6 * final["L1_se"])


def test_more_samples_tighten_the_bound(trained: Store) -> None:
    few, many = (hierarchy(trained).score(binary(), K).LK.mean() for K in (1, 300))
    assert many > few


def test_the_monte_carlo_error_shrinks_with_samples(trained: Store) -> None:
    few, many = (hierarchy(trained).score(binary(), K).mc_error for K in (20, 2000))
    assert 0 < many < few


def test_one_encoding_is_a_draw_of_every_layer(trained: Store) -> None:
    z = hierarchy(trained).encode(draws(1, (9, X)))
    assert [layer.shape for layer in z] == [(9, n) for n in small.LATENTS]


def test_encodings_depend_on_their_seed_alone(trained: Store) -> None:
    model, x = hierarchy(trained), draws(1, (9, X))
    first, same, other = (model.encode(x, seed)[0] for seed in (1, 1, 2))
    assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_without_a_seed_an_encoding_is_the_mean(trained: Store) -> None:
    model, x = hierarchy(trained), draws(1, (9, X))
    zeros = [torch.zeros(1, 1, 9, n) for n in small.LATENTS]
    q = small.infer(model.net, torch.from_numpy(x).float().unsqueeze(0), zeros).q
    for z, q_i in zip(model.encode(x, None), q, strict=True):
        assert_array_equal(z, q_i.mu[0].numpy())


def test_a_reconstruction_is_the_mean_of_p_x_given_its_encoding(trained: Store) -> None:
    model, x = hierarchy(trained), draws(1, (9, X))
    zeros = [torch.zeros(1, 1, 9, n) for n in small.LATENTS]
    out = small.infer(model.net, torch.from_numpy(x).float().unsqueeze(0), zeros)
    assert_array_equal(model.reconstruct(x, None), out.px.mean[0].numpy())


def test_samples_are_images_of_the_prior(trained: Store) -> None:
    model = hierarchy(trained)
    eps = streams.normal(1, "api/prior", 0, shape=(1, 7, sum(small.LATENTS)), device=small.CPU)
    expected = generate(model.net, torch.split(eps, list(small.LATENTS), -1))
    first, other = (model.sample(7, seed) for seed in (1, 2))
    assert_array_equal(first, expected[0].numpy())
    assert not np.allclose(first, other)


def test_memory_does_not_grow_with_the_images_but_for_what_is_returned(trained, monkeypatch):
    """No pass of the network sees more rows than a chunk has."""
    model, seen, dense = hierarchy(trained), [0], Net.dense

    def watched(net: Net, name: str, y: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        seen.append(y.shape[1])
        return dense(net, name, y, *rest, **named)

    monkeypatch.setattr(Net, "dense", watched)
    x, n = draws(1, (2 * ROWS + 5, X)), 2 * ROWS + 5
    assert len(model.encode(x)[0]) == len(model.reconstruct(x)) == len(model.sample(n)) == n
    assert len(model.score(x, samples=1).LK) == n
    assert max(seen) == ROWS


@pytest.mark.parametrize("same", [lambda x: x.reshape(9, 1, X), lambda x: x.astype(bool)])
def test_an_image_scores_the_same_whatever_its_shape_and_type(trained: Store, same: Any) -> None:
    model, x = hierarchy(trained), draws(1, (9, X))
    assert_array_equal(model.score(same(x)).LK, model.score(x).LK)


def test_one_sample_shows_no_monte_carlo_error(trained: Store) -> None:
    assert np.isnan(hierarchy(trained).score(binary(), 1).mc_error)


def test_a_seed_of_numpy_is_the_same_seed(trained: Store) -> None:
    model, x = hierarchy(trained), draws(1, (2, X))
    assert_array_equal(model.score(x, 5, np.int64(3)).LK, model.score(x, 5, 3).LK)


def test_statistics_are_none_without_batch_norm(trained: Store) -> None:
    path = weights_path(trained.folder(PROFILE), VAE)
    assert load_statistics(path, VAE) == {}
    assert not any(name.startswith(SEEN) for name in read(path)[1])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_cuda_scores_as_on_the_cpu_but_for_chance(trained: Store) -> None:
    model = load_model(LVAE.id, PROFILE, trained.root, device="cuda")
    assert isinstance(model, TrainedHierarchy)
    here, there = (m.score(binary(), 500) for m in (hierarchy(trained), model))
    assert there.LK.mean() == pytest.approx(here.LK.mean(), abs=0.3)
