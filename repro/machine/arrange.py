"""Which Runs train together: stacks that go on, new ones, and those that take turns."""

from pathlib import Path

import torch

from repro.errors import MachineError
from repro.machine import cost, device
from repro.machine.cuda import branches
from repro.machine.precision import BFLOAT16, refuse_emulated
from repro.machine.saved import checkpoint, starting
from repro.machine.watch.progress import named, notice
from repro.machine.work import Work
from repro.model.bfloat16 import multiplies_in_bfloat16
from repro.model.stack import Stack, pack
from repro.plan.run import Run
from repro.store.states import displaced, recorded
from repro.train.step import CAPTURED

Branch = tuple[Stack, checkpoint.Pinned]
GO_BACK = "go back to that configuration, or remove the file"


def stacks(work: Work, runs: list[Run]) -> list[Branch]:
    """Interrupted stacks as their checkpoints pin them, then the rest, longest first.

    A checkpoint stays where it is, and counts for nothing, where a Run of it is asked for,
    recorded or planned in another configuration, or goes on from another checkpoint. Of a Run
    that can neither go on nor begin it is noted why. Raises RecordError, MachineError.
    """
    wanted, asked, names = set(runs), set(runs), {run.id for run in runs}
    found: list[Branch] = []
    again: set[Run] = set()
    # Of one that was being split the whole comes before its halves.
    headers = sorted(checkpoint.headers(work.checkpoints), key=lambda header: -len(header[1]))
    for path, lanes, pinned in headers:
        others = (run for run in lanes if run not in asked)
        if any(run.id in names or displaced(work.store, work.profile, run) for run in others):
            if wanted & set(lanes):
                notice(f"{path}: of a Run in another configuration, so not continued: {GO_BACK}")
        elif any(set(lanes) & set(stack.runs) for stack, _ in found):
            if here := wanted & set(lanes):
                notice(f"{path}: of a Run that another checkpoint goes on with, so not continued")
                again |= here
        elif wanted & set(lanes):
            _refuse_other_device(pinned, work.device, path)
            if pinned.precision == BFLOAT16 and not multiplies_in_bfloat16(work.device):
                notice(f"{named(lanes)}: continued in bfloat16, which is emulated here")
            found.append((Stack(tuple(lanes)), pinned))
            wanted -= set(lanes)
        elif all(recorded(work.store, work.profile, run) for run in lanes):
            path.unlink(missing_ok=True)  # killed after the last record
    left = _able(work, [run for run in runs if run in wanted])
    if not left:
        return found
    if anew := [run for run in left if run in again]:
        notice(f"{named(anew)}: begins again")
    if not work.options.emulate:
        refuse_emulated(work.precision, work.device)
    fitting = cost.most_lanes(left, device.memory(work.device))
    rest = pack(left, min(fitting, work.options.lanes or fitting))
    rest.sort(key=lambda s: -sum(map(cost.training_flops, s.runs)))
    chosen = (work.engines.chosen(list(s.runs), work.device, work.precision) for s in rest)
    return found + list(zip(rest, chosen, strict=True))


def _able(work: Work, runs: list[Run]) -> list[Run]:
    """The Runs that can begin; of the others it is noted why they cannot."""
    why = {run: starting.obstacle(work.store, work.profile, run) for run in runs}
    for run, reason in why.items():
        if reason:
            work.outcome.fail(work.store, work.profile, [run], reason)
    return [run for run, reason in why.items() if not reason]


def _refuse_other_device(begun: checkpoint.Pinned, here: torch.device, where: Path) -> None:
    """Raises MachineError when a checkpoint was begun on a device that draws other numbers."""
    remedy = "continue it there, or remove it to begin again"
    if begun.device != here.type:
        raise MachineError(
            f"{where}: was begun on {begun.device}, and here training runs on {here.type}: {remedy}"
        )
    pinned = begun.multiprocessors  # None: older than the choice, or of a CPU
    if pinned is not None and pinned != (count := device.multiprocessors(here)):
        raise MachineError(
            f"{where}: was begun on a device with {pinned} multiprocessors, on whose"
            f" number its draws depend, and the one here has {count}: {remedy}"
        )


def together(work: Work, group: list[Branch]) -> bool:
    """Whether these stacks may train side by side: they run alike, and all have room."""
    (_, first), *_ = group
    most = work.options.side_by_side
    if most is None:
        several = work.device.type == "cuda" and first.engine in CAPTURED
        most = branches.MOST if several else 1
    if len(group) > most or any(pinned != first for _, pinned in group):
        return False
    runs = [run for stack, _ in group for run in stack.runs]
    return cost.fit_together(runs, device.memory(work.device))
