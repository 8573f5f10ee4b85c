"""What is measured: arms, the work that each of them does, and the stacks that do it."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import Literal

from repro.errors import UsageError
from repro.model.stack import Stack, pack
from repro.plan.experiments import ladder
from repro.plan.experiments.grid import MAX_DEPTH, Cell, grid
from repro.plan.profiles import profile, run_of
from repro.plan.run import LADDER_SIZES, LATENTS, WIDTHS, Run
from repro.train.evaluate import ROWS
from repro.train.step import CAPTURED

Engine = Literal["plain", "eager", "compiled", "captured", "graph"]
Kind = Literal["lvae", "ladder", "mnist"]
FORWARD, BOTH, STEP, SCORE = "forward", "forward+backward", "step", "L_K"
FULL, RAGGED = (MAX_DEPTH,), tuple(range(MAX_DEPTH, 1, -1))  # an LVAE needs two layers
LADDER = (len(LADDER_SIZES) - 1,)
MIXED = "-".join(map(str, RAGGED))
SINGLE = "eager single"
RETURNING = " (memory returned)"  # each step, as C libraries do: how a model is usually run
WIDEST, WIDEST_CUDA = 8, 512
GRAPHS = (1, 4, 32, 256)  # lanes on CUDA, unless others are asked for: each takes a compilation


@dataclass(frozen=True)
class Arm:
    """One way to train: an engine, and the depth of each lane, deepest first.

    model: lanes of an LVAE with those depths, Ladder networks, or all stacks of the MNIST grid.
    """

    name: str
    engine: Engine
    depths: tuple[int, ...]
    model: Kind = "lvae"
    scoring: bool = False  # nothing but L_K, with as many images and samples as published
    bfloat16: bool = False  # its products
    keeps_memory: bool = True  # between steps, as training here does (machine/memory.py)

    @property
    def lanes(self) -> int:
        return len(self.depths)

    @property
    def needs_cuda(self) -> bool:
        """Captured steps, and a scoring that would take a CPU hours."""
        return self.engine in CAPTURED or self.scoring

    def single(self, depth: int) -> Arm:
        """One model of that depth as it is usually written."""
        return replace(self, engine="plain", depths=(depth,))


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

    def of(self, arm: Arm) -> Workload:
        """An arm that is about scoring has all images and samples."""
        if not arm.scoring:
            return self
        return replace(self, images=self.all_images, samples=self.all_samples)


QUICK = Workload(warmup=2, repeats=5, scoring_repeats=3, all_images=1_000)
ON_CUDA = Workload(warmup=2, repeats=7, scoring_repeats=2, all_images=1_000)  # within 3 minutes


def arms(widest: int = WIDEST) -> list[Arm]:
    """The single model, then for each engine K = 1, 2, 4, ... lanes and the ragged stacks.

    Then training in bfloat16, whose ratios are against products in float32; Ladder networks last,
    up to the ten seeds of a table.
    """
    three = tuple(d for d in RAGGED for _ in range(3))
    lanes = {f"K={2**i}": FULL * 2**i for i in range(widest.bit_length())}
    lanes |= {MIXED: RAGGED, f"3x {MIXED}": three}
    engines: tuple[Engine, ...] = ("eager", "compiled")
    singles = Arm(SINGLE, "plain", FULL), Arm("ladder single", "plain", LADDER, "ladder")
    one, other = ([a, replace(a, name=a.name + RETURNING, keeps_memory=False)] for a in singles)
    found = [*one, *(Arm(f"{e} {n}", e, depths) for e in engines for n, depths in lanes.items())]
    found += [Arm(f"bfloat16 K={K}", "compiled", FULL * K, bfloat16=True) for K in (1, 4)]
    found.append(Arm("ladder bfloat16 K=1", "compiled", LADDER, "ladder", bfloat16=True))
    return [*found, *other, _ladder("eager", 1), *(_ladder("compiled", K) for K in (1, 2, 4, 10))]


def cuda_arms(widths: tuple[int, ...] = GRAPHS) -> list[Arm]:
    """What a CUDA device is asked: each engine once, then graphs of some widths.

    The grid is three stacks, so its graphs are compiled only where they are asked for by name.
    """
    engines: tuple[Engine, ...] = ("eager", "compiled", "captured")
    found = [Arm(SINGLE, "plain", FULL), *(Arm(f"{e} K=1", e, FULL) for e in engines)]
    found += [Arm(f"graph K={K}", "graph", FULL * K) for K in widths]
    found += [Arm(f"graph {MIXED}", "graph", RAGGED), _grid("captured")]
    found += [Arm("ladder single", "plain", LADDER, "ladder"), _ladder("graph", 10)]
    return [*found, Arm("L_5000", "eager", FULL, scoring=True)]


def _ladder(engine: Engine, K: int) -> Arm:
    return Arm(f"ladder {engine} K={K}", engine, LADDER * K, "ladder")


def _grid(engine: Engine) -> Arm:
    depths = tuple(sorted((cell.depth for cell in grid("mnist")), reverse=True))
    return Arm(f"{engine} MNIST grid", engine, depths, "mnist")


def known_arms() -> list[Arm]:
    """Every arm that can be asked for, here or elsewhere."""
    widths = tuple(2**i for i in range(WIDEST_CUDA.bit_length()))
    known = (*arms(), *cuda_arms(widths), _grid("graph"), _ladder("graph", 1))
    return list({arm.name: arm for arm in known}.values())


def quick_arms(cuda: bool = False) -> list[Arm]:
    """Four arms: only one of them has to be compiled."""
    names = [SINGLE, "eager K=1", "eager K=4", "graph K=4" if cuda else "compiled K=4"]
    return select(known_arms(), names)


def select(known: list[Arm], patterns: list[str]) -> list[Arm]:
    """The arms that match any of the patterns (`compiled*`). Raises UsageError for none."""
    names = [arm.name for arm in known]
    found = {pattern: fnmatch.filter(names, pattern) for pattern in patterns}
    for pattern in (pattern for pattern in patterns if not found[pattern]):
        raise UsageError(f"no arm matches {pattern!r}: choose from {', '.join(names)}")
    return [arm for arm in known if any(arm.name in matched for matched in found.values())]


def stacks_of(arm: Arm, work: Workload) -> list[Stack]:
    """What an arm trains, with the workload's sizes: every cell of the grid with one of its depths,
    LVAE+BN lanes, or as many full Ladder networks."""
    if arm.model == "mnist":
        cells = [cell for cell in grid("mnist") if cell.depth in arm.depths]
        return pack([_sized(cell, work) for cell in cells], len(cells))
    full = ladder.cell("full") if arm.model == "ladder" else None
    lanes = [full or Cell("mnist", "lvae_bn_wu", depth) for depth in arm.depths]
    return [Stack(tuple(_sized(cell, work, seed) for seed, cell in enumerate(lanes, start=1)))]


def _sized(cell: Cell, work: Workload, seed: int = 1) -> Run:
    """The published Run of a cell, with the workload's sizes."""
    run, depth = run_of(cell, profile("paper"), seed), cell.depth
    if not cell.labels:
        model = replace(run.hierarchy, latents=work.latents[:depth], widths=work.widths[:depth])
        return replace(run, model=model, optim=replace(run.optim, batch=work.batch))
    m, B, n = run.ladder, work.labelled, len(work.ladder)
    net = replace(m, sizes=work.ladder, noise=m.noise[:n], cost_weights=m.cost_weights[:n])
    data, optim = replace(run.labelled, labels=B), replace(run.optim, batch=B)
    return replace(run, model=net, data=data, optim=optim)
