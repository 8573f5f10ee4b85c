"""Table of models: one line each. A model declares its layers and computes one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from repro.model import lvae, vae
from repro.model.hierarchy import Pass
from repro.model.layers import Dense, Net
from repro.plan.run import Model


class Family(NamedTuple):
    """`layers(model, pixels)` declares parameters; `infer(net, x, eps)` is one stochastic pass."""

    layers: Callable[[Model, int], list[Dense]]
    infer: Callable[[Net, Tensor, Sequence[Tensor]], Pass]


MODELS = {
    "vae": Family(vae.layers, vae.infer),
    "lvae": Family(lvae.layers, lvae.infer),
}
