"""Nothing saved is believed unverified: one changed byte anywhere is an error, never a number."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_data import refused
from safetensors.torch import save
from small_training import (
    BLOCKS,
    EPOCHS,
    OPTIONS,
    PROFILE,
    RUNS,
    assert_same,
    hooked,
    interrupted,
)

from repro.engine import tensors
from repro.engine.checkpoint import load_checkpoint, load_header
from repro.engine.local import train
from repro.engine.minibatch import BLOCK
from repro.engine.weights import load_adam, load_statistics, load_weights, weights_path
from repro.errors import RecordError
from repro.store import Store

CPU = torch.device("cpu")
BYTES = 150  # changed one at a time, in each file
HEADS = 40  # of them among a file's first bytes and last


def changes(content: bytes, seed: int) -> list[bytes]:
    """`content` with one byte changed: at both ends, and anywhere."""
    draw = random.Random(seed)
    places = [*range(HEADS), *range(len(content) - HEADS, len(content))]
    places += [draw.randrange(len(content)) for _ in range(BYTES - len(places))]
    found = []
    for at in places:
        other = draw.randrange(255)
        changed = bytearray(content)
        changed[at] = other + (other >= content[at])
        found.append(bytes(changed))
    return found


def accepted(path: Path, read: Callable[[], Any]) -> int:
    """How many changes of one byte of a file are read without a RecordError."""
    content, count = path.read_bytes(), 0
    for changed in changes(content, seed=len(content)):
        path.write_bytes(changed)
        try:
            read()
        except RecordError:
            continue
        count += 1
    path.write_bytes(content)
    read()
    return count


@pytest.mark.parametrize("read", [load_header, lambda path: load_checkpoint(path, CPU)])
def test_a_changed_byte_of_a_checkpoint_is_refused(
    read: Callable[[Path], Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted(store, RUNS, monkeypatch)
    assert accepted(path, lambda: read(path)) == 0


@pytest.mark.parametrize(
    "read", [load_weights, load_adam, lambda path: load_statistics(path, RUNS[0])]
)
def test_a_changed_byte_of_weights_is_refused(read: Callable[[Path], Any], whole: Store) -> None:
    path = weights_path(whole.folder(PROFILE), RUNS[0])
    assert accepted(path, lambda: read(path)) == 0


def unsealed(path: Path) -> bytes:
    """The file as versions before the checksum wrote it."""
    strings, content = tensors.read(path)
    return save(content, strings)


def test_weights_of_a_version_without_checksum_are_read(whole: Store, tmp_path: Path) -> None:
    path, old = weights_path(whole.folder(PROFILE), RUNS[0]), tmp_path / "old.safetensors"
    old.write_bytes(unsealed(path))
    (run, params), (expected, same) = load_weights(old), load_weights(path)
    assert run == expected
    assert params.keys() == same.keys()
    assert all(params[n].equal(same[n]) for n in params)


def test_a_checkpoint_of_a_version_without_checksum_is_continued(
    store: Store, whole: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted(store, RUNS, monkeypatch)
    path.write_bytes(unsealed(path))
    left = hooked(monkeypatch, lambda *_: None)
    train(RUNS, store, PROFILE, OPTIONS)
    assert 0 < left[0] < EPOCHS * BLOCKS * BLOCK
    for run in RUNS:
        assert_same(store, whole, run)


def test_a_damaged_checkpoint_says_so_with_the_remedy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted(store, RUNS, monkeypatch)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with refused(RecordError, str(path), "damaged", "remove it and train again"):
        train(RUNS, store, PROFILE, OPTIONS)


def test_no_value_of_a_header_is_taken_for_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a"
    strings = {"a": json.dumps({tensors.KEY: tensors.BLANK.decode()}, separators=(",", ":"))}
    tensors.write(path, {"W": torch.ones(3)}, strings)
    assert tensors.metadata(path) == strings
    assert accepted(path, lambda: tensors.read(path)) == 0
