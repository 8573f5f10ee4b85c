"""Damaged files of every kind: a reader returns, or raises one of this project's errors.

Damage is drawn from a fixed sequence, so a failure can be repeated.
"""

import contextlib
import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path
from typing import Any

import fixture_data
import fixture_norb
import fixture_omniglot
import fixture_store
import numpy as np
import pytest
import safetensors.torch
import small
import torch
from fixture_fuzz import EXAMPLES, JSON, bounded, damaged, fuzzed
from hypothesis import given
from hypothesis import strategies as st
from small_training import unsealed

from repro import data
from repro.data import idx, originals
from repro.data.sources import DamageError
from repro.machine.saved import checkpoint, tensors, weights
from repro.model.layers import Moments
from repro.model.stack import Stack
from repro.plan.layers import layers
from repro.plan.profiles import profile, runs
from repro.plan.run import to_dict
from repro.store import Record, Store
from repro.store.sealed import FINAL, SUMS, digest, listing
from repro.train.log import LaneLog, Log
from repro.train.state import fresh

EVALUATION = fixture_omniglot.TOPS[1]
RUN = runs(profile("smoke"))[-1]


def endure(path: Path, read: Callable[[], Any], head: int = 64, examples: int = EXAMPLES) -> None:
    """Read a file as it is, then damaged in many ways, half of them among its first bytes."""

    @fuzzed(max_examples=examples)
    @given(damaged(path.read_bytes(), head))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        with bounded():
            read()

    read()
    check()


# Records


@functools.cache
def record() -> Record:
    """A record of a Run, in a folder that lasts as long as this process."""
    folder = Path(tempfile.mkdtemp())
    return fixture_store.write(Store(folder), "smoke", RUN)


def readable(name: str, content: bytes, read: Callable[[Record], Any]) -> bool:
    """Whether the record can be read with one file replaced, its checksum put right."""
    whole = record()
    path, sums = whole.folder / name, whole.folder / SUMS
    before = path.read_bytes(), sums.read_bytes()
    try:
        sums.write_bytes(listing({**whole.sums, name: digest(content)}))
        path.write_bytes(content)
        with bounded():
            read(Store(whole.folder.parent.parent).record("smoke", whole.run.id))
            return True
        return False
    finally:
        path.write_bytes(before[0])
        sums.write_bytes(before[1])


@pytest.mark.parametrize(
    ("name", "read"),
    [
        *((name, Record.verify) for name in ("run.json", "env.json", FINAL, SUMS)),
        ("curve.csv", Record.curve),
        *((f"{name}.npz", methodcaller("arrays", name)) for name in ("per_image", "kl_units")),
    ],
)
def test_a_file_of_a_record(name: str, read: Callable[[Record], Any]) -> None:
    @fuzzed()
    @given(damaged((record().folder / name).read_bytes()))
    def check(content: bytes) -> None:
        readable(name, content, read)

    check()


@fuzzed()
@given(st.sampled_from(sorted(to_dict(RUN))), st.text(max_size=8), JSON)
def test_a_run_with_any_value_anywhere(part: str, field: str, value: Any) -> None:
    plain = to_dict(RUN)
    if isinstance(plain[part], dict) and field:
        plain[part][sorted(plain[part])[len(field) % len(plain[part])]] = value
    else:
        plain[part] = value
    readable("run.json", json.dumps(plain).encode(), lambda r: r.run.hash)


def test_json_nested_without_end_is_refused() -> None:
    assert not readable("env.json", b'{"a":' * 200_000, Record.verify)
    assert not readable("run.json", b"[" * 200_000, Record.verify)


def npz(**content: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


def test_arrays_that_are_huge_claim_to_be_or_hold_objects_are_refused() -> None:
    header, claiming = io.BytesIO(), io.BytesIO()
    claim = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(header, claim)
    with zipfile.ZipFile(claiming, "w") as z:
        z.writestr("L1.npy", header.getvalue())
    bomb, objects = npz(L1=np.zeros(2**28, np.uint8)), npz(L1=np.array([{}], dtype=object))
    assert len(bomb) < 2**20
    for content in (claiming.getvalue(), bomb, objects):
        assert not readable("per_image.npz", content, methodcaller("arrays", "per_image"))


# Data sets


@fuzzed()
@given(damaged(fixture_data.toy_contents()[fixture_data.IMAGES]))
def test_idx(content: bytes) -> None:
    with bounded(), contextlib.suppress(DamageError):
        idx.parse(content, (fixture_data.TRAIN, idx.SIDE, idx.SIDE))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_published_file_of_mnist_format(suffix, tmp_path):
    folder = fixture_data.fill(tmp_path, suffix=suffix)
    path = folder / f"{fixture_data.IMAGES}{suffix}"
    endure(path, lambda: data.load_set(fixture_data.toy(), tmp_path))


@pytest.mark.parametrize("name", [fixture_norb.TRAIN_DAT, fixture_norb.TRAIN_CAT])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_small_norb(name, suffix, tmp_path):
    folder = fixture_norb.fill(tmp_path, suffix=suffix)
    endure(folder / f"{name}{suffix}", lambda: fixture_norb.load(tmp_path))


@fuzzed()
@given(damaged(fixture_omniglot.packed([*fixture_omniglot.drawn(EVALUATION).items()][:2])))
def test_an_archive_of_omniglot(content: bytes) -> None:
    with bounded(), contextlib.suppress(DamageError):
        originals.read.__wrapped__(content, EVALUATION)


@fuzzed()
@given(damaged(fixture_omniglot.png(fixture_omniglot.paper(0))))
def test_a_drawing_of_omniglot(content: bytes) -> None:
    name = fixture_omniglot.name_of(EVALUATION, "Bengali", 1, 1)
    archive = fixture_omniglot.packed([(name, content)])
    with bounded(), contextlib.suppress(DamageError), zipfile.ZipFile(io.BytesIO(archive)) as z:
        originals.pixels(z, z.getinfo(name))


# Weights and checkpoints


def saved_weights(path: Path) -> None:
    params = {n: value.float() for n, value in small.params(Stack((SMALL,))).items()}
    names = [d.name for d in layers(SMALL.model, 1) if d.norm]
    seen = {name: Moments(torch.zeros(1, 1, 13), torch.ones(1, 1, 13)) for name in names}
    weights.save_weights(path, SMALL, params, {"t": torch.zeros(())}, seen)


def saved_checkpoint(path: Path) -> None:
    stack = Stack((SMALL,))
    state = fresh(stack, small.PIXELS, small.CPU, torch.float32)
    log = Log([LaneLog([{"epoch": 1.0, "beta": 1.0, "lr": 1e-3, "L1_train_running": -9.0}])], 1)
    pinned = checkpoint.Pinned("eager", 1, "cpu")
    checkpoint.save_checkpoint(path, stack, state, log, pinned)


def load_statistics(path: Path) -> Any:
    return weights.load_statistics(path, SMALL)


def load_checkpoint(path: Path) -> Any:
    return checkpoint.load_checkpoint(path, small.CPU)


SMALL = small.run("lvae", 2)
HEADERS = (checkpoint.load_header, load_checkpoint)


@pytest.mark.parametrize(
    ("save", "read"),
    [
        *((saved_weights, r) for r in (weights.load_weights, weights.load_adam, load_statistics)),
        *((saved_checkpoint, read) for read in HEADERS),
    ],
)
def test_safetensors(save, read, tmp_path):
    path = tmp_path / "a.safetensors"
    save(path)
    path.write_bytes(unsealed(path))
    head = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    endure(path, lambda: read(path), head, 4 * EXAMPLES)


@functools.cache
def saved() -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Header and tensors of a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        saved_checkpoint(path)
        strings, content = tensors.read(path)
        return json.loads(strings["checkpoint"]), content


@fuzzed(max_examples=EXAMPLES // 3)
@given(st.sampled_from(["runs", "pinned", "log", "lanes"]), st.text(max_size=8), JSON)
def test_a_checkpoint_with_any_value_anywhere(part: str, field: str, value: Any) -> None:
    header, content = saved()
    listed = isinstance(header[part], list)
    inside = header[part][0] if listed else header[part]
    changes = [value, [value]]
    for name in (field, *inside):
        changed = {**inside, name: value}
        changes.append([changed] if listed else changed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        for change in changes:
            strings = {"checkpoint": json.dumps({**header, part: change})}
            path.write_bytes(safetensors.torch.save(content, strings))
            for read in HEADERS:
                with bounded():
                    read(path)
