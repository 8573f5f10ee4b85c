"""The paper's grid: four variants, one to five layers, per data set.

A `Cell` is one entry of a table or one curve of a figure, before seed and budget are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from repro.config import LATENTS, WIDTHS, Model, Run


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
    "norb": {"observation": "gaussian", "nonlinearity": "tanh"},
}
VARIANTS = {
    "vae": Variant("VAE", "vae", batch_norm=False, warmup=False),
    "vae_bn": Variant("VAE+BN", "vae", batch_norm=True, warmup=False),
    "vae_bn_wu": Variant("VAE+BN+WU", "vae", batch_norm=True, warmup=True),
    "lvae_bn_wu": Variant("LVAE+BN+WU", "lvae", batch_norm=True, warmup=True),
}
MAX_DEPTH = len(LATENTS)


def grid(data: str, depths: range = range(1, MAX_DEPTH + 1)) -> list[Cell]:
    """All cells of one data set: 19 for depths 1..5, as an LVAE needs two layers."""
    return [
        Cell(data, variant, depth)
        for variant, v in VARIANTS.items()
        for depth in depths
        if depth >= (2 if v.family == "lvae" else 1)
    ]


def cell_of(run: Run) -> Cell:
    """The cell that a Run trains."""
    return Cell(run.data.name, run.variant, run.model.depth, run.data.labels or 0)


def model(cell: Cell) -> Model:
    """The architecture of a cell: a shallower model drops latents from the top."""
    v = VARIANTS[cell.variant]
    return Model(
        family=v.family,  # type: ignore[arg-type]
        latents=LATENTS[: cell.depth],
        widths=WIDTHS[: cell.depth],
        batch_norm=v.batch_norm,
        **OBSERVATIONS.get(cell.data, {}),
    )
