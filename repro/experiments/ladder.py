"""Ladder networks on MNIST: who is told how many labels, and what differs between variants.

Sources: README and code of CuriousAI/ladder (Rasmus et al. 2015); kzky's TensorFlow port
(ssl_ladder, 55f6b31); Pezeshki et al. 2016 for the combinators, with the settings of the full
model, as their own, found by a random search for each variant, are not published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from repro.config import Data, Evaluation, Ladder, Optim, Run, Schedule
from repro.experiments.grid import Cell

DEPTH = Ladder().depth
FEW = 100
GREY_SCALE: Literal[255] = 255  # pixels in [0, 1]; with 0..255 the full model errs 16.7%
EPOCHS, KZKY_EPOCHS = 150, 200
DECAY_FROM = 0.67
PEZESHKI_DECAY_FROM = 100 / 150
COSTS_ON = 1000  # training images that denoising costs are measured on


@dataclass(frozen=True)
class Variant:
    """A row of the table: how it is written, and what it changes of the full model."""

    label: str
    model: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    optim: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = EPOCHS
    decay_from: float | None = DECAY_FROM


def _noise(layers: float, pixels: float = 0.3) -> tuple[float, ...]:
    """The option for the layers leaves the input's noise alone."""
    return (float(pixels), *(float(layers),) * DEPTH)


def _costs(pixels: float, first: float, others: float) -> tuple[float, ...]:
    return (float(pixels), float(first), *(float(others),) * (DEPTH - 1))


def _top(weight: float) -> tuple[float, ...]:
    return (*(0.0,) * DEPTH, float(weight))


_KZKY: dict[str, Any] = {
    "data": {"balanced": False, "pool": "rest"},
    "optim": {"lr": 1e-4},
    "epochs": KZKY_EPOCHS,
    "decay_from": None,
}
_KZKY_MODEL: dict[str, Any] = {
    "cost_rows": "both",
    "top_input": "logits",
    "weight_init": "uniform",
    "beta_init": 1.0,
    "gamma_init": "uniform",
    "test_var": "biased",
}

VARIANTS: dict[str, Variant] = {
    "full": Variant("Ladder, full"),
    "bottom": Variant("Ladder, bottom-level cost only"),
    "gamma": Variant("Gamma model (top-level cost only)", {"decoder": "top"}),
    "baseline": Variant(
        "supervised baseline", {"decoder": "none", "cost_weights": _top(0), "noise": _noise(0.5)}
    ),
    "kzky_readme": Variant("kzky's port, as its README says", _KZKY_MODEL, **_KZKY),
    # 1000/784 and 10/1000 were divided as integers: the cost of layer 1 is off.
    "kzky": Variant(
        "kzky's port, as its code ran",
        {**_KZKY_MODEL, "cost_weights": _costs(784, 0, 0.1)},
        **_KZKY,
    ),
}

# lambda_0..lambda_6 that depend on the number of labels; the noise that does.
COST_WEIGHTS: dict[tuple[str, int], tuple[float, ...]] = {
    ("full", 50): _costs(2000, 20, 0.1),
    ("full", 100): _costs(1000, 10, 0.1),
    ("full", 1000): _costs(2000, 20, 0.1),
    ("full", 60_000): _costs(1000, 1, 0.01),
    ("bottom", 100): _costs(5000, 0, 0),
    ("bottom", 1000): _costs(2000, 0, 0),
    ("bottom", 60_000): _costs(2000, 0, 0),
    ("gamma", 100): _top(0.5),
    ("gamma", 1000): _top(10),
    ("gamma", 60_000): _top(2),
}
NOISE = {("full", 1000): _noise(0.2)}


def _pezeshki(label: str, **model: Any) -> Variant:
    return Variant(label, model, decay_from=PEZESHKI_DECAY_FROM)


def _mlps() -> dict[str, Variant]:
    """(A)MLP [4], [2,2] and [2,2,2]."""
    return {
        f"{kind}_{''.join(map(str, hidden))}": _pezeshki(
            f"{kind.upper()} {list(hidden)}",
            combinator=kind,
            combinator_hidden=hidden,
            combinator_init="random",
        )
        for kind in ("mlp", "amlp")
        for hidden in ((4,), (2, 2), (2, 2, 2))
    }


INPUT_NOISE = _noise(0)
COMBINATORS: dict[str, Variant] = {
    "plain": _pezeshki("Baseline", decoder="none", noise=_noise(0, 0), cost_weights=_top(0)),
    "vanilla": _pezeshki("Vanilla", combinator="sig"),
    "first_noise": _pezeshki("FirstNoise", combinator="sig", noise=INPUT_NOISE),
    "first_recons": _pezeshki("FirstRecons", combinator="sig", cost_weights=_costs(1000, 0, 0)),
    "first_both": _pezeshki(
        "FirstN&R", combinator="sig", noise=INPUT_NOISE, cost_weights=_costs(1000, 0, 0)
    ),
    "no_lateral": _pezeshki("NoLateral", combinator="sig", lateral=False),
    "rand_init": _pezeshki("RandInit", combinator="sig", combinator_init="random"),
    "rev_init": _pezeshki("RevInit", combinator="sig", combinator_init="swapped"),
    "no_sig": _pezeshki("NoSig", combinator="g3"),
    "no_mult": _pezeshki("NoMult", combinator="g2"),
    "linear": _pezeshki("Linear", combinator="linear"),
    "g4": _pezeshki("g4: z and u apart", combinator="g4"),
    **_mlps(),
}
EVERY = {**VARIANTS, **COMBINATORS}


def cell(variant: str, labels: int = FEW) -> Cell:
    return Cell("mnist", variant, DEPTH, labels)


RASMUS = [
    cell(variant, labels)
    for labels in (100, 1000, 60_000)
    for variant in ("full", "bottom", "gamma", "baseline")
]
KZKY = [cell("kzky"), cell("kzky_readme")]
EXPERIMENTS: dict[str, list[Cell]] = {
    "ladder": [*RASMUS, cell("full", 50), *KZKY],
    "ladder_100": [*RASMUS[:4], *KZKY],
    "combinators": [cell(variant) for variant in COMBINATORS],
}


def is_ladder(cell: Cell) -> bool:
    return cell.labels > 0


def run_of(cell: Cell, epochs: int | None, steps: int | None, test: int | None, seed: int) -> Run:
    """The Run of a cell. epochs: None for as many as published; the decay keeps its share.

    steps: of an epoch, None for all. test: test images, None for all.
    """
    v = EVERY[cell.variant]
    E = epochs or v.epochs
    optim = Optim(0.002, 100, eps=1e-8, eps_form="code", clip_norm=None, clip_value=None)
    return Run(
        variant=cell.variant,
        data=Data(cell.data, GREY_SCALE, labels=cell.labels, **v.data),
        model=_model(cell, v),
        optim=replace(optim, **v.optim),
        schedule=Schedule(E, steps_per_epoch=steps, decay_from=v.decay_from),
        evaluation=Evaluation(tuple(range(1, E + 1)), 1, train_images=COSTS_ON, test_images=test),
        seed=seed,
    )


def _model(cell: Cell, v: Variant) -> Ladder:
    """The full model's settings for this number of labels, then the variant's own."""
    key = (cell.variant, cell.labels)
    model = Ladder(cost_weights=COST_WEIGHTS.get(key, COST_WEIGHTS["full", cell.labels]))
    return replace(model, **{"noise": NOISE.get(key, model.noise), **v.model})
