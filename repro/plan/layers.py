"""The dense layers of every model, declared once: parameters, products and cost are sums over them.

Sizes are those of one lane. No torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from repro.plan.run import Ladder, Model, Run

FLOW_GAIN = 0.1  # our own: 80 flows of unit gain would throw z_1 many deviations off
Role = Literal["image", "sample", "generative"]


@dataclass(frozen=True)
class Dense:
    """One dense layer: `{name}.W` [K, in, out], `{name}.gamma` and `.beta` [K, out].

    With batch norm a bias before it would be cancelled, so `beta` is the only shift; without,
    `beta` is the bias and `gamma` does not exist or does not act. role: what it sees: each image
    once, each sample, or as a part of p(x, z) or of a Ladder network's decoder.
    """

    name: str
    fan_in: int
    fan_out: int
    layer: int  # stochastic layer it belongs to: lanes of at least this depth have it
    role: Role
    gain: float = 1.0
    norm: bool = True
    heads: int = 1  # independent matrices side by side, for the initialiser's fan-out
    uniform: bool = False
    var_bias: float = 1.0  # of the variance heads, where no batch norm cancels it

    @property
    def weights(self) -> int:
        """Numbers of its matrix: as many multiply-adds a row."""
        return self.fan_in * self.fan_out


def vae(model: Model, pixels: int) -> list[Dense]:
    """q(z_1|x), q(z_i|z_{i-1}) and the generative network."""
    below = (pixels, *model.latents)
    found = []
    for i, (z, width) in enumerate(zip(model.latents, model.widths, strict=False), start=1):
        role: Role = "image" if i == 1 else "sample"
        found += normal(model, f"q{i}", (below[i - 1], width, z), i, role)
    if model.flows:  # u, w and b of each
        out = model.flows * (2 * model.latents[0] + 1)
        found.append(Dense("q1.flow", model.widths[0], out, 1, "image", FLOW_GAIN, norm=False))
    return found + generative(model, pixels, model.widths)


def lvae(model: Model, pixels: int) -> list[Dense]:
    """d_n, (mu_hat, var_hat)_n and the generative network.

    Not shared, as the released code: inference gets a top-down network r_i of its own, with
    the widths above, and the generative network takes the widths one layer lower.
    """
    z, widths = model.latents, model.widths[: model.depth]
    below = (pixels, *(widths if model.upward == "d" else z))
    found = []
    for i in range(1, model.depth + 1):
        found += normal(model, f"d{i}", (below[i - 1], widths[i - 1], z[i - 1]), i, "image")
    if model.shared:
        return found + generative(model, pixels, widths)
    for i in range(1, model.depth):
        found += normal(model, f"r{i}", (z[i], widths[i], z[i - 1]), i + 1, "sample")
    return found + generative(model, pixels, (widths[0], *widths[:-1]))


def generative(model: Model, pixels: int, widths: Sequence[int]) -> list[Dense]:
    """p(x|z_1) and p(z_i|z_{i+1}); `widths[i]` is the MLP's between layers i and i + 1.

    A Gaussian p(x|z_1) has two heads, mean and variance, and batch norm on neither.
    """
    z, heads = model.latents, 2 if model.observation == "gaussian" else 1
    out = Dense(
        "x.out", widths[0], heads * pixels, 1, "generative",
        norm=False, heads=heads, uniform=model.init == "glorot",
    )  # fmt: skip
    found = [*mlp(model, "x", z[0], widths[0], 1, "generative"), out]
    for i in range(1, model.depth):
        found += normal(model, f"p{i}", (z[i], widths[i], z[i - 1]), i + 1, "generative")
    return found


def mlp(model: Model, name: str, fan_in: int, width: int, layer: int, role: Role) -> list[Dense]:
    """Two hidden layers, eq. (10); gain sqrt(2), as in the released code; Glorot: 1."""
    glorot = model.init == "glorot"
    sizes, gain = pairwise((fan_in, width, width)), 1.0 if glorot else math.sqrt(2)
    return [
        Dense(f"{name}.{part}", m, n, layer, role, gain, uniform=glorot)
        for part, (m, n) in zip("ab", sizes, strict=True)
    ]


def normal(
    model: Model, name: str, sizes: tuple[int, int, int], layer: int, role: Role
) -> list[Dense]:
    """A diagonal Gaussian of so many units after an MLP: sizes are its input, width and units.

    The mu and variance heads, eqs. (11)-(12), lie side by side in one matrix; gain 1.
    """
    fan_in, width, units = sizes
    head = Dense(
        f"{name}.head", width, 2 * units, layer, role,
        norm=model.head_batch_norm,
        heads=2,
        uniform=model.head_init == "uniform" or model.init == "glorot",
        var_bias=1.0 if model.variance == "softplus" else 0.0,
    )  # fmt: skip
    return [*mlp(model, name, fan_in, width, layer, role), head]


def ladder(model: Ladder) -> list[Dense]:
    """A Ladder network's products: f1..fL of the encoder, then V of the decoder's g_i, i < L."""
    m = model.sizes
    up = [Dense(f"f{i}", m[i - 1], m[i], i, "image") for i in range(1, len(m))]
    down = [i for i in model.estimated if i < model.depth]
    return up + [Dense(f"g{i}", m[i + 1], m[i], i, "generative") for i in down]


FAMILIES = {"vae": vae, "lvae": lvae}


def layers(model: Model | Ladder, pixels: int) -> list[Dense]:
    """What a model declares, the layer that reads the data first."""
    return ladder(model) if isinstance(model, Ladder) else FAMILIES[model.family](model, pixels)


def parameters(model: Model, pixels: int) -> int:
    """How many numbers a VAE or LVAE trains: matrices, shifts, and scales of batch norm."""
    norm = model.batch_norm
    return sum(d.weights + d.fan_out * (1 + (d.norm and norm)) for d in layers(model, pixels))


class Product(NamedTuple):
    """A dense layer as it is multiplied: [lanes, rows, in] @ [lanes, in, out]."""

    dense: Dense
    rows: int
    lanes: int
    reads_data: bool  # its input needs no gradient

    @property
    def multiplications(self) -> int:
        """Multiply-adds, forward."""
        return self.lanes * self.rows * self.dense.weights


def of_pass(lanes: Sequence[Model], pixels: int, images: int, samples: int = 1) -> list[Product]:
    """What one pass of VAEs or LVAEs over `images` multiplies, with `samples` draws of each.

    lanes: deepest first; what the first one declares is the stack's.
    """
    found = layers(lanes[0], pixels)
    have = {d.layer: sum(m.depth >= d.layer for m in lanes) for d in found}
    rows = {"image": images}
    return [
        Product(d, rows.get(d.role, images * samples), have[d.layer], d is found[0]) for d in found
    ]


def of_step(lanes: Sequence[Run], pixels: int) -> list[Product]:
    """What the forward pass of one minibatch multiplies in Runs of one stack, deepest first."""
    run, K = lanes[0], len(lanes)
    if not isinstance(run.model, Ladder):
        samples = run.optim.mc_samples * run.optim.importance_samples
        return of_pass([r.hierarchy for r in lanes], pixels, run.optim.batch, samples)
    found = layers(run.model, pixels)
    noisy, clean, decoded = ladder_rows(run)
    up, down = ([d for d in found if (d.role == "generative") == g] for g in (False, True))
    passes = ((up, noisy), (up, clean), (down, decoded))
    return [Product(d, rows, K, d is found[0]) for part, rows in passes for d in part if rows]


def ladder_rows(run: Run) -> tuple[int, int, int]:
    """Of a Ladder network's minibatch: rows of the corrupted path, the clean one, the decoder.

    The clean path is left out where nothing but the cost at the pixels is trained.
    """
    model = run.ladder
    unlabelled = run.optim.batch if model.costly or model.joined else 0
    noisy = run.labelled_batch + unlabelled
    decoded = noisy if model.cost_rows == "both" else unlabelled
    clean = noisy if model.joined else decoded
    return noisy, clean if max(model.costly, default=0) else 0, decoded
