"""What a person sees while a stack trains: a bar on a terminal, a line an epoch elsewhere.

And from another terminal: its status (`repro status`) and, where asked for, TensorBoard's events.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from repro.machine.watch.events import Events
from repro.machine.watch.pace import Pace, place, said
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store import status
from repro.train.log import Log, latest
from repro.train.tasks import task_of


def new_bar() -> Bar:
    """Where stacks that train side by side show two lines each; a terminal bears one at a time."""
    console = Console(stderr=True)
    return Bar(
        BarColumn(bar_width=10),
        TaskProgressColumn(),
        TextColumn("{task.description}\n{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class Progress:
    """Keeps the status of a stack, and shows it: the numbers of one lane, pace and time left."""

    def __init__(
        self, stack: Stack, steps: int, engine: str, bar: Bar, checkpoint: Path, tensorboard: bool
    ) -> None:
        self.stack, self.steps, self.task = stack, steps, task_of(stack.runs[0])
        self.rows = stack.runs[0].optim.batch * len(stack.runs)
        self.bar, self.console = bar, bar.console
        self.name = named(stack.runs)
        epochs = stack.runs[0].schedule.epochs
        self.pace = Pace(epochs, steps, stack.runs[0].evaluation.epochs)
        ids, folder = tuple(run.id for run in stack.runs), checkpoint.parents[1]
        self.events = Events(folder, ids) if tensorboard else None
        path = folder / status.FOLDER / f"{checkpoint.stem}.json"
        first = status.Status(ids, status.this_process(), engine, epochs, steps)
        self.file = status.StatusFile(path, first)
        self.console.print(f"training {self.name} ({engine})", highlight=False)
        self.shown = self.bar.add_task(self.name, total=epochs * steps, note="starting")

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if len(self.bar.task_ids) == 1:
            self.bar.stop()
        self.bar.remove_task(self.shown)
        if self.events is not None:
            self.events.close()
        if kind is None:
            self.file.remove()
        else:
            self.file.update(doing="stopped")

    def begin(self, log: Log, saved: bool) -> None:
        """Called before the first block; `saved`: it continues from a checkpoint."""
        stands = self._done(log) / self.steps if saved else None
        self.file.update(at_once=True, step=log.step, saved=stands, **self._closed(log))
        self.bar.update(self.shown, completed=self._done(log))
        self._write_events(log)

    def show(self, log: Log) -> None:
        """After every block: the bar on a terminal; elsewhere a line for each closed epoch."""
        closed = log.epoch != self.file.status.epoch
        self.pace.look(time.monotonic(), log.epoch, log.step)
        rate = self.pace.steps_per_second
        self.file.update(
            doing="training",
            step=log.step,
            images_per_second=rate and rate * self.rows,
            seconds_left=self.pace.seconds_left,
            **(self._closed(log) if closed else {}),
        )
        now = self.file.status
        pace = ", ".join(said(now.images_per_second, now.seconds_left))
        note = ", ".join(filter(None, (place(now.epoch, now.epochs), now.note)))
        name = f"{self.name}, {pace}" if pace else self.name
        self.bar.update(self.shown, completed=self._done(log), description=name, note=note)
        if closed and not self.console.is_terminal:
            name = f"{self.name}: " if len(self.bar.task_ids) > 1 else ""
            parts = (f"{name}{now.epoch}/{now.epochs} epochs", now.note, pace)
            line = f"  {', '.join(part for part in parts if part)}"
            self.console.print(line, highlight=False, soft_wrap=True)
        self._write_events(log)

    def saved(self, log: Log) -> None:
        """Called when the log's place is in the checkpoint."""
        self.file.update(saved=self._done(log) / self.steps)

    def scoring(self) -> None:
        """Training is over; what is measured once is next."""
        note = self.task.scoring(self.stack.runs[0])
        self.bar.update(self.shown, description=self.name, note=note)
        self.file.update(doing="scoring", note=note, seconds_left=None)

    def _done(self, log: Log) -> int:
        return log.epoch * self.steps + log.step

    def _closed(self, log: Log) -> dict[str, Any]:
        """What the status says of closed epochs."""
        rows = log.lanes[next(iter(log.alive), 0)].rows  # of the first that has not diverged
        lanes = zip(self.stack.runs, log.lanes, strict=True)
        return {
            "epoch": log.epoch,
            "note": self.task.progress(rows) if rows else "",
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


def named(runs: Sequence[Run]) -> str:
    """What a stack of these Runs is called."""
    return runs[0].id + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")


def notice(line: str) -> None:
    """Tell a person about something that was dealt with."""
    print(line, file=sys.stderr)
