"""Checkpoints: one safetensors file a stack, tensors with a JSON header, replaced atomically.

A checkpoint pins what the continued numbers depend on: Runs in lane order, engine, threads.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repro.errors import RecordError
from repro.machine.saved.tensors import REMEDY, metadata, read, write
from repro.model.layers import Params
from repro.model.stack import Stack
from repro.plan.run import Run, from_dict, saved
from repro.train.log import LaneLog, Log
from repro.train.state import State

Header = dict[str, Any]
KL = "kl_train", "kl_test"  # arrays of a lane's log


@dataclass(frozen=True)
class Pinned:
    """Where the steps of a checkpoint ran."""

    engine: str
    threads: int
    device: str
    precision: str = "float32"  # of matrix products; checkpoints older than the choice had this
    multiprocessors: int | None = None  # of a CUDA device: its draws depend on them
    stepped_down: list[dict[str, str]] = field(default_factory=list)  # engines given up, and why


def path_of(folder: Path, stack: Stack) -> Path:
    """What a new checkpoint of a stack is called; `find` finds it by its Runs."""
    key = "".join(f"{run.id} {run.hash}\n" for run in stack.runs)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"


def find(folder: Path, stack: Stack) -> Path:
    """The file of these very Runs in this order, whatever it is called; else where to put one.

    Raises RecordError where a checkpoint is damaged, as nobody can say whose that was.
    """
    own = path_of(folder, stack)
    held = {path: tuple(runs) for path, runs, _ in headers(folder)}
    if found := [path for path, runs in held.items() if runs == stack.runs]:
        return own if own in found else found[0]
    names = (own.with_stem(f"{own.stem}{n}") for n in ("", *range(1, len(held) + 1)))
    return next(path for path in names if path not in held)


def headers(folder: Path) -> Iterator[tuple[Path, list[Run], Pinned]]:
    """Every checkpoint of a folder with its header. Raises RecordError for a damaged one."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            runs, pinned = load_header(path)
        except RecordError:
            if not path.exists():  # another process has just finished it
                continue
            raise
        yield path, runs, pinned


def save_checkpoint(path: Path, stack: Stack, state: State, log: Log, pinned: Pinned) -> None:
    """Write state and log whole or not at all."""
    tensors: dict[str, Tensor] = {"t": state.t, "sums": state.sums, "alive": state.alive}
    for part in ("params", "m", "v"):
        tensors.update({f"{part}/{n}": p for n, p in getattr(state, part).items()})
    for k, lane in enumerate(log.lanes):
        for name in KL:
            if getattr(lane, name):
                tensors[f"{name}/{k}"] = torch.from_numpy(np.stack(getattr(lane, name)))
    header = {
        "runs": [saved(run) for run in stack.runs],
        "pinned": dataclasses.asdict(pinned),
        "log": {n: getattr(log, n) for n in ("epoch", "step", "seconds", "data", "code")},
        "lanes": [{n: v for n, v in vars(lane).items() if n not in KL} for lane in log.lanes],
    }
    write(path, tensors, {"checkpoint": json.dumps(header, allow_nan=False)})


def load_header(path: Path) -> tuple[list[Run], Pinned]:
    """The Runs of a checkpoint in lane order, and what it pins. Raises RecordError."""
    strings = metadata(path)
    with _foreign(path):
        header = json.loads(strings["checkpoint"])
        return [from_dict(raw) for raw in header["runs"]], Pinned(**header["pinned"])


def load_checkpoint(path: Path, device: torch.device) -> tuple[State, Log]:
    """State and log as they were saved. Raises RecordError."""
    strings, tensors = read(path)
    with _foreign(path):
        header = json.loads(strings["checkpoint"])
        return _state(header, tensors, device), _log(header, tensors)


def _state(header: Header, tensors: Params, device: torch.device) -> State:
    stack = Stack(tuple(map(from_dict, header["runs"])))
    # The order of parameters is the order of declaration, which the file does not keep.
    order = [n for n in stack.names if f"params/{n}" in tensors]
    params, m, v = (
        {n: tensors[f"{part}/{n}"].to(device) for n in order} for part in ("params", "m", "v")
    )
    t, sums, alive = (tensors[n].to(device) for n in ("t", "sums", "alive"))
    return State(params, m, v, t, sums, alive)


def _log(header: Header, tensors: Params) -> Log:
    lanes = []
    for k, lane in enumerate(header["lanes"]):
        kl_train, kl_test = (list(tensors.get(f"{n}/{k}", torch.empty(0)).numpy()) for n in KL)
        lanes.append(LaneLog(**lane, kl_train=kl_train, kl_test=kl_test))
    return Log(lanes, **header["log"])


@contextlib.contextmanager
def _foreign(path: Path) -> Iterator[None]:
    """What another version may have written raises a RecordError."""
    try:
        yield
    except (RecordError, KeyError, TypeError, ValueError, IndexError, RecursionError) as e:
        raise RecordError(
            f"{path}: not a checkpoint of this version ({e}): go on with the version that wrote it,"
            f" or {REMEDY}"
        ) from e


def split(folder: Path, stack: Stack, middle: int) -> list[Stack]:
    """The first `middle` lanes and the others as stacks; each gets its part of a checkpoint."""
    halves = [Stack(stack.runs[:middle]), Stack(stack.runs[middle:])]
    path = find(folder, stack)
    if not path.exists():
        return halves
    _, pinned = load_header(path)
    state, log = load_checkpoint(path, torch.device("cpu"))
    for half, start in zip(halves, (0, middle), strict=True):
        lanes = slice(start, start + len(half.runs))
        part = dataclasses.replace(log, lanes=log.lanes[lanes])
        save_checkpoint(find(folder, half), half, lanes_of(stack, state, lanes), part, pinned)
    path.unlink()
    return halves


def lanes_of(stack: Stack, state: State, lanes: slice) -> State:
    """The state of some lanes of a stack: views."""
    params, m, v = (stack.part(p, lanes) for p in (state.params, state.m, state.v))
    return State(params, m, v, state.t, state.sums[lanes], state.alive[lanes])
