"""Source: Figure 3 and Table 2: four variants, one to five layers, per data set
Command: `repro train mnist omniglot norb --profile paper` (57 Runs)
Run time here: predicted 4 weeks on one core of an AMD EPYC; MNIST's steps half an hour on an H100
Expected result: 5-layer LVAE: MNIST L_5000 = -82.12, OMNIGLOT -102.11, NORB 3455

A `Cell` is one entry of a table or one curve of a figure, before seed and budget are chosen.
"""

from dataclasses import dataclass
from typing import Any, Literal

from repro.plan.run import LATENTS, WIDTHS, Data, Model, Run, kind_of_data


@dataclass(frozen=True, order=True)
class Cell:
    """Data set, variant, number of layers, and of labelled images where a Run is told any."""

    data: str
    variant: str
    depth: int
    labels: int = 0


@dataclass(frozen=True)
class Variant:
    """A column of Table 2: which model, with batch norm, with warm-up."""

    label: str
    family: str
    batch_norm: bool
    warmup: bool


OBSERVATIONS: dict[str, dict[str, Any]] = {  # what a data set changes of the model
    "norb": {"observation": "gaussian", "nonlinearity": "tanh"}
}
VARIANTS = {
    "vae": Variant("VAE", "vae", batch_norm=False, warmup=False),
    "vae_bn": Variant("VAE+BN", "vae", batch_norm=True, warmup=False),
    "vae_bn_wu": Variant("VAE+BN+WU", "vae", batch_norm=True, warmup=True),
    "lvae_bn_wu": Variant("LVAE+BN+WU", "lvae", batch_norm=True, warmup=True),
}
# Outside the tables: the paper's appendix has an LVAE without batch norm, and does not say whether
# it was warmed up. Here it is, so that batch norm alone is missing.
EVERY = {**VARIANTS, "lvae_wu": Variant("LVAE+WU", "lvae", batch_norm=False, warmup=True)}
MAX_DEPTH = len(LATENTS)
# The authors' MNIST file holds byte/256, and they divided NORB by 256. OMNIGLOT's bytes are made
# here, of shares from 0 to 1.
GREY_SCALES: dict[str, Literal[255, 256]] = {"mnist": 256, "omniglot": 255, "norb": 256}


def grid(data: str, depths: range = range(1, MAX_DEPTH + 1)) -> list[Cell]:
    """All cells of one data set: 19 for depths 1..5, as an LVAE needs two layers."""
    return [cell for variant in VARIANTS for cell in column(data, variant, depths)]


def column(data: str, variant: str, depths: range = range(1, MAX_DEPTH + 1)) -> list[Cell]:
    """The cells of one variant, by depth."""
    lowest = 2 if EVERY[variant].family == "lvae" else 1
    return [Cell(data, variant, depth) for depth in depths if depth >= lowest]


def cell_of(run: Run) -> Cell:
    """The cell that a Run trains."""
    return Cell(run.data.name, run.variant, run.model.depth, run.labels)


def data(cell: Cell) -> Data:
    """The data of a cell, at the grey scale of its data set."""
    return kind_of_data(model(cell))(cell.data, GREY_SCALES[cell.data])


def model(cell: Cell) -> Model:
    """The architecture of a cell: a shallower model drops latents from the top."""
    v = EVERY[cell.variant]
    return Model(
        family=v.family,  # type: ignore[arg-type]
        latents=LATENTS[: cell.depth],
        widths=WIDTHS[: cell.depth],
        batch_norm=v.batch_norm,
        **OBSERVATIONS.get(cell.data, {}),
    )
