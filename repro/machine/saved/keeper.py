"""Between blocks: checkpoints, progress, stopping."""

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from repro.machine.saved import checkpoint
from repro.machine.saved.checkpoint import Pinned
from repro.machine.saved.stopping import Stopper
from repro.machine.watch.progress import Progress
from repro.model.stack import Stack
from repro.train.log import Log
from repro.train.state import State

T = TypeVar("T")
CHECKPOINT_SECONDS = {"cpu": 30.0, "cuda": 300.0}  # it waits for all of a device's streams


@dataclass
class Keeper:
    """Saves a stack's state every `seconds`, or as suits its device; stops it when asked."""

    stack: Stack
    state: State
    log: Log
    pinned: Pinned
    path: Path
    progress: Progress
    stopper: Stopper
    seconds: float | None = None

    def __post_init__(self) -> None:
        usual = CHECKPOINT_SECONDS[self.pinned.device]
        self.every = usual if self.seconds is None else self.seconds
        self.counted = self.saved = time.monotonic()
        self.progress.begin(self.log, saved=self.path.exists())

    def after_each(self, blocks: Generator[None, None, T]) -> Generator[None, None, T]:
        """The same blocks, kept after each. Closed or cut off between two of them, it saves."""
        while True:
            try:
                next(blocks)
            except StopIteration as end:
                last: T = end.value
                return last
            try:
                self.after_block()
                yield
            except (GeneratorExit, SystemExit, OSError):  # closed, or nobody reads what it shows
                self.save()
                raise

    def after_block(self) -> None:
        now = time.monotonic()
        self.log.seconds += now - self.counted
        self.counted = now
        self.progress.show(self.log)
        if now - self.saved > self.every:
            self.save()
        self.stopper.stop_if_asked(self.save)

    def save(self) -> None:
        checkpoint.save_checkpoint(self.path, self.stack, self.state, self.log, self.pinned)
        self.saved = time.monotonic()
        self.progress.saved(self.log)
