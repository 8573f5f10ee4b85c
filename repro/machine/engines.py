"""Which engine steps run in, and which one is next where it cannot be made on this machine."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from repro.errors import MachineError, ReproError
from repro.machine import cost as predict
from repro.machine import toolchain
from repro.machine.device import free_cached, is_out_of_memory
from repro.machine.saved.checkpoint import Pinned
from repro.machine.toolchain import Fault, fault_of
from repro.machine.watch.progress import notice
from repro.plan.run import Run
from repro.train.state import State
from repro.train.step import COMPILED

AUTO, LAST = "auto", "eager"
ORDER = ("graph", "captured", "compiled", LAST)  # each is made where those before it cannot be
Step = Callable[[State, Any], None]
Training = Generator[None, None, None]


class EngineFailed(Exception):  # noqa: N818 - no Run failed
    """An engine, and the fault for which it could not be made; no Run is to blame."""


@dataclass
class Engines:
    """What one call of `train` knows of its engines."""

    named: str  # the one that was asked for
    multiprocessors: int | None = None  # of the device
    compiler_told: bool = False  # whether a person knows what the compiler lacks
    interrupted: Callable[[], bool] = lambda: False  # whether training is to stop
    faults: dict[str, Fault] = field(default_factory=dict)  # of those that could not be made
    told: set[str] = field(default_factory=set)  # those of them that a person knows of
    threads: int = field(default_factory=torch.get_num_threads)  # a continued stack may change it

    def chosen(self, runs: list[Run], device: torch.device, precision: str) -> Pinned:
        """Where the steps of a new stack of these Runs are to run. Raises as `usable`."""
        engine = self._wanted(runs, device.type == "cuda")
        pinned = Pinned(engine, self.threads, device.type, precision, self.multiprocessors)
        return self.usable(pinned)

    def _wanted(self, runs: list[Run], on_cuda: bool) -> str:
        if self.named != AUTO:
            return self.named
        if on_cuda:
            return "graph" if predict.graph_pays(runs) else "captured"
        return "compiled" if predict.compiling_pays(runs) else LAST

    def usable(self, pinned: Pinned) -> Pinned:
        """With the first engine that can be made here, as far as is known, from its own on.

        Raises MachineError in place of an engine that was asked for by name.
        """
        while fault := self.fault(pinned.engine):
            engine = pinned.engine
            later = ORDER[ORDER.index(engine) + 1 :]
            if engine == self.named:
                other = next(e for e in later if not self.fault(e))
                raise MachineError(f"--engine {engine}: {fault}, or use {other}")
            left = [*pinned.stepped_down, {"engine": engine, "reason": fault.what}]
            pinned = dataclasses.replace(pinned, engine=later[0], stepped_down=left)
        return pinned

    def fault(self, engine: str) -> Fault | None:
        """Why an engine cannot be made here, as far as is known."""
        fault = toolchain.compiler_fault() if engine in COMPILED else None
        if fault and engine not in self.faults:
            self.faults[engine] = fault
            self.told |= {engine} if self.compiler_told else set()
        return self.faults.get(engine)

    def trying(
        self, pinned: Pinned, device: torch.device, train: Callable[[Pinned], Training]
    ) -> Training:
        """`train` with the first engine that can be made; each begins where the stack stood."""
        while True:
            pinned = self.usable(pinned)
            self._tell(pinned)
            try:
                return (yield from train(pinned))
            except EngineFailed as e:
                if self.interrupted():  # Ctrl-C ends a compiler too, which then is not to blame
                    raise KeyboardInterrupt from e
                engine, self.faults[engine] = e.args
            free_cached(device)  # the attempt's tensors are gone

    def _tell(self, pinned: Pinned) -> None:
        """Say once of each engine that it could not be made, and what is taken instead."""
        for engine in (step["engine"] for step in pinned.stepped_down):
            if engine in self.faults and engine not in self.told:
                self.told.add(engine)
                what, remedy = self.faults[engine]
                notice(
                    f"engine {engine}: {what}: going on with {pinned.engine}; to have it, {remedy}"
                )


def made(engine: str, make: Callable[[], Step]) -> Step:
    """The step that `make` makes. Its first call compiles and captures.

    Raises EngineFailed where one of the two fails; memory that is out is no fault of an engine.
    """
    with _blaming(engine):
        step = make()
    begun = False

    def checked(state: State, batch: Any) -> None:
        nonlocal begun
        with contextlib.nullcontext() if begun else _blaming(engine):
            step(state, batch)
        begun = True

    return checked


@contextlib.contextmanager
def _blaming(engine: str) -> Iterator[None]:
    try:
        yield
    except Exception as e:
        if isinstance(e, ReproError) or engine == LAST or is_out_of_memory(e):
            raise
        raise EngineFailed(engine, fault_of(e)) from e
