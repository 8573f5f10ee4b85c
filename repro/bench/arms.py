"""What is measured: arms, and the work that each of them does."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import Literal

from repro.config import LADDER_SIZES, LATENTS, WIDTHS
from repro.errors import UsageError
from repro.experiments.grid import MAX_DEPTH, Cell
from repro.profiles import profile, run_of
from repro.stack import Stack

Engine = Literal["plain", "eager", "compiled"]
ENGINES: tuple[Engine, ...] = ("eager", "compiled")
RAGGED = tuple(range(MAX_DEPTH, 1, -1))  # an LVAE needs two layers
SINGLE = "eager single"
LADDER_LANES: dict[Engine, tuple[int, ...]] = {"eager": (1,), "compiled": (1, 2, 4, 10)}


@dataclass(frozen=True)
class Arm:
    """One way to train: an engine, and the depth of each lane, deepest first."""

    name: str
    engine: Engine
    depths: tuple[int, ...]
    model: Literal["lvae", "ladder"] = "lvae"

    @property
    def lanes(self) -> int:
        return len(self.depths)


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
    warmup: int = 3
    repeats: int = 15
    scoring_repeats: int = 5


QUICK = Workload(warmup=2, repeats=5, scoring_repeats=3)


def arms(widest: int = 8) -> list[Arm]:
    """The single model, then for each engine K = 1, 2, 4, ... lanes and the ragged stacks.

    Ladder networks come last.
    """
    found = [Arm(SINGLE, "plain", (MAX_DEPTH,))]
    for engine in ENGINES:
        for K in (2**i for i in range(widest.bit_length())):
            found.append(Arm(f"{engine} K={K}", engine, (MAX_DEPTH,) * K))
        name = "-".join(map(str, RAGGED))
        found.append(Arm(f"{engine} {name}", engine, RAGGED))
        three = tuple(d for d in RAGGED for _ in range(3))
        found.append(Arm(f"{engine} 3x {name}", engine, three))
    return [*found, *ladder_arms()]


def ladder_arms() -> list[Arm]:
    """The single Ladder network, then stacks of some lanes, up to the ten seeds of a table."""
    depth = len(LADDER_SIZES) - 1
    stacks = [
        Arm(f"ladder {engine} K={K}", engine, (depth,) * K, "ladder")
        for engine, widths in LADDER_LANES.items()
        for K in widths
    ]
    return [Arm("ladder single", "plain", (depth,), "ladder"), *stacks]


def quick_arms() -> list[Arm]:
    """Four arms: only one of them has to be compiled."""
    return select(arms(), [SINGLE, "eager K=1", "eager K=4", "compiled K=4"])


def select(known: list[Arm], patterns: list[str]) -> list[Arm]:
    """The arms that match any of the patterns (`compiled*`). Raises UsageError for none."""
    for pattern in patterns:
        if not any(fnmatch.fnmatch(arm.name, pattern) for arm in known):
            names = ", ".join(arm.name for arm in known)
            raise UsageError(f"no arm matches {pattern!r}: choose from {names}")
    return [a for a in known if any(fnmatch.fnmatch(a.name, p) for p in patterns)]


def stack_of(depths: tuple[int, ...], work: Workload) -> Stack:
    """LVAE+BN lanes of those depths, with the workload's sizes."""
    runs = []
    for seed, depth in enumerate(depths, start=1):
        run = run_of(Cell("mnist", "lvae_bn_wu", depth), profile("paper"), seed)
        latents, widths = work.latents[:depth], work.widths[:depth]
        model = replace(run.hierarchy, latents=latents, widths=widths)
        runs.append(replace(run, model=model, optim=replace(run.optim, batch=work.batch)))
    return Stack(tuple(runs))
