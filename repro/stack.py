"""Stacks: Runs that train together, parameters stacked on a leading lane axis.

Lanes are sorted by depth, deepest first. Sizes agree from the bottom up, so layer i is simply
absent from the lanes below its depth (*ragged* stacks); batch norm is a per-lane mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from repro import streams
from repro.config import Model, Run
from repro.errors import UsageError
from repro.layers import Dense, Lanes, Net, Params, initial_value
from repro.models import MODELS


@dataclass(frozen=True)
class Stack:
    """Runs in lane order. Raises UsageError when they cannot share a stack."""

    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        kinds = {kind(run) for run in self.runs}
        if len(kinds) != 1:
            raise UsageError(f"{self._refused}: they differ beyond lane fields")
        if list(self.lanes.depths) != sorted(self.lanes.depths, reverse=True):
            raise UsageError("lanes of a stack must be sorted by depth, deepest first")
        if not all(is_bottom_of(run.model, self.model) for run in self.runs):
            raise UsageError(f"{self._refused}: their sizes differ")

    @property
    def _refused(self) -> str:
        return f"cannot train in one stack: {', '.join(run.id for run in self.runs)}"

    @property
    def model(self) -> Model:
        """The deepest lane's model: what every other lane is the bottom of."""
        return self.runs[0].model

    @cached_property
    def lanes(self) -> Lanes:
        return Lanes(
            tuple(run.model.depth for run in self.runs),
            tuple(run.model.batch_norm for run in self.runs),
        )

    def dense_layers(self, pixels: int) -> list[Dense]:
        return MODELS[self.model.family].layers(self.model, pixels)

    def initial(self, pixels: int) -> Params:
        """Fresh parameters, each lane from its own stream: name -> [K_i, ...]."""
        params: dict[str, list[Tensor]] = {}
        for dense in self.dense_layers(pixels):
            draw = streams.uniform if dense.uniform else streams.normal
            for run in self.runs[: self.lanes.at(dense.layer)]:
                shape = (dense.fan_in, dense.fan_out)
                eps = draw(run.seed, f"init/{dense.name}", shape=shape)
                normalised = dense.norm and run.model.batch_norm
                for name, value in initial_value(dense, normalised, eps).items():
                    params.setdefault(name, []).append(value)
        unused = set() if any(self.lanes.norm) else {n for n in params if n.endswith(".gamma")}
        return {n: torch.stack(lanes) for n, lanes in params.items() if n not in unused}

    def net(self, params: Params) -> Net:
        return Net(self.model, self.lanes, params)

    def lane(self, params: Params, k: int) -> Net:
        """Lane k on its own: views into the stack's parameters."""
        run = self.runs[k]
        own = {n: p[k : k + 1] for n, p in params.items() if k < p.shape[0]}
        if not run.model.batch_norm:
            own = {n: p for n, p in own.items() if not n.endswith(".gamma")}
        return Net(run.model, Lanes((run.model.depth,), (run.model.batch_norm,)), own)


def kind(run: Run) -> Run:
    """What lanes of one stack must share: all but depth, batch norm, seed, lr and warm-up."""
    depth_free = replace(run.model, latents=(1,), widths=(1,), batch_norm=False)
    return replace(
        run,
        variant="",
        seed=0,
        model=depth_free,
        optim=replace(run.optim, lr=0.0),
        schedule=replace(run.schedule, warmup_epochs=0),
    )


def is_bottom_of(shallow: Model, deep: Model) -> bool:
    """Whether dropping layers of `deep` from the top leaves the sizes of `shallow`."""
    d = shallow.depth
    return shallow.latents == deep.latents[:d] and shallow.widths[:d] == deep.widths[:d]


def pack(runs: Sequence[Run], most_lanes: int, ragged: bool = True) -> list[Stack]:
    """Group Runs into stacks of at most `most_lanes`, deepest first.

    Batch norm on and off stay apart: under a mask, lanes without it would pay for it too.
    """
    groups: dict[object, list[Run]] = {}
    for run in runs:
        key = (kind(run), run.model.batch_norm, None if ragged else run.model.depth)
        groups.setdefault(key, []).append(run)
    stacks = []
    for group in groups.values():
        group.sort(key=lambda run: -run.model.depth)
        nests: dict[Model, list[Run]] = {}
        for run in group:
            deepest = next((m for m in nests if is_bottom_of(run.model, m)), run.model)
            nests.setdefault(deepest, []).append(run)
        for nest in nests.values():
            for i in range(0, len(nest), most_lanes):
                stacks.append(Stack(tuple(nest[i : i + most_lanes])))
    return stacks
