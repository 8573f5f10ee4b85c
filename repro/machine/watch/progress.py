"""What a person sees while a stack trains: a bar on a terminal, a line an epoch elsewhere.

And from another terminal: its status (`repro status`) and, where asked for, TensorBoard's events.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from repro.machine.watch.events import Events
from repro.machine.watch.pace import Pace
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store import status
from repro.train.log import Log, latest
from repro.train.state import State
from repro.train.tasks import task_of


def new_bar() -> Bar:
    """Where stacks that train side by side show two lines each; a terminal bears one at a time."""
    console = Console(stderr=True)
    return Bar(
        BarColumn(bar_width=10),
        TaskProgressColumn(),
        TextColumn("{task.description}{task.fields[speed]}\n{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class Progress:
    """Epoch, objective and last score of one lane, images a second and time left."""

    def __init__(
        self, stack: Stack, steps: int, engine: str, bar: Bar, checkpoint: Path, tensorboard: bool
    ) -> None:
        self.stack, self.steps, self.task = stack, steps, task_of(stack.runs[0])
        self.epochs = stack.runs[0].schedule.epochs
        self.rows = stack.runs[0].optim.batch * len(stack.runs)
        self.bar, self.console = bar, bar.console
        self.name = named(stack.runs)
        self.start: tuple[float, int] | None = None
        self.epoch, self.last = -1, ""
        self.pace = Pace(self.epochs, steps, stack.runs[0].evaluation.epochs)
        ids, folder = tuple(run.id for run in stack.runs), checkpoint.parents[1]
        self.events = Events(folder, ids) if tensorboard else None
        path = folder / status.FOLDER / f"{checkpoint.stem}.json"
        first = status.Status(ids, status.this_process(), engine, self.epochs, steps)
        self.status = status.StatusFile(path, first)
        self.console.print(f"training {self.name} ({engine})", highlight=False)
        self.shown = self.bar.add_task(
            self.name, total=self.epochs * steps, speed="", note="starting"
        )

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        if len(self.bar.task_ids) == 1:
            self.bar.stop()
        self.bar.remove_task(self.shown)
        if self.events is not None:
            self.events.close()
        if kind is None:
            self.status.remove()
        else:
            self.status.update(doing="stopped")

    def begin(self, log: Log, saved: bool) -> None:
        """Called before the first block; `saved`: it continues from a checkpoint."""
        self.bar.update(self.shown, completed=self._done(log))
        place = self._done(log) / self.steps if saved else None
        self.status.update(at_once=True, step=log.step, saved=place, **self._closed(log))
        self._write_events(log)

    def show(self, log: Log, state: State) -> None:
        """Called after every block."""
        done, now = self._done(log), time.monotonic()
        self.start = self.start or (now, done)
        rate = (done - self.start[1]) * self.rows / max(now - self.start[0], 1e-9) or None
        self.pace.look(now, log.epoch, log.step)
        left = self.pace.seconds_left
        changes = self._closed(log) if log.epoch != self.epoch else {}
        last = f", {self.last}" if self.last else ""
        speed = f", {rate:,.0f} images/s" if rate else ""
        speed += f", {clock(left)} left" if left else ""
        note = f"epoch {min(log.epoch + 1, self.epochs)} of {self.epochs}{last}"
        self.bar.update(self.shown, completed=done, speed=speed, note=note)
        if log.epoch != self.epoch and not self.console.is_terminal and log.epoch:
            name = f"{self.name}: " if len(self.bar.task_ids) > 1 else ""
            line = f"  {name}{log.epoch}/{self.epochs} epochs{last}{speed}"
            self.console.print(line, highlight=False, soft_wrap=True)
        self.epoch = log.epoch
        changes.update(step=log.step, images_per_second=rate, seconds_left=left)
        self.status.update(doing="training", **changes)
        self._write_events(log)

    def saved(self, log: Log) -> None:
        """Called when the log's place is in the checkpoint."""
        self.status.update(saved=self._done(log) / self.steps)

    def scoring(self) -> None:
        """Training is over; what is measured once is next."""
        note = self.task.scoring(self.stack.runs[0])
        self.bar.update(self.shown, speed="", note=note)
        self.status.update(doing="scoring", note=note, seconds_left=None)

    def _done(self, log: Log) -> int:
        return log.epoch * self.steps + log.step

    def _closed(self, log: Log) -> dict[str, Any]:
        """What the status says of closed epochs."""
        rows = log.shown.rows
        lanes = zip(self.stack.runs, log.lanes, strict=True)
        self.last = self.task.progress(rows) if rows else ""
        return {
            "epoch": log.epoch,
            "note": self.last,
            "last": {column: latest(rows, column) for column in (rows[-1] if rows else {})},
            "diverged": tuple(run.id for run, lane in lanes if lane.diverged_at is not None),
        }

    def _write_events(self, log: Log) -> None:
        """An observer stops no training: where events cannot be written, there are none."""
        try:
            if self.events is not None:
                self.events.write(log)
        except OSError as e:
            where = f"{e.filename or 'event files'}: cannot write ({e.strerror})"
            notice(f"{where}: {self.name} trains on without events for TensorBoard")
            self.events = None


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 0:12:33."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def named(runs: Sequence[Run]) -> str:
    """What a stack of these Runs is called."""
    return runs[0].id + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")


def notice(line: str) -> None:
    """Tell a person about something that was dealt with."""
    print(line, file=sys.stderr)
