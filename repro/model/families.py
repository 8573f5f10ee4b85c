"""Table of hierarchies: one line each. `infer(net, x, eps)` is one stochastic pass."""

from collections.abc import Callable, Sequence

from torch import Tensor

from repro.model import lvae, vae
from repro.model.hierarchy import Pass
from repro.model.layers import Net

MODELS: dict[str, Callable[[Net, Tensor, Sequence[Tensor]], Pass]] = {
    "vae": vae.infer,
    "lvae": lvae.infer,
}
