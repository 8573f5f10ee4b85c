"""Runs that start where another ended: what is trained first, and with what a stack begins."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from repro.errors import RecordError
from repro.machine.saved.tensors import REMEDY
from repro.machine.saved.weights import load_adam, load_weights, weights_path
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store import Store
from repro.train.state import State, fresh


def generations(runs: Sequence[Run]) -> list[list[Run]]:
    """Groups of Runs: whatever a Run starts from is in an earlier group than its own."""
    return [list(group) for _, group in groupby(sorted(runs, key=_links), _links)]


def _links(run: Run) -> int:
    return 0 if run.start is None else 1 + _links(run.start)


def obstacle(store: Store, profile: str, run: Run) -> str | None:
    """Why a Run cannot begin, by what it starts from. None where it can."""
    if run.start is None:
        return None
    record = store.find(profile, run.start.id)
    if record is None:
        first = f"`repro train {run.start.id} --profile {profile}` first"
        return f"starts from {run.start.id}, which has failed: {first}"
    if record.diverged:
        return f"starts from {run.start.id}, which diverged"
    if weights_path(store.folder(profile), run.start).is_file():
        return None
    return f"starts from {run.start.id}, whose weights are not here: move its record away first"


def begin(stack: Stack, folder: Path, train: Tensor, device: torch.device) -> State:
    """The state before the first step: initial values, or what each lane's `start` ended with.

    Its weights, Adam's moments and the count of its updates. train: images [N, X]. Raises
    RecordError where these are missing, or were left by another configuration.
    """
    N, X = train.shape
    mean_byte = train.sum(0).cpu() / N if stack.begins_with_data else None
    state = fresh(stack, X, device, torch.float32, mean_byte)
    for k, run in enumerate(stack.runs):
        if run.start is None:
            continue
        path = weights_path(folder, run.start)
        saved, params = load_weights(path)
        if saved.hash != run.start.hash:
            raise RecordError(f"{path}: weights of another configuration: {REMEDY}")
        ended = {**load_adam(path), **{f"params/{n}": p for n, p in params.items()}}
        for part in ("params", "m", "v"):
            for name, own in stack.own(getattr(state, part), k).items():
                own.copy_(ended[f"{part}/{name}"])
        state.t.copy_(ended["t"])  # lanes of a stack have started from equally many updates
    return state
