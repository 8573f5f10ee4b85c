"""Trains Runs on this machine: stacks, one by one or side by side, locked, kept, recorded."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress as Bar

from repro.errors import ReproError
from repro.machine import checkpoint, device
from repro.machine import cost as predict
from repro.machine.checkpoint import Pinned
from repro.machine.cuda import branches
from repro.machine.cuda.graph import Blocks, Captured, captured_on
from repro.machine.engines import Engines, made
from repro.machine.keeper import Keeper
from repro.machine.memory import keep_freed_memory
from repro.machine.outcome import Outcome
from repro.machine.precision import BFLOAT16, multiply_in, precision_on, refuse_emulated
from repro.machine.progress import Progress, named, new_bar, notice
from repro.machine.provenance import environment
from repro.machine.recording import (
    failure_path,
    note_failures,
    record_lane,
    recorded,
    refuse_other_data,
    refuse_other_device,
)
from repro.machine.resident import Resident
from repro.machine.starting import begin, ended, generations, obstacle, with_starts
from repro.machine.stopping import BudgetSpent, Stopper
from repro.machine.weights import weights_path
from repro.model.bfloat16 import multiplies_in_bfloat16
from repro.model.stack import Stack, pack
from repro.plan.run import Run
from repro.store import Store
from repro.store.files import sweep_files
from repro.store.locks import PATIENCE, lock_all
from repro.train import loop
from repro.train.evaluate import Room
from repro.train.log import LaneLog, Log
from repro.train.minibatch import Batches
from repro.train.state import State, shade
from repro.train.step import CAPTURED, step_function
from repro.train.tasks import task_of
from repro.train.tasks.task import Score

Branch = tuple[Stack, Pinned]


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
    patience_seconds: float = PATIENCE  # how long to wait for Runs that another process holds
    placed_by: str | None = None  # who chose the machine, for the record
    compiler_told: bool = False  # whether a person knows what the compiler lacks


def train(runs: list[Run], store: Store, profile: str, options: Options) -> Outcome:
    """Train, score and record what the store lacks of `runs`; continue what was interrupted.

    What a Run starts from is trained first where it is missing.

    A stack that fails is noted with its reason and does not stop the others. Raises
    MachineError (Run locked elsewhere, disk full), DataError, RecordError, KeyboardInterrupt.
    """
    missing = with_starts(runs, lambda run: recorded(store, profile, run))
    outcome = Outcome(unfinished=[run.id for run in missing])
    if not missing:
        return outcome
    work = Work(store, profile, options)
    try:
        for generation in generations(missing):
            stacks = work.stacks(work.able(generation, outcome))
            for group in branches.grouped(stacks, work.together):
                work.train_group(group, outcome)
    except BudgetSpent:
        pass
    return outcome


@dataclass
class Work:
    """One call of `train`: where things lie and when to stop."""

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
        self.checkpoints = self.folder / ".checkpoints"
        self.stopper = Stopper(self.options.budget_seconds)
        count = device.multiprocessors(self.device)
        told, interrupted = self.options.compiler_told, self.stopper.interrupted.is_set
        self.engines = Engines(self.options.engine, count, told, interrupted=interrupted)
        self.at_once = 1  # stacks that take turns, and share the wall time
        if self.device.type == "cpu":
            keep_freed_memory()
        if self.options.threads:
            torch.set_num_threads(self.options.threads)

    def able(self, runs: list[Run], outcome: Outcome) -> list[Run]:
        """The Runs that can begin; of the others it is noted why they cannot."""
        reasons = {run.id: obstacle(self.store, self.profile, run) for run in runs}
        for run in runs:
            if reason := reasons[run.id]:
                note_failures(self.store, self.profile, [run], reason, outcome)
        return [run for run in runs if not reasons[run.id]]

    def stacks(self, runs: list[Run]) -> list[Branch]:
        """Interrupted stacks as their checkpoints pin them, then the rest, longest first."""
        wanted = set(runs)
        found: list[Branch] = []
        for path, lanes, pinned in checkpoint.headers(self.checkpoints):
            if wanted & set(lanes):
                refuse_other_device(pinned, self.device, path)
                self._warn_of_emulation(lanes, pinned)
                found.append((Stack(tuple(lanes)), pinned))
                wanted -= set(lanes)
            elif all(recorded(self.store, self.profile, run) for run in lanes):
                path.unlink(missing_ok=True)  # killed after the last record
        left = [run for run in runs if run in wanted]
        rest = pack(left, self._most_lanes(left)) if left else []
        rest.sort(key=lambda s: -sum(map(predict.training_flops, s.runs)))
        return found + [(stack, self._choose(stack)) for stack in rest]

    def _warn_of_emulation(self, runs: list[Run], pinned: Pinned) -> None:
        if pinned.precision == BFLOAT16 and not multiplies_in_bfloat16(self.device):
            notice(f"{named(runs)}: continued in bfloat16, which is emulated here")

    def _most_lanes(self, runs: list[Run]) -> int:
        fitting = predict.most_lanes(runs, device.memory(self.device))
        return min(fitting, self.options.lanes or fitting)

    def _choose(self, stack: Stack) -> Pinned:
        if not self.options.emulate:
            refuse_emulated(self.precision, self.device)
        return self.engines.chosen(list(stack.runs), self.device, self.precision)

    def together(self, group: list[Branch]) -> bool:
        """Whether these stacks may train side by side: they run alike, and all have room."""
        (_, first), *_ = group
        most = self.options.side_by_side
        if most is None:
            several = self.device.type == "cuda" and first.engine in CAPTURED
            most = branches.MOST if several else 1
        if len(group) > most or any(pinned != first for _, pinned in group):
            return False
        runs = [run for stack, _ in group for run in stack.runs]
        return predict.fit_together(runs, device.memory(self.device))

    def train_group(self, group: list[Branch], outcome: Outcome) -> None:
        """Stacks from start or checkpoint to their records; what does not fit alone, or in halves.

        What stops one of them stops all, after each has saved its checkpoint.
        """
        bar, alone, self.at_once = new_bar(), len(group) == 1, len(group)
        trainings = [self._guarded(*branch, outcome, bar, alone) for branch in group]
        with self.stopper.interruptible():
            left = branches.side_by_side(trainings, device.turns(self.device, len(group)))
        for (_, pinned), stacks in zip(group, left, strict=True):
            for stack in stacks:
                self.train_group([(stack, pinned)], outcome)

    def _guarded(
        self, stack: Stack, pinned: Pinned, outcome: Outcome, bar: Bar, alone: bool
    ) -> Generator[None, None, list[Stack]]:
        """A stack, locked, its failure noted; returns what is to be trained in its place."""
        too_large = False
        with lock_all(self.folder, [r.id for r in stack.runs], self.options.patience_seconds):
            path = checkpoint.find(self.checkpoints, stack)
            self._sweep(stack, path)
            left = self._unrecorded(stack, path, outcome)
            if len(left) < len(stack.runs):
                return [Stack(left)] if left else []
            try:
                yield from self.engines.trying(
                    pinned, self.device, lambda p: self._train_stack(stack, p, path, outcome, bar)
                )
            except (ReproError, BudgetSpent, KeyboardInterrupt, ModuleNotFoundError):
                raise
            except Exception as e:
                too_large = device.is_out_of_memory(e) and not (alone and len(stack.runs) == 1)
                if not too_large:
                    reason = f"{type(e).__name__}: {e}".splitlines()[0]
                    note_failures(self.store, self.profile, stack.runs, reason, outcome)
            # The attempt's tensors are gone.
            return self._split(stack, alone) if too_large else []

    def _unrecorded(self, stack: Stack, path: Path, outcome: Outcome) -> tuple[Run, ...]:
        """Without what another process has recorded since stacks were formed; now they are locked.

        A stack with a checkpoint stays whole until its last record.
        """
        left = tuple(r for r in stack.runs if not recorded(self.store, self.profile, r))
        if left and path.exists():
            return stack.runs
        for run in set(stack.runs) - set(left):
            outcome.settle(run.id)
        return left

    def _split(self, stack: Stack, alone: bool) -> list[Stack]:
        """What continues where the checkpoint of `stack` stands: two stacks, or it by itself."""
        what = "in two stacks now" if alone else "alone after the others now"
        notice(f"{named(stack.runs)}: out of device memory; {what}")
        device.free_cached(self.device)
        halved = alone and checkpoint.split(self.checkpoints, stack, len(stack.runs) // 2)
        return halved or [stack]

    def _train_stack(
        self, stack: Stack, pinned: Pinned, path: Path, outcome: Outcome, bar: Bar
    ) -> Generator[None, None, None]:
        torch.set_num_threads(pinned.threads)
        multiply_in(pinned.precision, self.device)
        images, source = self.data.images(stack.runs[0])  # lanes may binarise them differently
        if path.exists():
            state, log = checkpoint.load_checkpoint(path, self.device)
            refuse_other_data(log.data, source, path)
        else:
            state = begin(stack, self.folder, images.train, self.device)
            log = Log([LaneLog() for _ in stack.runs], data=source["hash"])
        if pinned.precision == BFLOAT16:
            shade(state)
        task = task_of(stack.runs[0])
        feed: Batches = task.feed(stack, images)
        step = made(pinned.engine, lambda: self._step(stack, pinned))
        if pinned.engine in CAPTURED:
            feed = Blocks(feed)

        def score(k: int, epoch: int) -> Score:
            own, _ = self.data.images(stack.runs[k])
            return task.score(stack, state.params, k, own, epoch)

        events = self.options.tensorboard
        with Progress(stack, feed.steps, pinned.engine, bar, path, events) as progress:
            seconds = self.options.checkpoint_seconds
            keeper = Keeper(stack, state, log, pinned, path, progress, self.stopper, seconds)
            blocks = loop.train(stack, feed, state, log, step, score)
            last = yield from keeper.after_each(blocks)
            keeper.save()
            progress.scoring()
            self._record(keeper, last, source, outcome)
        path.unlink(missing_ok=True)

    def _step(self, stack: Stack, pinned: Pinned) -> Callable[[State, Any], None]:
        step = step_function(stack, pinned.engine)
        return Captured(step, captured_on(self.device)) if pinned.engine in CAPTURED else step

    def _record(
        self, keeper: Keeper, last: dict[int, Score], source: Any, outcome: Outcome
    ) -> None:
        """Write the records of a trained stack that are not there yet."""
        stack, log = keeper.stack, keeper.log
        env = self._environment(stack, keeper.pinned, source)
        for k, run in enumerate(stack.runs):
            if recorded(self.store, self.profile, run):
                outcome.settle(run.id)
                continue
            env["wall_seconds"] = round(log.seconds, 1)
            trained = ended(stack, keeper.state, k, last.get(k))
            images, _ = self.data.images(run)
            record_lane(self.store, self.profile, run, log.lanes[k], trained, images, env)
            (outcome.done if trained else outcome.diverged).append(run.id)
            outcome.settle(run.id)
            if k + 1 < len(stack.runs):
                self.stopper.stop_if_asked(keeper.save)

    def _sweep(self, stack: Stack, path: Path) -> None:
        """Clear away what a killed process left of these Runs, which are locked."""
        for run in stack.runs:
            self.store.sweep(self.profile, run.id)
            sweep_files(weights_path(self.folder, run))
            sweep_files(failure_path(self.folder, run))
        sweep_files(path)

    def _environment(self, stack: Stack, pinned: Pinned, source: Any) -> dict[str, Any]:
        return {
            **environment(self.device),
            **({"placed_by": self.options.placed_by} if self.options.placed_by else {}),
            "engine": pinned.engine,
            **({"stepped_down": pinned.stepped_down} if pinned.stepped_down else {}),
            "precision": pinned.precision,
            "stack_width": len(stack.runs),
            "stacks_at_once": self.at_once,
            "data": source,
        }
