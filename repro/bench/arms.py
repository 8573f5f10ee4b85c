"""What is measured: arms, the stacks that do their work, and how often."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from repro.errors import UsageError
from repro.model.stack import Stack, pack
from repro.plan.experiments import ladder
from repro.plan.experiments.grid import MAX_DEPTH, Cell, grid
from repro.plan.profiles import profile, run_of
from repro.plan.run import LADDER_SIZES

Engine = Literal["plain", "eager", "compiled", "captured", "graph"]
Operations = dict[str, Callable[[], object]]  # what is timed of an arm, by name:
FORWARD, BOTH, STEP, SCORE = "forward", "forward+backward", "step", "L_K"
FULL, RAGGED = (MAX_DEPTH,), tuple(range(MAX_DEPTH, 1, -1))  # an LVAE needs two layers
MIXED = "-".join(map(str, RAGGED))
SINGLE = "eager single"
PIXELS = LADDER_SIZES[0]  # of MNIST, whose models all arms are
ENGINES: tuple[Engine, ...] = ("eager", "compiled", "captured")
GRAPHS = (1, 4, 32, 256)  # lanes on CUDA, unless others are asked for: each takes a compilation
ALL_GRAPHS = tuple(2**i for i in range(10))
REPEATS, QUICK, ON_CUDA = 15, 5, 7  # on CUDA all arms within 3 minutes


@dataclass(frozen=True)
class Arm:
    """One way to train: an engine, and the depth of each lane, deepest first.

    model: lanes of an LVAE with those depths, Ladder networks, or all stacks of the MNIST grid.
    """

    name: str
    engine: Engine
    depths: tuple[int, ...]
    model: Literal["lvae", "ladder", "mnist"] = "lvae"
    bfloat16: bool = False  # its products
    keeps_memory: bool = True  # between steps, as training here does (machine/memory.py)
    scoring: bool = False  # nothing but L_K
    images: int = 256  # of L_K: four chunks of 64 images, composed like those of an L_5000
    samples: int = 64

    @property
    def lanes(self) -> int:
        return len(self.depths)

    def single(self, depth: int) -> Arm:
        """One model of that depth as it is usually written."""
        return replace(self, engine="plain", depths=(depth,))

    def returning(self) -> Arm:
        """Memory is returned each step, as C libraries do: how a model is usually run."""
        return replace(self, name=f"{self.name} (memory returned)", keeps_memory=False)


def arms() -> list[Arm]:
    """The single model, then for each engine K = 1, 2, 4, 8 lanes and the ragged stacks.

    Then training in bfloat16, whose ratios are against products in float32; Ladder networks last,
    up to the ten seeds of a table.
    """
    three = tuple(d for d in RAGGED for _ in range(3))
    lanes = {**{f"K={K}": FULL * K for K in (1, 2, 4, 8)}, MIXED: RAGGED, f"3x {MIXED}": three}
    single, ladder_single = Arm(SINGLE, "plain", FULL), _ladder("ladder single", "plain")
    return [
        *(single, single.returning()),
        *(Arm(f"{e} {name}", e, depths) for e in ENGINES[:2] for name, depths in lanes.items()),
        *(Arm(f"bfloat16 K={K}", "compiled", FULL * K, bfloat16=True) for K in (1, 4)),
        replace(_ladder("ladder bfloat16 K=1", "compiled"), bfloat16=True),
        *(ladder_single, ladder_single.returning(), _ladder("ladder eager K=1", "eager")),
        *(_ladder(f"ladder compiled K={K}", "compiled", K) for K in (1, 2, 4, 10)),
    ]


def cuda_arms(widths: tuple[int, ...] = GRAPHS) -> list[Arm]:
    """What a CUDA device is asked: each engine once, then graphs of some widths.

    The grid is three stacks, so its graphs are compiled only where they are asked for by name.
    """
    return [
        Arm(SINGLE, "plain", FULL),
        *(Arm(f"{e} K=1", e, FULL) for e in ENGINES),
        *(Arm(f"graph K={K}", "graph", FULL * K) for K in widths),
        *(Arm(f"graph {MIXED}", "graph", RAGGED), _grid("captured")),
        *(_ladder("ladder single", "plain"), _ladder("ladder graph K=10", "graph", 10)),
        Arm("L_5000", "eager", FULL, scoring=True, images=1_000, samples=5_000),
    ]


def _ladder(name: str, engine: Engine, K: int = 1) -> Arm:
    return Arm(name, engine, (ladder.DEPTH,) * K, "ladder")


def _grid(engine: Engine) -> Arm:
    depths = tuple(sorted((cell.depth for cell in grid("mnist")), reverse=True))
    return Arm(f"{engine} MNIST grid", engine, depths, "mnist")


def known_arms() -> list[Arm]:
    """Every arm that can be asked for, here or elsewhere."""
    wanted = _grid("graph"), _ladder("ladder graph K=1", "graph")
    return list({arm.name: arm for arm in (*arms(), *cuda_arms(ALL_GRAPHS), *wanted)}.values())


def chosen(patterns: str | None, quick: bool, cuda: bool) -> list[Arm]:
    """The arms that match any of the patterns (`compiled*,L_5000`); by default all of a device, or
    four of them, one of which has to be compiled. Raises UsageError for a pattern of none."""
    if patterns is None and not quick:
        return cuda_arms() if cuda else arms()
    four = f"{SINGLE},eager K=1,eager K=4,{'graph' if cuda else 'compiled'} K=4"
    wanted = [p.strip() for p in (four if patterns is None else patterns).split(",")]
    known = {arm.name: arm for arm in known_arms()}
    for pattern in wanted:
        if not fnmatch.filter(known, pattern):
            raise UsageError(f"no arm matches {pattern!r}: choose from {', '.join(known)}")
    return [arm for name, arm in known.items() if any(fnmatch.fnmatch(name, p) for p in wanted)]


def stacks_of(arm: Arm) -> list[Stack]:
    """What an arm trains, as published: the cells of the grid, LVAE+BN lanes, or as many full
    Ladder networks."""
    cells = [Cell("mnist", "lvae_bn_wu", depth) for depth in arm.depths]
    if arm.model != "lvae":
        cells = grid("mnist") if arm.model == "mnist" else [ladder.cell("full")] * arm.lanes
    runs = [run_of(cell, profile("paper"), seed) for seed, cell in enumerate(cells, start=1)]
    return pack(runs, most_lanes=len(runs))
