"""Source: not in the paper; where its text and the authors' code disagree, or both are silent.
Command: `repro train ablations --profile paper` (18 Runs; published here: `--profile reduced`)
Run time here: predicted 7 days on one core of an AMD EPYC; `--profile reduced` 90 min on two
Expected result: of the default L_5000 = -82.12; of the 15 choices nothing is published

The 5-layer LVAE on MNIST with one choice made otherwise, all else as the default; and the VAEs with
batch norm, whose use of layers hangs on where that is applied. A Run is paired with the default's
of the same seed: it meets the same draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from repro.plan.experiments.grid import MAX_DEPTH, Cell
from repro.plan.run import Run

DEFAULT = Cell("mnist", "lvae_bn_wu", MAX_DEPTH)
MARK = "@"  # between a variant and the choice that is made otherwise


@dataclass(frozen=True)
class Choice:
    """What is chosen, the default in words, what is done instead, and as which fields."""

    about: str
    default: str
    instead: str
    data: Mapping[str, Any] = field(default_factory=dict)  # if any, bounds cannot be compared
    model: Mapping[str, Any] = field(default_factory=dict)
    optim: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)


CHOICES: dict[str, Choice] = {
    "grey255": Choice("grey scale", "byte/256", "byte/255", data={"grey_scale": 255}),
    "no_head_bn": Choice(
        "batch norm", "hidden layers and heads", "hidden layers", model={"head_batch_norm": False}
    ),
    "no_bn": Choice("batch norm", "hidden layers and heads", "none", model={"batch_norm": False}),
    "upward_mu": Choice("input of d_n, eq. 13", "d_(n-1)", "mu-hat_(n-1)", model={"upward": "mu"}),
    "unshared": Choice(
        "top-down network", "shared with inference", "one more for inference",
        model={"shared": False},
    ),
    "slope001": Choice("leaky ReLU", "max(x, 0.1x)", "max(x, 0.01x)", model={"leaky_slope": 0.01}),
    "uniform_heads": Choice(
        "initial heads", "normal", "uniform, same variance", model={"head_init": "uniform"}
    ),
    "lr0002": Choice("learning rate", "1e-3", "2e-4", optim={"lr": 2e-4}),
    "lr002": Choice("learning rate", "1e-3", "2e-3", optim={"lr": 2e-3}),
    "eps_code": Choice(
        "Adam's epsilon", "beside the corrected moment", "beside the uncorrected one",
        optim={"eps_form": "code"},
    ),
    "no_clip": Choice(
        "gradients", "clipped, norm and elements", "as they are",
        optim={"clip_norm": None, "clip_value": None},
    ),
    "closed_kl": Choice("KL in training", "one sample", "closed form", optim={"kl": "closed"}),
    "batch_stats": Choice(
        "statistics that score", "one pass over the training set", "mean over its minibatches",
        evaluation={"statistics": "minibatches"},
    ),
}  # fmt: skip


def cell(name: str, variant: str = DEFAULT.variant) -> Cell:
    return replace(DEFAULT, variant=f"{variant}{MARK}{name}")


def base_of(cell: Cell) -> Cell:
    """The cell that makes every choice as the default: what an ablation is held against."""
    return replace(cell, variant=cell.variant.partition(MARK)[0])


OF_VAES = [cell("no_head_bn", variant) for variant in ("vae_bn", "vae_bn_wu")]
EXPERIMENTS: dict[str, list[Cell]] = {
    "ablations": [DEFAULT, *map(cell, CHOICES), *map(base_of, OF_VAES), *OF_VAES]
}


def choice_of(cell: Cell) -> Choice | None:
    """The choice that a cell makes otherwise; None where it makes none."""
    return CHOICES.get(cell.variant.partition(MARK)[2])


def changed(cell: Cell, default: Run) -> Run:
    """The Run of an ablation's cell: `default` but for its choice."""
    choice = CHOICES[cell.variant.partition(MARK)[2]]
    return replace(
        default,
        variant=cell.variant,
        data=replace(default.data, **choice.data),
        model=replace(default.hierarchy, **choice.model),
        optim=replace(default.optim, **choice.optim),
        evaluation=replace(default.evaluation, **choice.evaluation),
    )
