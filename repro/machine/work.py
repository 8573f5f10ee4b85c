"""One call of `train`: how it was asked to train, where things lie, what becomes of its Runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from repro.machine import device
from repro.machine.engines import Engines
from repro.machine.memory import keep_freed_memory
from repro.machine.precision import multiply_in, precision_on
from repro.machine.provenance import software
from repro.machine.resident import Resident
from repro.machine.saved.stopping import Stopper
from repro.machine.watch.progress import notice
from repro.plan.run import Run
from repro.store import Store, failures, locks, status
from repro.store.states import recorded
from repro.train.evaluate import Room


@dataclass(frozen=True)
class Options:
    """How to train; none of it changes what a Run is."""

    data_dir: Path | None = None
    budget_seconds: float | None = None
    engine: str = "auto"  # auto, eager, compiled, captured or graph
    threads: int | None = None
    lanes: int | None = None  # of a new stack at most; None: what memory holds
    precision: str | None = None  # of matrix products; None: TF32 on CUDA, elsewhere float32
    emulate: bool = False  # bfloat16 where nothing multiplies in it, to compare with
    scoring_rows: int | None = None  # of one chunk of a scoring pass; None: what the device holds
    checkpoint_seconds: float | None = None  # between two; None: as suits the device
    side_by_side: int | None = None  # stacks that take turns; None: a few on CUDA, elsewhere one
    tensorboard: bool = False  # event files of every Run, for who watches
    patience_seconds: float = locks.PATIENCE  # how long to wait for Runs that another process holds
    placed_by: str | None = None  # who chose the machine, for the record
    compiler_told: bool = False  # whether a person knows what the compiler lacks


@dataclass
class Outcome:
    """Run ids by what became of them."""

    done: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)

    def fail(self, store: Store, profile: str, runs: Iterable[Run], reason: str) -> None:
        """Note why these Runs failed, but for those of them that were recorded before."""
        for run in runs:
            if not recorded(store, profile, run):
                failures.note(store.folder(profile), run.id, reason)
                self.failed[run.id] = reason

    def add(self, part: Outcome) -> None:
        """Take over what became of some of these Runs."""
        self.done += part.done
        self.diverged += part.diverged
        self.failed |= part.failed

    def leave(self, store: Store, profile: str, runs: Iterable[Run]) -> None:
        """Note which Runs are unfinished: neither recorded, by whomever, nor failed."""
        left = (run for run in runs if not recorded(store, profile, run))
        self.unfinished = [run.id for run in left if run.id not in self.failed]


@dataclass
class Work:
    """What every stack of a call shares."""

    store: Store
    profile: str
    options: Options

    def __post_init__(self) -> None:
        self.device = device.here()
        self.precision = precision_on(self.device, self.options.precision)
        multiply_in(self.precision, self.device)
        rows = self.options.scoring_rows or device.scoring_rows(self.device)
        self.data = Resident(self.options.data_dir, self.device, Room(rows, notice))
        self.folder = self.store.folder(self.profile)
        self.checkpoints = self.folder / status.CHECKPOINTS
        self.stopper = Stopper(self.options.budget_seconds)
        self.software = software()
        if self.options.threads:
            torch.set_num_threads(self.options.threads)
        count = device.multiprocessors(self.device)
        told, interrupted = self.options.compiler_told, self.stopper.interrupted.is_set
        self.engines = Engines(self.options.engine, count, told, interrupted=interrupted)
        self.at_once = 1  # stacks that take turns, and share the wall time
        self.outcome = Outcome()
        if self.device.type == "cpu":
            keep_freed_memory()
