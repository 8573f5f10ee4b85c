"""What a person sees while a stack trains: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from repro.engine.state import State
from repro.log import Log
from repro.stack import Stack
from repro.tasks import task_of


def new_bar() -> Bar:
    """Where stacks that train side by side show one line each; a terminal bears one at a time."""
    console = Console(stderr=True)
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class Progress:
    """Epoch, objective of the first lane, images a second and time left."""

    def __init__(self, stack: Stack, steps: int, engine: str, bar: Bar) -> None:
        self.stack, self.steps, self.task = stack, steps, task_of(stack.runs[0])
        self.epochs = stack.runs[0].schedule.epochs
        self.rows = stack.runs[0].optim.batch * len(stack.runs)
        self.bar, self.console = bar, bar.console
        self.name = f"{stack.runs[0].id}" + (
            f" and {len(stack.runs) - 1} more" if len(stack.runs) > 1 else ""
        )
        self.console.print(f"training {self.name} ({engine})", highlight=False)
        self.shown = self.bar.add_task(self.name, total=self.epochs * steps, note="")
        self.start: tuple[float, int] | None = None
        self.epoch = -1

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        if len(self.bar.task_ids) == 1:
            self.bar.stop()
        self.bar.remove_task(self.shown)

    def show(self, log: Log, state: State) -> None:
        """Called after every block."""
        done, now = log.epoch * self.steps + log.step, time.monotonic()
        self.start = self.start or (now, done)
        rate = (done - self.start[1]) * self.rows / max(now - self.start[0], 1e-9)
        rows = log.lanes[0].rows
        last = f"{self.task.progress(rows[-1])}, " if rows else ""
        note = f"epoch {min(log.epoch + 1, self.epochs)}, {last}{rate:,.0f} images/s"
        self.bar.update(self.shown, completed=done, note=note)
        if log.epoch != self.epoch and not self.console.is_terminal and log.epoch:
            name = f"{self.name}: " if len(self.bar.task_ids) > 1 else ""
            line = f"  {name}{log.epoch}/{self.epochs} epochs, {last}{rate:,.0f} images/s"
            self.console.print(line, highlight=False, soft_wrap=True)
        self.epoch = log.epoch

    def scoring(self) -> None:
        """Training is over; what is measured once is next."""
        self.bar.update(self.shown, note=self.task.scoring(self.stack.runs[0]))


def notice(line: str) -> None:
    """Tell a person about something that was dealt with."""
    print(line, file=sys.stderr)
