"""When training stops before its end: a spent budget, Ctrl-C."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any


class BudgetSpent(Exception):  # noqa: N818 - a way to stop, not an error
    """The time allowed is over; everything unfinished is in a checkpoint."""


class Stopper:
    """Knows whether to stop: after `budget_seconds` from now, or after a Ctrl-C."""

    def __init__(self, budget_seconds: float | None) -> None:
        self.budget_seconds, self.started = budget_seconds, time.monotonic()
        self.interrupted = threading.Event()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """The first Ctrl-C asks for a checkpoint, the second stops at once; SIGTERM only asks, as
        who ends a group of processes sends it to `run_all.sh` too, which passes it on.
        """

        def ask(number: int, frame: Any) -> None:
            if self.interrupted.is_set() and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.interrupted.set()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop_if_asked(self, save: Callable[[], None]) -> None:
        """Raises KeyboardInterrupt or BudgetSpent after saving."""
        budget = self.budget_seconds
        if self.interrupted.is_set():
            save()
            raise KeyboardInterrupt
        if budget is not None and time.monotonic() - self.started > budget:
            save()
            raise BudgetSpent
