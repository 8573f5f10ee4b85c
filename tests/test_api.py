"""Trained models in the hands of a user: what they give, and what they refuse."""

from dataclasses import replace
from pathlib import Path

import ladder_small
import numpy as np
import pytest
import small
import torch
from fixture_data import refused
from numpy.testing import assert_array_equal

from repro.api import binarise, load_model, load_record
from repro.errors import MachineError, RecordError, UsageError
from repro.machine.local import train
from repro.machine.saved.weights import load_statistics, load_weights, save_weights, weights_path
from repro.machine.work import Options
from repro.model import streams
from repro.model.hierarchy import generate
from repro.model.layers import Net
from repro.plan.run import Schedule
from repro.train.evaluate import ROWS, bounds, importance_bound
from repro.train.score import noise_of
from repro.train.tasks.hierarchies import HIERARCHIES

PROFILE = "smoke"
LVAE, LADDER = small.run("lvae", 3), ladder_small.run()
X = small.PIXELS
IMAGES = (np.random.default_rng(1).random((9, X)) < 0.4).astype(np.uint8)

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


@pytest.fixture
def model(trainings):
    return load_model(LVAE.id, PROFILE, trainings(LVAE))


@pytest.fixture
def ladder(trainings):
    return load_model(LADDER.id, PROFILE, trainings(LADDER))


def binary() -> np.ndarray:
    return binarise(small.raw().test, LVAE.data.grey_scale, LVAE.data.test_seed)


# What models give. That a Ladder network classifies as its record says is in test_cli_score.py.


@pytest.mark.parametrize("run", KINDS.values(), ids=KINDS)
def test_a_loaded_model_is_the_one_that_was_scored(store, run):
    """After training in one stack with another seed."""
    beside = replace(run, seed=7, start=run.start and run.start.with_seed(7))
    train([run, beside], store, PROFILE, Options(engine="eager", threads=1))
    raw = HIERARCHIES.images(run, small.raw())
    x, noise = torch.from_numpy(raw.test).float().unsqueeze(0), noise_of(run, 2, small.CPU)
    net = load_model(run.id, PROFILE, store.root).net
    scored = store.record(PROFILE, run.id).arrays("per_image")
    assert_array_equal(bounds(net, x, noise, "test").L1[0].numpy(), scored["L1"])
    LK = importance_bound(net, x, noise, run.evaluation.importance_samples).LK.float()
    assert_array_equal(LK[0].numpy(), scored["LK"])


def test_scores_are_the_record_s_but_for_chance_and_tightened_by_samples(model, trainings):
    final = load_record(LVAE.id, PROFILE, trainings(LVAE)).final
    one, own, many = (model.score(binary(), K) for K in (1, final["K"], 2000))
    assert own.LK.mean() == pytest.approx(final["LK_test"], abs=6 * final["LK_mc_error"] + 0.2)
    assert own.L1.mean() == pytest.approx(final["L1_test"], abs=6 * final["L1_se"])
    assert one.LK.mean() < own.LK.mean() < many.LK.mean()
    assert np.isnan(one.mc_error)
    assert 0 < many.mc_error < own.mc_error


def test_an_encoding_is_a_draw_of_every_layer_by_its_seed_alone(model):
    z = model.encode(IMAGES, 1)
    assert [layer.shape for layer in z] == [(9, n) for n in small.LATENTS]
    assert_array_equal(z[0], model.encode(IMAGES, np.int64(1))[0])
    assert not np.allclose(z[0], model.encode(IMAGES, 2)[0])


def test_without_a_seed_encoding_and_reconstruction_are_means(model):
    zeros = [torch.zeros(1, 1, 9, n) for n in small.LATENTS]
    out = small.infer(model.net, torch.from_numpy(IMAGES).float().unsqueeze(0), zeros)
    for z, q_i in zip(model.encode(IMAGES, None), out.q, strict=True):
        assert_array_equal(z, q_i.mu[0].numpy())
    assert_array_equal(model.reconstruct(IMAGES, None), out.px.mean[0].numpy())


def test_samples_are_images_of_the_prior(model):
    eps = streams.normal(1, "api/prior", 0, shape=(1, 7, sum(small.LATENTS)), device=small.CPU)
    expected = generate(model.net, torch.split(eps, list(small.LATENTS), -1))
    first, other = (model.sample(7, seed) for seed in (1, 2))
    assert_array_equal(first, expected[0].numpy())
    assert not np.allclose(first, other)


def test_memory_does_not_grow_with_the_images_but_for_what_is_returned(model, monkeypatch):
    """No pass of the network sees more rows than a chunk has."""
    seen, dense, n = [0], Net.dense, 2 * ROWS + 5

    def watched(net, name, y, *rest, **named):
        seen.append(y.shape[1])
        return dense(net, name, y, *rest, **named)

    monkeypatch.setattr(Net, "dense", watched)
    x = np.resize(IMAGES, (n, X))
    assert len(model.encode(x)[0]) == len(model.reconstruct(x)) == len(model.sample(n)) == n
    assert len(model.score(x, samples=1).LK) == n
    assert max(seen) == ROWS


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_cuda_scores_as_on_the_cpu_but_for_chance(model, trainings):
    there = load_model(LVAE.id, PROFILE, trainings(LVAE), device="cuda")
    here, far = (m.score(binary(), 500) for m in (model, there))
    assert far.LK.mean() == pytest.approx(here.LK.mean(), abs=0.3)


# What they refuse: every error is of `repro.errors`


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((3, X + 1)), f"give [N, {X}]"),
        (np.zeros(X), f"shape ({X},)"),
        (np.zeros((0, X)), f"shape (0, {X})"),
        (np.zeros((3, 1, X + 1)), "height, width"),
        (np.full((3, X), 0.5), "dtype uint8: np.rint(255 * images).astype(np.uint8) to"),
        (small.grey(3), "give them to `--binarise` or `repro.data.images.binarise`"),
        (np.full((3, X), 7.5), "type float64, from 7.5 to 7.5"),
        (np.full((3, X), -1), "models binary ones"),
        (np.full((3, X), np.nan), "type float64, from nan to nan, hold values that are not finite"),
        (np.full((3, X), "1"), "give real numbers"),
        (np.full((3, X), None), "type object"),
        ([[0] * X, [0]], "type list"),
        (np.full((3, X), 1j), "give real numbers"),
        (np.zeros(()), "shape ()"),
        (np.zeros((3, X), "M8[s]"), "give real numbers"),
        (np.zeros((3, X), [("a", "u1")]), "give real numbers"),
        (np.full((3, X), 1e300), "not finite"),
    ],
)
def test_images_of_another_kind_are_refused(model, images, said):
    for use in (model.encode, model.reconstruct, model.score):
        with refused(UsageError, said):
            use(images)


def test_a_ladder_network_refuses_other_images(ladder):
    for images, said in (
        (np.zeros((3, X + 1)), f"give [N, {X}]"),
        (np.full((3, X), 255), "type int64, from 255 to 255, not in [0, 1]: divide bytes by 255"),
        (np.full((3, X), -0.1), "not in [0, 1]"),
        (np.full((3, X), np.inf), "not finite"),
    ):
        with refused(UsageError, said):
            ladder.classify(images)


@pytest.mark.parametrize(
    ("use", "given", "said"),
    [
        ("sample", {"n": 2.5}, "sample of 2.5 images: give a whole number"),
        ("sample", {"n": 10**12}, "at most"),
        ("sample", {"n": 0}, "sample of 0 images: give at least 1"),
        ("score", {"samples": 0}, "0 importance samples: give at least 1"),
        ("sample", {"n": 3, "seed": None}, "seed None"),
        ("score", {"samples": "5"}, "'5' importance samples"),
        ("score", {"seed": -1}, "seed -1: give at least 0"),
        ("score", {"seed": None}, "seed None"),
        ("encode", {"seed": 1.0}, "seed 1.0"),
        ("reconstruct", {"seed": -1}, "seed -1"),
    ],
)
def test_numbers_of_another_kind_are_refused(model, use, given, said):
    images = [] if use == "sample" else [IMAGES]
    with refused(UsageError, said):
        getattr(model, use)(*images, **given)


def test_a_device_that_does_not_work_is_named(trainings):
    for device in ("meta", "cuda:99", "hpu", *(() if torch.cuda.is_available() else ("cuda",))):
        with refused(MachineError, f"device {device!r}", "use cpu"):
            load_model(LVAE.id, PROFILE, trainings(LVAE), device)
    with refused(MachineError, "'IPU' backend: use cpu"):
        load_model(LVAE.id, PROFILE, trainings(LVAE), "ipu")
    for other, said in (("gpu", "device 'gpu': unknown: use cpu"), (None, "device None")):
        with refused(UsageError, said, "use cpu"):
            load_model(LVAE.id, PROFILE, trainings(LVAE), other)


@pytest.mark.parametrize(
    "error", [MemoryError("9 GiB"), RuntimeError("DefaultCPUAllocator: can't allocate\nmemory")]
)
def test_too_little_memory_is_a_machine_error(model, ladder, monkeypatch, error):
    def full(*_, **__):
        raise error

    for name in ("latents", "reconstruct", "bounds", "sample"):
        monkeypatch.setattr(f"repro.train.evaluate.{name}", full)
    monkeypatch.setattr("repro.api.predict", full)
    of_images = (model.encode, model.reconstruct, model.score, ladder.classify)
    for use, given in (*((use, IMAGES) for use in of_images), (model.sample, 3)):
        with refused(MachineError, "too little memory", "give fewer"):
            use(given)


NO_NAMES = ("", ".", "../..", f"{LVAE.id}/", f"../{PROFILE}/{LVAE.id}")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        *(((name, PROFILE), f"unknown Run {name!r}: ") for name in NO_NAMES),
        (
            ("mnist-none-L1-s1", PROFILE),
            "unknown Run 'mnist-none-L1-s1': the nearest are mnist-vae",
        ),
        (("mnist-vae-L5-s2", PROFILE), "no record of mnist-vae-L5-s2"),
        ((LVAE.id, "quik"), "unknown profile 'quik': choose from smoke, "),
        (("mnist-vae-L5-s²", PROFILE), "unknown Run 'mnist-vae-L5-s²'"),
        (("a\0b", PROFILE), "unknown Run"),
        ((LVAE.id, "x" * 300), "unknown profile"),
        (("x" * 300, PROFILE), "unknown Run"),
        *(((LVAE.id, PROFILE, store), "") for store in ("x" * 300, "no\0where", 5)),
        *(((LVAE.id, PROFILE, store), store) for store in ("nowhere", __file__)),
        *((names, "as text") for names in ((None, PROFILE), (LVAE.id, None), (Path("a"), PROFILE))),
    ],
)
def test_what_is_nowhere_is_a_record_error_and_what_is_no_name_wrong_usage(trainings, asked, said):
    for load in (load_model, load_record):
        with refused(UsageError if said.startswith(("as text", "unknown")) else RecordError, said):
            load(*asked, *([trainings(LVAE)] if len(asked) == 2 else []))


@pytest.mark.parametrize("trained", [LVAE, LADDER], indirect=True, ids=["hierarchy", "ladder"])
def test_weights_that_are_not_whole_or_of_this_run_name_file_and_remedy(trained, local):
    path = weights_path(local.folder(PROFILE), trained)
    params, seen = load_weights(path)[1], load_statistics(path, trained)

    def refuse(remedy: str) -> None:
        with refused(RecordError, str(path), remedy):
            load_model(trained.id, PROFILE, local.root)

    save_weights(path, trained, dict(list(params.items())[1:]), seen=seen)  # one is lacking
    refuse("train it again")
    save_weights(path, trained, params, seen=dict(list(seen.items())[1:]))
    refuse("holds no statistics of layer")
    save_weights(path, trained, params)  # as an older version did
    refuse(f"`repro evaluate {trained.id}`")
    save_weights(path, replace(trained, optim=replace(trained.optim, lr=0.5)), params)
    refuse("another configuration")
    path.unlink()
    refuse(f"`repro train {trained.id} --profile {PROFILE}`")


def test_a_diverged_run_has_no_model(trained, local):
    """Even where an earlier training has left weights."""
    record = local.record(PROFILE, LVAE.id)
    diverged = {"state": "diverged", "diverged_at": 2}
    local.write(PROFILE, LVAE, record.env, diverged, record.curve(), {})
    with refused(RecordError, "diverged", "choose another Run"):
        load_model(LVAE.id, PROFILE, local.root)
