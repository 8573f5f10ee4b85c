"""Damaged weights and checkpoints: a reader returns, or raises one of this project's errors."""

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import small
import torch
from fixture_fuzz import EXAMPLES, JSON, bounded, damaged, fuzzed
from hypothesis import given
from hypothesis import strategies as st
from small_training import unsealed

from repro.machine.saved import tensors
from repro.machine.saved.checkpoint import Pinned, load_checkpoint, load_header, save_checkpoint
from repro.machine.saved.weights import load_adam, load_statistics, load_weights, save_weights
from repro.model.layers import Moments
from repro.model.stack import Stack
from repro.train.log import LaneLog, Log
from repro.train.state import fresh

SMALL = small.run("lvae", 2)


@functools.cache
def weights() -> bytes:
    params = {name: value.float() for name, value in small.params(Stack((SMALL,))).items()}
    seen = {"d1.a": Moments(torch.zeros(1, 1, 13), torch.ones(1, 1, 13))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_weights(path, SMALL, params, {"t": torch.zeros(())}, seen)
        return unsealed(path)


@functools.cache
def checkpoint() -> bytes:
    stack = Stack((SMALL,))
    state = fresh(stack, small.PIXELS, small.CPU, torch.float32)
    log = Log([LaneLog([{"epoch": 1.0, "beta": 1.0, "lr": 1e-3, "L1_train_running": -9.0}])], 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        save_checkpoint(path, stack, state, log, Pinned("eager", 1, "cpu"))
        return unsealed(path)


@pytest.mark.parametrize(
    ("valid", "read"),
    [
        (weights, load_weights),
        (weights, load_adam),
        (weights, lambda path: load_statistics(path, SMALL)),
        (checkpoint, load_header),
        (checkpoint, lambda path: load_checkpoint(path, small.CPU)),
    ],
    ids=["weights", "adam", "statistics", "header", "checkpoint"],
)
def test_safetensors(valid, read, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(valid())
    read(path)
    head = 8 + int.from_bytes(valid()[:8], "little")

    @fuzzed(max_examples=4 * EXAMPLES)
    @given(damaged(valid(), head))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        with bounded():
            read(path)

    check()


@fuzzed(max_examples=EXAMPLES // 3)
@given(st.sampled_from(["runs", "pinned", "log", "lanes"]), st.text(max_size=8), JSON)
def test_a_checkpoint_with_any_value_anywhere(part: str, field: str, value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        path.write_bytes(checkpoint())
        strings, content = tensors.read(path)
        header = json.loads(strings["checkpoint"])
        inside = header[part][0] if isinstance(header[part], list) else header[part]
        for changed in ({**header, part: value}, {**header, part: [value]}):
            read_with(path, content, changed)
        for name in (field, *inside):
            inside_too = {**inside, name: value}
            whole = [inside_too] if isinstance(header[part], list) else inside_too
            read_with(path, content, {**header, part: whole})


def read_with(path: Path, content: dict[str, torch.Tensor], header: Any) -> None:
    path.write_bytes(safetensors.torch.save(content, {"checkpoint": json.dumps(header)}))
    for read in (load_header, lambda path: load_checkpoint(path, small.CPU)):
        with bounded():
            read(path)
