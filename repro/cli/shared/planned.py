"""What training would do: which Runs, in what time, on how much disk; and what keeps it from it."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from repro import data
from repro.cli.shared.options import has_cuda
from repro.cli.shared.terminal import say
from repro.errors import MachineError
from repro.machine import cost as predict
from repro.machine import toolchain
from repro.machine.watch.pace import in_words
from repro.plan.profiles import Profile, with_starts
from repro.plan.run import Run
from repro.store import Store
from repro.store.states import FINISHED, begun, state

RECORD_BYTES = 600_000  # a record has less
FLOATS = 9  # a weight and its two moments: in the old and the new checkpoint, and at the end


Engine = StrEnum("Engine", ["auto", "eager", "compiled", "captured", "graph", "ray"])
COMPILING, CUDA_ALONE = (Engine.compiled, Engine.graph), (Engine.captured, Engine.graph)


@dataclass(frozen=True)
class Plan:
    """What `repro train` would do."""

    profile: Profile
    runs: list[Run]
    states: dict[str, str]
    begun: dict[str, float]  # shares of epochs that checkpoints hold, by Run
    precision: str | None  # that was asked for

    @property
    def todo(self) -> list[Run]:
        return [run for run in self.runs if self.states[run.id] not in FINISHED]

    def without(self, data_sets: Collection[str]) -> Plan:
        """Of the other data sets alone."""
        return replace(self, runs=[run for run in self.runs if run.data.name not in data_sets])

    def seconds(self, runs: list[Run]) -> float:
        """Predicted for what is left of these."""
        return predict.seconds(runs, self.begun, self.precision)

    @property
    def bytes(self) -> int:
        """Disk that `todo` may need."""
        weights = sum(predict.weights(run) for run in self.todo)
        return len(self.todo) * RECORD_BYTES + 4 * FLOATS * weights


def plan(store: Store, p: Profile, asked: list[Run], precision: str | None = None) -> Plan:
    """What is asked for, after what an unfinished Run of it starts from and lacks."""
    states: dict[str, str] = {}

    def done(run: Run) -> bool:
        states[run.id] = state(store, p.name, run)
        return states[run.id] in FINISHED

    todo = with_starts(asked, done)
    return Plan(p, list(dict.fromkeys((*todo, *asked))), states, begun(store, p.name), precision)


def lacking(plan: Plan, data_dir: Path | None) -> dict[str, str]:
    """One line for each data set that training would neither find nor fetch; the others go on."""
    names = dict.fromkeys(run.data.name for run in plan.todo)
    return {name: fault for name in names if (fault := data.lacking(name, data_dir))}


def announce(plan: Plan, limit: float | None, every_run: bool, far: bool) -> None:
    done = len(plan.runs) - len(plan.todo)
    say(f"profile {plan.profile.name}: {plan.profile.summary}")
    say(f"{len(plan.runs)} Runs, {done} finished, {len(plan.todo)} to train")
    for run in plan.todo if every_run else []:
        say(f"  {run.id}: {plan.states[run.id]}, {in_words(plan.seconds([run]))} alone")
    if plan.todo:
        total = in_words(plan.seconds(plan.todo))
        stop = f", stopping after {in_words(limit)}" if limit is not None else ""
        where = "on this CPU alone" if far or has_cuda() else "here"
        say(f"predicted time {where}: {total}{stop}; disk: up to {plan.bytes / 1e6:.0f} MB")


def check_machine(plan: Plan, store: Store, engine: Engine) -> None:
    """Say what is slower here than it could be. Raises MachineError where it cannot work."""
    if not plan.todo:
        return
    if engine in CUDA_ALONE and not has_cuda():
        raise MachineError(
            f"--engine {engine.value}: no CUDA device found: use compiled, eager or auto"
        )
    fault = toolchain.compiler_fault()
    if engine in COMPILING and fault:
        other = "captured" if engine is Engine.graph else "eager"
        raise MachineError(f"--engine {engine.value}: {fault}, or use {other}")
    if engine is Engine.ray and find_spec("ray") is None:
        raise MachineError(
            "--engine ray: Ray is not installed here: `pip install -r requirements-extras.txt`"
            " or the extra `ray` of the wheel, or leave the option out"
        )
    if engine is Engine.auto and fault:
        say(f"{fault.what}: steps are not compiled; for quicker long Runs, {fault.remedy}")
    place = next(p for p in (store.root, *store.root.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < plan.bytes:
        raise MachineError(
            f"{place}: {free / 1e6:.0f} MB free, up to {plan.bytes / 1e6:.0f} MB needed:"
            " free some space, or train fewer experiments at once"
        )
