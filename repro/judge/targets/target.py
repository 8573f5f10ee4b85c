"""What a published number is: its source, its tolerance, and what answers it. No torch.

Bounds are in nats per example, higher is better; Ladder network errors in percent of the test
set, lower is better. A number that was recalled and not read in its source says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from repro.plan.experiments.grid import GREY_SCALES, Cell

PAPER = "Sønderby et al. 2016 (arXiv:1602.02282v3)"
BURDA = "Burda et al. 2015"

MNIST_NATS = 0.3
OMNIGLOT_NATS = 0.5
NORB_SHARE = 0.01
LADDER_POINTS = 0.15  # floor, in percentage points; see Target.allowed
LADDER_SEEDS = 10
K_TEST = 5000
MNIST_GREY_SCALE = GREY_SCALES["mnist"]  # /255 would look about a nat better
TEST_IMAGES = {"mnist": 10_000, "omniglot": 8_070}  # NORB: one copy or two is not stated

ACTIVE_NATS = 0.01  # a unit whose KL term is above this is active
COLLAPSED_NATS = 0.1  # a layer whose KL term is below this is collapsed


@dataclass(frozen=True)
class Target:
    """A published number. `cells` are what answers it: none yet, one, or the best of several."""

    id: str
    source: str
    metric: str
    paper: float
    tolerance: float | None  # None: the rule of the Ladder networks, see `allowed`
    unit: str = "nats"
    higher_is_better: bool = True
    sd: float | None = None  # published standard deviation over `paper_seeds` seeds
    paper_seeds: int = 1
    confidence: Literal["published", "from memory"] = "published"
    quoted_from: str | None = None
    K: int | None = None  # importance samples that L_K must have
    images: int | None = None  # test images that L_K must cover
    grey_scale: int | None = None
    cells: tuple[Cell, ...] = ()
    note: str = ""

    @property
    def cell(self) -> Cell | None:
        """The one cell that answers this target, if it is one."""
        return self.cells[0] if len(self.cells) == 1 else None

    def allowed(self, sd: float | None, seeds: int) -> float | None:
        """Largest |ours - paper| that counts as reproduced, in `unit`.

        Ladder networks: max(2 standard errors, 0.15 points), the error being that of the
        difference between our mean over `seeds` (spread `sd`; of one seed, the published
        spread) and the published mean. None as long as there is no seed.
        """
        if self.tolerance is not None:
            return self.tolerance
        if not seeds:
            return None
        published = self.sd or 0.0
        spread = published if sd is None else sd
        error = math.hypot(spread / math.sqrt(seeds), published / math.sqrt(self.paper_seeds))
        return max(2 * error, LADDER_POINTS)
