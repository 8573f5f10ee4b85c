"""What `repro.api` refuses, and that every error is of `repro.errors`."""

from pathlib import Path

import fixture_api
import numpy as np
import pytest
import small
import torch
from fixture_api import LADDER, LVAE, PROFILE, X, draws, hierarchy, ladder
from fixture_data import refused

from repro.api import load_model, load_record
from repro.errors import MachineError, RecordError, UsageError
from repro.machine.saved.weights import load_statistics, load_weights, save_weights, weights_path
from repro.store import Store

copied, trained = fixture_api.copied, fixture_api.trained


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
        (small.grey(3), "give them to `--binarise` or `repro.data.images.binarise`"),
        (np.full((3, X), 7.5), "type float64, from 7.5 to 7.5"),
        (np.full((3, X), -1), "models binary ones"),
        (np.full((3, X), np.nan), "type float64, from nan to nan, hold values that are not finite"),
        (np.full((3, X), "1"), "give real numbers"),
        (np.full((3, X), None), "type object"),
        ([[0] * X, [0]], "type list"),
        (np.full((3, X), 1j), "give real numbers"),
    ],
)
def test_images_of_another_kind_are_refused(trained: Store, images, said) -> None:
    model = hierarchy(trained)
    for use in (model.encode, model.reconstruct, model.score):
        with refused(UsageError, said):
            use(images)


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


@pytest.mark.parametrize(
    ("device", "error", "said"),
    [
        ("gpu", UsageError, "device 'gpu': unknown: use cpu"),
        ("", UsageError, "device ''"),
        (None, UsageError, "device None"),
        ("meta", MachineError, "device 'meta'"),
        ("cuda:99", MachineError, "device 'cuda:99'"),
        ("hpu", MachineError, "device 'hpu'"),
        ("ipu", MachineError, "'IPU' backend: use cpu"),
    ],
)
def test_a_device_that_does_not_work_is_named(trained: Store, device, error, said) -> None:
    with refused(error, said, "use cpu"):
        load_model(LVAE.id, PROFILE, trained.root, device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_cuda_device_is_a_machine_error(trained: Store) -> None:
    with refused(MachineError, "device 'cuda'", "use cpu"):
        load_model(LVAE.id, PROFILE, trained.root, "cuda")


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
def test_what_is_nowhere_is_a_record_error(trained: Store, asked) -> None:
    for load in (load_model, load_record):
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
def test_numbers_of_another_kind_are_refused(trained: Store, use, given, said) -> None:
    images = [] if use == "sample" else [draws(1, (2, X))]
    with refused(UsageError, said):
        getattr(hierarchy(trained), use)(*images, **given)


@pytest.mark.parametrize(
    "error", [MemoryError("9 GiB"), RuntimeError("DefaultCPUAllocator: can't allocate\nmemory")]
)
def test_too_little_memory_is_a_machine_error(trained: Store, monkeypatch, error) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    for name in ("latents", "reconstruct", "bounds", "sample"):
        monkeypatch.setattr(f"repro.train.evaluate.{name}", full)
    monkeypatch.setattr("repro.api.predict", full)
    model, images = hierarchy(trained), draws(1, (2, X))
    for use in (model.encode, model.reconstruct, model.score, ladder(trained).classify):
        with refused(MachineError, "too little memory", "give fewer"):
            use(images)
    with refused(MachineError, "too little memory", "give fewer"):
        model.sample(3)


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
    with refused(RecordError, str(path), f"`repro train {LVAE.id} --profile {PROFILE}`"):
        load_model(LVAE.id, PROFILE, copied.root)


@pytest.mark.parametrize("name", ["", ".", "../..", f"{LVAE.id}/", f"../{PROFILE}/{LVAE.id}"])
def test_a_path_is_not_the_name_of_a_run(trained: Store, name: str) -> None:
    with refused(RecordError, f"no Run is called {name!r}", "`repro list`"):
        load_record(name, PROFILE, trained.root)


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
