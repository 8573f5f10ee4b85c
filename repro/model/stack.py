"""Stacks: Runs that train together, parameters stacked on a leading lane axis.

Lanes are sorted by depth, deepest first. Sizes agree from the bottom up, so layer i is simply
absent from the lanes below its depth (*ragged* stacks); batch norm is a per-lane mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from repro.errors import UsageError
from repro.model import ladder_network, streams
from repro.model.layers import Lanes, Net, Params, initial_value, output_bias
from repro.plan.layers import layers
from repro.plan.run import Ladder, Model, Run


@dataclass(frozen=True)
class Stack:
    """Runs in lane order. Raises UsageError when they cannot share a stack."""

    runs: tuple[Run, ...]

    def __post_init__(self) -> None:
        kinds = {kind(run) for run in self.runs}
        if len(kinds) != 1:
            raise UsageError(f"{self._refused}: they differ beyond lane fields")
        depths = [run.model.depth for run in self.runs]
        if depths != sorted(depths, reverse=True):
            raise UsageError("lanes of a stack must be sorted by depth, deepest first")
        if not all(is_bottom_of(run.model, self.model) for run in self.runs):
            raise UsageError(f"{self._refused}: their sizes differ")

    @property
    def _refused(self) -> str:
        return f"cannot train in one stack: {', '.join(run.id for run in self.runs)}"

    @property
    def model(self) -> Model | Ladder:
        """The deepest lane's model: what every other lane is the bottom of."""
        return self.runs[0].model

    @property
    def hierarchy(self) -> Model:
        """The model of a stack of VAEs or LVAEs."""
        return self.runs[0].hierarchy

    @cached_property
    def lanes(self) -> Lanes:
        return Lanes(
            tuple(run.hierarchy.depth for run in self.runs),
            tuple(run.hierarchy.batch_norm for run in self.runs),
        )

    @property
    def names(self) -> list[str]:
        """All that a parameter may be called, in the order of declaration."""
        if isinstance(self.model, Ladder):
            return [p.name for p in ladder_network.parameters(self.model)]
        parts = ("W", "beta", "gamma")
        return [f"{d.name}.{part}" for d in layers(self.model, 1) for part in parts]

    @property
    def begins_with_data(self) -> bool:
        """Whether initial values depend on the training images."""
        models = (run.model for run in self.runs)
        return any(isinstance(m, Model) and m.output_bias == "data" for m in models)

    def initial(self, pixels: int, mean_byte: Tensor | None = None) -> Params:
        """Fresh parameters, each lane from its own stream: name -> [K_i, ...].

        mean_byte [X]: of the training images, which `begins_with_data` asks for.
        """
        if isinstance(self.model, Ladder):
            return self._initial_ladder(self.model)
        params: dict[str, list[Tensor]] = {}
        for run in self.runs:
            for dense in layers(run.model, pixels):
                draw = streams.uniform if dense.uniform else streams.normal
                shape = (dense.fan_in, dense.fan_out)
                eps = draw(run.seed, f"init/{dense.name}", shape=shape)
                normalised = dense.norm and run.hierarchy.batch_norm
                values = initial_value(dense, normalised, eps)
                if dense.name == "x.out" and run.hierarchy.output_bias == "data":
                    assert mean_byte is not None, f"{run.id} begins with the mean of its data"
                    values["x.out.beta"] = output_bias(mean_byte / run.data.grey_scale)
                for name, value in values.items():
                    params.setdefault(name, []).append(value)
        unused = set() if any(self.lanes.norm) else {n for n in params if n.endswith(".gamma")}
        return {n: torch.stack(lanes) for n, lanes in params.items() if n not in unused}

    def _initial_ladder(self, model: Ladder) -> Params:
        params = {}
        for p in ladder_network.parameters(model):
            draw = streams.uniform if p.uniform else streams.normal
            eps = (draw(run.seed, f"init/{p.name}", shape=p.shape) for run in self.runs)
            params[p.name] = torch.stack([ladder_network.initial_value(p, e) for e in eps])
        return params

    def net(self, params: Params) -> Net:
        return Net(self.hierarchy, self.lanes, params)

    def part(self, params: Params, lanes: slice) -> Params:
        """What some lanes have of a stack's parameters: views."""
        models = [run.model for run in self.runs[lanes]]
        own = {n: p[lanes] for n, p in params.items() if lanes.start < p.shape[0]}
        unused = all(isinstance(m, Model) and not m.batch_norm for m in models)
        return {n: p for n, p in own.items() if not (unused and n.endswith(".gamma"))}

    def own(self, params: Params, k: int) -> Params:
        """What lane k has of a stack's parameters: views, K = 1."""
        return self.part(params, slice(k, k + 1))

    def lane(self, params: Params, k: int) -> Net:
        """Lane k of a stack of hierarchies on its own."""
        model = self.runs[k].hierarchy
        return Net(model, Lanes((model.depth,), (model.batch_norm,)), self.own(params, k))


def kind(run: Run) -> Run:
    """What lanes of one stack must share.

    All but seed, lr and warm-up; of a hierarchy also all but depth, batch norm, how its heads
    begin, the statistics that score, and the grey scale that binary images are drawn at.
    """
    model, data, evaluation = run.model, run.data, run.evaluation
    if isinstance(model, Model):
        model = replace(model, latents=(1,), widths=(1,), batch_norm=False, head_init="normal")
        data = replace(data, grey_scale=256) if model.observation == "bernoulli" else data
        evaluation = replace(evaluation, statistics="full")
    return replace(
        run,
        variant="",
        seed=0,
        data=data,
        model=model,
        optim=replace(run.optim, lr=0.0),
        schedule=replace(run.schedule, warmup_epochs=0),
        evaluation=evaluation,
        start=None if run.start is None else kind(run.start),
    )


def is_bottom_of(shallow: Model | Ladder, deep: Model | Ladder) -> bool:
    """Whether dropping layers of `deep` from the top leaves the sizes of `shallow`."""
    if isinstance(shallow, Ladder) or isinstance(deep, Ladder):
        return shallow == deep
    d = shallow.depth
    return shallow.latents == deep.latents[:d] and shallow.widths[:d] == deep.widths[:d]


def pack(runs: Sequence[Run], most_lanes: int, ragged: bool = True) -> list[Stack]:
    """Group Runs into stacks of at most `most_lanes`, deepest first.

    Batch norm on and off stay apart: under a mask, lanes without it would pay for it too.
    """
    groups: dict[object, list[Run]] = {}
    for run in runs:
        normalised = isinstance(run.model, Model) and run.model.batch_norm
        key = (kind(run), normalised, None if ragged else run.model.depth)
        groups.setdefault(key, []).append(run)
    stacks = []
    for group in groups.values():
        group.sort(key=lambda run: -run.model.depth)
        nests: dict[Model | Ladder, list[Run]] = {}
        for run in group:
            deepest = next((m for m in nests if is_bottom_of(run.model, m)), run.model)
            nests.setdefault(deepest, []).append(run)
        for nest in nests.values():
            for i in range(0, len(nest), most_lanes):
                stacks.append(Stack(tuple(nest[i : i + most_lanes])))
    return stacks
