"""Trains Runs on this machine: stacks, one by one or side by side, locked, kept, recorded."""

from collections.abc import Generator

from rich.progress import Progress as Bar

from repro.errors import ReproError
from repro.machine import arrange, device
from repro.machine.cuda import branches
from repro.machine.saved import checkpoint, starting, weights
from repro.machine.saved.stopping import BudgetSpent
from repro.machine.training import train_stack
from repro.machine.watch.progress import named, new_bar, notice
from repro.machine.work import Options, Outcome, Work
from repro.model.stack import Stack
from repro.plan.profiles import with_starts
from repro.plan.run import Run
from repro.store import Store, files, locks, states


def train(runs: list[Run], store: Store, profile: str, options: Options) -> Outcome:
    """Train, score and record what the store lacks of `runs`; continue what was interrupted.

    What a Run starts from is trained first where it is missing.

    A stack that fails is noted with its reason and does not stop the others. Raises
    MachineError (Run locked elsewhere, disk full), DataError, RecordError, KeyboardInterrupt,
    OSError (progress that cannot be written).
    """
    missing = with_starts(runs, lambda run: states.recorded(store, profile, run))
    if not missing:
        return Outcome()
    work = Work(store, profile, options)
    try:
        for generation in starting.generations(missing):
            device.free_cached(work.device)  # room that the generation before no longer needs
            stacks = arrange.stacks(work, generation)
            for group in branches.grouped(stacks, lambda g: arrange.together(work, g)):
                train_group(work, group)
    except BudgetSpent:
        pass
    work.outcome.leave(store, profile, missing)
    return work.outcome


def train_group(work: Work, group: list[arrange.Branch]) -> None:
    """Stacks from start or checkpoint to their records; what does not fit alone, or in halves.

    What stops one of them stops all, after each has saved its checkpoint.
    """
    bar, alone, work.at_once = new_bar(), len(group) == 1, len(group)
    trainings = [_guarded(work, *branch, bar, alone) for branch in group]
    with work.stopper.interruptible():
        left = branches.side_by_side(trainings, device.turns(work.device, len(group)))
    for (_, pinned), stacks in zip(group, left, strict=True):
        for stack in stacks:
            train_group(work, [(stack, pinned)])


def _guarded(
    work: Work, stack: Stack, pinned: checkpoint.Pinned, bar: Bar, alone: bool
) -> Generator[None, None, list[Stack]]:
    """A stack, locked, its failure noted; returns what is to be trained in its place."""
    too_large = False
    ids, patience = (run.id for run in stack.runs), work.options.patience_seconds
    with locks.lock(work.folder, *ids, patience=patience):
        path = checkpoint.find(work.checkpoints, stack)
        files.sweep_files(path)  # what a killed process left
        for run in stack.runs:
            work.store.sweep(work.profile, run.id)
            files.sweep_files(weights.weights_path(work.folder, run))
        # Without what another process has recorded since; a stack with a checkpoint stays whole.
        left = tuple(r for r in stack.runs if not states.recorded(work.store, work.profile, r))
        if len(left) < len(stack.runs) and not (left and path.exists()):
            return [Stack(left)] if left else []
        try:
            yield from work.engines.trying(
                pinned, work.device, lambda p: train_stack(work, stack, p, path, bar)
            )
        except (ReproError, BudgetSpent, KeyboardInterrupt, ModuleNotFoundError, OSError):
            raise
        except Exception as e:
            too_large = device.is_out_of_memory(e) and not (alone and len(stack.runs) == 1)
            if not too_large:
                reason = f"{type(e).__name__}: {e}".splitlines()[0]
                work.outcome.fail(work.store, work.profile, stack.runs, reason)
        # The attempt's tensors are gone.
        return _split(work, stack, alone) if too_large else []


def _split(work: Work, stack: Stack, alone: bool) -> list[Stack]:
    """What continues where the checkpoint of `stack` stands: two stacks, or it by itself."""
    what = "in two stacks now" if alone else "alone after the others now"
    notice(f"{named(stack.runs)}: out of device memory; {what}")
    device.free_cached(work.device)
    halved = alone and checkpoint.split(work.checkpoints, stack, len(stack.runs) // 2)
    return halved or [stack]
