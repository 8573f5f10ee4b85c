"""What is measured: arms, and the work that each of them does."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import Literal

from repro.errors import UsageError
from repro.model.stack import Stack
from repro.plan.experiments.grid import MAX_DEPTH, Cell, grid
from repro.plan.profiles import profile, run_of
from repro.plan.run import LADDER_SIZES, LATENTS, WIDTHS, Run
from repro.train.evaluate import ROWS
from repro.train.step import CAPTURED

Engine = Literal["plain", "eager", "compiled", "captured", "graph"]
ENGINES: tuple[Engine, ...] = ("eager", "compiled")
RAGGED = tuple(range(MAX_DEPTH, 1, -1))  # an LVAE needs two layers
SINGLE = "eager single"
RETURNING = ", memory returned"  # each step, as C libraries do: how a model is usually run
WIDEST, WIDEST_CUDA = 8, 512
GRAPHS = (1, 4, 32, 256)  # lanes on CUDA, unless others are asked for: each takes a compilation
LADDER_LANES: dict[Engine, tuple[int, ...]] = {"eager": (1,), "compiled": (1, 2, 4, 10)}


@dataclass(frozen=True)
class Arm:
    """One way to train: an engine, and the depth of each lane, deepest first.

    model: lanes of an LVAE with those depths, Ladder networks, or all stacks of the MNIST grid.
    """

    name: str
    engine: Engine
    depths: tuple[int, ...]
    model: Literal["lvae", "ladder", "mnist"] = "lvae"
    scoring: bool = False  # nothing but L_K, with as many images and samples as published
    bfloat16: bool = False  # its products
    keeps_memory: bool = True  # between steps, as training here does (machine/device.py)

    @property
    def lanes(self) -> int:
        return len(self.depths)

    @property
    def needs_cuda(self) -> bool:
        """Captured steps, and a scoring that would take a CPU hours."""
        return self.engine in CAPTURED or self.scoring


@dataclass(frozen=True)
class Workload:
    """Sizes and repeats. The defaults are the paper's network and minibatch."""

    latents: tuple[int, ...] = LATENTS
    widths: tuple[int, ...] = WIDTHS
    pixels: int = 784
    batch: int = 256
    ladder: tuple[int, ...] = LADDER_SIZES  # layers of the Ladder network, the pixels first
    labelled: int = 100  # of its rows; as many are unlabelled
    images: int = 256  # of L_K: four chunks of 64 images, composed like those of an L_5000
    samples: int = 64
    rows: int = ROWS  # of a chunk of L_K
    all_images: int = 10_000  # of an arm that is about scoring alone
    all_samples: int = 5_000
    warmup: int = 3
    repeats: int = 15
    scoring_repeats: int = 5


QUICK = Workload(warmup=2, repeats=5, scoring_repeats=3)
ON_CUDA = Workload(warmup=2, repeats=7, scoring_repeats=2, all_images=1_000)  # within 3 minutes


def arms(widest: int = WIDEST) -> list[Arm]:
    """The single model, then for each engine K = 1, 2, 4, ... lanes and the ragged stacks.

    Ladder networks come last.
    """
    found = _singles(SINGLE, (MAX_DEPTH,))
    for engine in ENGINES:
        for K in (2**i for i in range(widest.bit_length())):
            found.append(Arm(f"{engine} K={K}", engine, (MAX_DEPTH,) * K))
        name = "-".join(map(str, RAGGED))
        found.append(Arm(f"{engine} {name}", engine, RAGGED))
        three = tuple(d for d in RAGGED for _ in range(3))
        found.append(Arm(f"{engine} 3x {name}", engine, three))
    return [*found, *rounded_arms(), *ladder_arms()]


def rounded_arms() -> list[Arm]:
    """Training in bfloat16; their ratios are against products in float32."""
    ladder = (len(LADDER_SIZES) - 1,)
    return [
        *(Arm(f"bfloat16 K={K}", "compiled", (MAX_DEPTH,) * K, bfloat16=True) for K in (1, 4)),
        Arm("ladder bfloat16 K=1", "compiled", ladder, "ladder", bfloat16=True),
    ]


def ladder_arms() -> list[Arm]:
    """The single Ladder network, then stacks of some lanes, up to the ten seeds of a table."""
    depth = len(LADDER_SIZES) - 1
    stacks = [
        Arm(f"ladder {engine} K={K}", engine, (depth,) * K, "ladder")
        for engine, widths in LADDER_LANES.items()
        for K in widths
    ]
    return [*_singles("ladder single", (depth,), "ladder"), *stacks]


def _singles(
    name: str, depths: tuple[int, ...], model: Literal["lvae", "ladder"] = "lvae"
) -> list[Arm]:
    """The usual model with the memory management of this project, then with the usual one."""
    arm = Arm(name, "plain", depths, model)
    return [arm, replace(arm, name=name + RETURNING, keeps_memory=False)]


def cuda_arms(widths: tuple[int, ...] = GRAPHS) -> list[Arm]:
    """What a CUDA device is asked: each engine once, then graphs of some widths.

    The grid is three stacks, so its graphs are compiled only where they are asked for by name.
    """
    engines: tuple[Engine, ...] = ("eager", "compiled", "captured")
    found = [Arm(SINGLE, "plain", (MAX_DEPTH,))]
    found += [Arm(f"{engine} K=1", engine, (MAX_DEPTH,)) for engine in engines]
    found += [Arm(f"graph K={K}", "graph", (MAX_DEPTH,) * K) for K in widths]
    found.append(Arm(f"graph {'-'.join(map(str, RAGGED))}", "graph", RAGGED))
    single = ladder_arms()[0]
    found += [_grid("captured"), single, _ladder_graph(10)]
    return [*found, Arm("L_5000", "eager", (MAX_DEPTH,), scoring=True)]


def _grid(engine: Engine) -> Arm:
    depths = tuple(sorted((cell.depth for cell in grid("mnist")), reverse=True))
    return Arm(f"{engine} MNIST grid", engine, depths, "mnist")


def _ladder_graph(K: int) -> Arm:
    return Arm(f"ladder graph K={K}", "graph", ladder_arms()[0].depths * K, "ladder")


def known_arms() -> list[Arm]:
    """Every arm that can be asked for, here or elsewhere."""
    widths = tuple(2**i for i in range(WIDEST_CUDA.bit_length()))
    known = (*arms(), *cuda_arms(widths), _grid("graph"), _ladder_graph(1))
    return list({arm.name: arm for arm in known}.values())


def quick_arms(cuda: bool = False) -> list[Arm]:
    """Four arms: only one of them has to be compiled."""
    names = [SINGLE, "eager K=1", "eager K=4", "graph K=4" if cuda else "compiled K=4"]
    return select(known_arms(), names)


def select(known: list[Arm], patterns: list[str]) -> list[Arm]:
    """The arms that match any of the patterns (`compiled*`). Raises UsageError for none."""
    for pattern in patterns:
        if not any(fnmatch.fnmatch(arm.name, pattern) for arm in known):
            names = ", ".join(arm.name for arm in known)
            raise UsageError(f"no arm matches {pattern!r}: choose from {names}")
    return [a for a in known if any(fnmatch.fnmatch(a.name, p) for p in patterns)]


def stack_of(depths: tuple[int, ...], work: Workload) -> Stack:
    """LVAE+BN lanes of those depths, with the workload's sizes."""
    cells = [Cell("mnist", "lvae_bn_wu", depth) for depth in depths]
    return Stack(tuple(run_for(cell, work, seed) for seed, cell in enumerate(cells, start=1)))


def run_for(cell: Cell, work: Workload, seed: int = 1) -> Run:
    """The published Run of a cell, with the workload's sizes."""
    run, depth = run_of(cell, profile("paper"), seed), cell.depth
    model = replace(run.hierarchy, latents=work.latents[:depth], widths=work.widths[:depth])
    return replace(run, model=model, optim=replace(run.optim, batch=work.batch))
