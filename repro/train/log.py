"""What is written down of a stack while it trains."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Row = dict[str, float | None]  # of curve.csv, one an epoch


def latest(rows: Sequence[Row], column: str) -> float | None:
    """The last number of a column of the curve."""
    return next((v for row in reversed(rows) if (v := row.get(column)) is not None), None)


@dataclass
class LaneLog:
    """What is written down of one lane; the KL terms are of hierarchies alone."""

    rows: list[Row] = field(default_factory=list)
    kl_epochs: list[int] = field(default_factory=list)
    kl_train: list[np.ndarray] = field(default_factory=list)  # each [ΣZ]
    kl_test: list[np.ndarray] = field(default_factory=list)
    diverged_at: int | None = None


@dataclass
class Log:
    """How far a stack has come. `step` counts within epoch `epoch` + 1."""

    lanes: list[LaneLog]
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    data: str = ""  # hash of the data it was begun on
    code: dict[str, Any] = field(default_factory=dict)  # commit and versions that trained it

    @property
    def alive(self) -> list[int]:
        """The lanes that have not diverged."""
        return [k for k, lane in enumerate(self.lanes) if lane.diverged_at is None]
