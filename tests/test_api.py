"""Trained models in the hands of a user: what they give, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ladder_small
import numpy as np
import pytest
import small
import small_training
import torch
from fixture_data import refused
from numpy.testing import assert_array_equal

from repro.api import TrainedHierarchy, TrainedLadder, binarise, load_model, load_record
from repro.config import Schedule
from repro.engine.local import Options, train
from repro.engine.weights import SEEN, load_statistics, load_weights, save_weights, weights_path
from repro.errors import MachineError, RecordError, UsageError
from repro.evaluate import ROWS, bounds, importance_bound
from repro.layers import Net
from repro.score import noise_of
from repro.store import Store
from repro.tasks.hierarchies import HIERARCHIES

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
    LK = importance_bound(net, x, noise, run.evaluation.importance_samples).bound()
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
    mean = model.reconstruct(x, None)
    assert mean.shape == x.shape
    assert mean.min() > 0
    assert mean.max() < 1
    assert_array_equal(mean, model.reconstruct(x, None))


def test_samples_are_images_of_the_prior(trained: Store) -> None:
    model = hierarchy(trained)
    first, same, other = (model.sample(7, seed) for seed in (1, 1, 2))
    assert first.shape == (7, X)
    assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_memory_does_not_grow_with_the_images_but_for_what_is_returned(
    trained: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pass of the network sees more rows than a chunk has."""
    model, seen, dense = hierarchy(trained), [0], Net.dense

    def watched(net: Net, name: str, y: torch.Tensor, norm: bool = True) -> torch.Tensor:
        seen.append(y.shape[1])
        return dense(net, name, y, norm)

    monkeypatch.setattr(Net, "dense", watched)
    x, n = draws(1, (2 * ROWS + 5, X)), 2 * ROWS + 5
    assert len(model.encode(x)[0]) == len(model.reconstruct(x)) == len(model.sample(n)) == n
    assert len(model.score(x, samples=1).LK) == n
    assert max(seen) == ROWS


def test_images_may_have_height_and_width(trained: Store) -> None:
    model, x = hierarchy(trained), draws(1, (9, X))
    assert_array_equal(model.score(x.reshape(9, 1, X)).LK, model.score(x).LK)


def test_an_image_scores_the_same_whatever_its_type(trained: Store) -> None:
    model, x = hierarchy(trained), draws(1, (9, X))
    assert_array_equal(model.score(x.astype(bool)).L1, model.score(x.astype(float)).L1)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((3, X + 1)), f"give [N, {X}]"),
        (np.zeros(X), f"shape ({X},)"),
        (np.zeros((0, X)), f"shape (0, {X})"),
        (np.zeros((3, 1, X + 1)), "height, width"),
        (np.full((3, X), 200), "from 200 to 200"),
        (
            np.full((3, X), 0.5),
            "give bytes, dtype uint8: np.rint(255 * images).astype(np.uint8) to",
        ),
        (small.grey(3), "give them to `--binarise` or `repro.api.binarise`"),
        (np.full((3, X), 7.5), "type float64, from 7.5 to 7.5"),
        (np.full((3, X), -1), "models binary ones"),
        (np.full((3, X), np.nan), "type float64, from nan to nan, hold values that are not finite"),
        (np.full((3, X), "1"), "give real numbers"),
        (np.full((3, X), None), "type object"),
        ([[0] * X, [0]], "type list"),
        (np.full((3, X), 1j), "give real numbers"),
    ],
)
@pytest.mark.parametrize("use", ["encode", "reconstruct", "score"])
def test_images_of_another_kind_are_refused(trained: Store, use, images, said) -> None:
    with refused(UsageError, said):
        getattr(hierarchy(trained), use)(images)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((3, X + 1)), f"give [N, {X}]"),
        (np.full((3, X), 255), "type int64, from 255 to 255, not in [0, 1]: divide bytes by 255"),
        (np.full((3, X), -0.1), "not in [0, 1]"),
        (np.full((3, X), np.inf), "not finite"),
    ],
)
def test_a_ladder_network_refuses_other_images(trained: Store, images, said) -> None:
    with refused(UsageError, said):
        ladder(trained).classify(images)


def test_one_sample_shows_no_monte_carlo_error(trained: Store) -> None:
    assert np.isnan(hierarchy(trained).score(binary(), 1).mc_error)


def test_no_sample_and_no_importance_sample_are_refused(trained: Store) -> None:
    with refused(UsageError, "sample of 0 images", "at least 1"):
        hierarchy(trained).sample(0)
    with refused(UsageError, "0 importance samples", "at least 1"):
        hierarchy(trained).score(binary(), 0)


@pytest.mark.parametrize(
    ("device", "error", "said"),
    [
        ("gpu", UsageError, "device 'gpu': unknown: use cpu"),
        ("", UsageError, "device ''"),
        (None, UsageError, "device None"),
        ("meta", MachineError, "device 'meta'"),
        ("cuda:99", MachineError, "device 'cuda:99'"),
        ("mps", MachineError, "device 'mps'"),
        ("hpu", MachineError, "device 'hpu'"),
    ],
)
def test_a_device_that_does_not_work_is_named(trained: Store, device, error, said) -> None:
    with refused(error, said, "use cpu"):
        load_model(LVAE.id, PROFILE, trained.root, device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_cuda_device_is_a_machine_error(trained: Store) -> None:
    with refused(MachineError, "device 'cuda'", "use cpu"):
        load_model(LVAE.id, PROFILE, trained.root, "cuda")


@pytest.mark.parametrize("load", [load_model, load_record])
@pytest.mark.parametrize(
    "asked",
    [
        ("mnist-vae-L5-s²", PROFILE),
        ("../..", PROFILE),
        ("", PROFILE),
        ("a\0b", PROFILE),
        (LVAE.id, "x" * 300),
        ("x" * 300, PROFILE),
        (LVAE.id, PROFILE, "x" * 300),
        (LVAE.id, PROFILE, "no\0where"),
        (LVAE.id, PROFILE, "nowhere"),
        (LVAE.id, PROFILE, __file__),
        (LVAE.id, PROFILE, 5),
    ],
)
def test_what_is_nowhere_is_a_record_error(trained: Store, load, asked) -> None:
    with refused(RecordError):
        load(*asked, *([trained.root] if len(asked) == 2 else []))


@pytest.mark.parametrize("asked", [(None, PROFILE), (LVAE.id, None), (Path(LVAE.id), PROFILE)])
def test_names_are_text(trained: Store, asked) -> None:
    with refused(UsageError, "names as text"):
        load_model(*asked, trained.root)


@pytest.mark.parametrize(
    ("use", "given", "said"),
    [
        ("sample", {"n": 2.5}, "sample of 2.5 images: give a whole number"),
        ("sample", {"n": 10**12}, "at most"),
        ("sample", {"n": 3, "seed": None}, "seed None"),
        ("score", {"samples": "5"}, "'5' importance samples"),
        ("score", {"seed": -1}, "seed -1: give at least 0"),
        ("score", {"seed": None}, "seed None"),
        ("encode", {"seed": 1.0}, "seed 1.0"),
        ("reconstruct", {"seed": -1}, "seed -1"),
    ],
)
def test_numbers_of_another_kind_are_refused(trained: Store, use, given, said) -> None:
    images = [] if use == "sample" else [draws(1, (2, X))]
    with refused(UsageError, said):
        getattr(hierarchy(trained), use)(*images, **given)


def test_a_seed_of_numpy_is_the_same_seed(trained: Store) -> None:
    model, x = hierarchy(trained), draws(1, (2, X))
    assert_array_equal(model.score(x, 5, np.int64(3)).LK, model.score(x, 5, 3).LK)


@pytest.mark.parametrize(
    "error", [MemoryError("9 GiB"), RuntimeError("DefaultCPUAllocator: can't allocate\nmemory")]
)
@pytest.mark.parametrize("use", ["encode", "reconstruct", "score", "sample", "classify"])
def test_too_little_memory_is_a_machine_error(trained: Store, monkeypatch, use, error) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    for name in ("latents", "reconstruct", "bounds", "generate", "predict"):
        monkeypatch.setattr(f"repro.api.{name}", full)
    model = ladder(trained) if use == "classify" else hierarchy(trained)
    with refused(MachineError, "too little memory", "give fewer"):
        getattr(model, use)(3 if use == "sample" else draws(1, (2, X)))


def test_weights_that_lack_a_tensor_are_a_record_error(copied: Store) -> None:
    for run in (LVAE, LADDER):
        path = weights_path(copied.folder(PROFILE), run)
        params, seen = load_weights(path)[1], load_statistics(path, run)
        save_weights(path, run, dict(list(params.items())[1:]), seen=seen)
        with refused(RecordError, str(path), "train it again"):
            load_model(run.id, PROFILE, copied.root)


def test_a_model_without_weights_names_the_remedy(copied: Store) -> None:
    path = weights_path(copied.folder(PROFILE), LVAE)
    path.unlink()
    with refused(RecordError, str(path), "train again"):
        load_model(LVAE.id, PROFILE, copied.root)


def test_a_model_without_a_record_is_refused(trained: Store) -> None:
    with refused(RecordError, "no record of mnist-none-L1-s1"):
        load_model("mnist-none-L1-s1", PROFILE, trained.root)


def test_a_diverged_run_has_no_model(copied: Store) -> None:
    """Even where an earlier training has left weights."""
    record = copied.record(PROFILE, LVAE.id)
    diverged = {"state": "diverged", "diverged_at": 2}
    copied.write(PROFILE, LVAE, record.env, diverged, record.curve(), {})
    with refused(RecordError, "diverged", "choose another Run"):
        load_model(LVAE.id, PROFILE, copied.root)


def test_weights_of_another_configuration_are_refused(copied: Store) -> None:
    path = weights_path(copied.folder(PROFILE), LVAE)
    save_weights(path, small.run("lvae", 3, optim={"lr": 0.5}), load_weights(path)[1])
    with refused(RecordError, str(path), "another configuration"):
        load_model(LVAE.id, PROFILE, copied.root)


@pytest.mark.parametrize("run", [LVAE, LADDER], ids=["hierarchy", "ladder"])
def test_weights_of_an_older_version_name_the_command_that_completes_them(copied, run) -> None:
    path = weights_path(copied.folder(PROFILE), run)
    save_weights(path, run, load_weights(path)[1])
    with refused(RecordError, str(path), f"`repro evaluate {run.id}`"):
        load_model(run.id, PROFILE, copied.root)


def test_statistics_are_none_without_batch_norm(trained: Store) -> None:
    path = weights_path(trained.folder(PROFILE), VAE)
    assert load_statistics(path, VAE) == {}
    assert not any(name.startswith(SEEN) for name in load_weights(path)[1])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_on_cuda_scores_as_on_the_cpu_but_for_chance(trained: Store) -> None:
    model = load_model(LVAE.id, PROFILE, trained.root, device="cuda")
    assert isinstance(model, TrainedHierarchy)
    here, there = (m.score(binary(), 500) for m in (hierarchy(trained), model))
    assert there.LK.mean() == pytest.approx(here.LK.mean(), abs=0.3)
