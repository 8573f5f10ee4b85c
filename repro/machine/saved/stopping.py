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
        self.nothing_to_save = False  # the first Ctrl-C stops at once, too

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """The first Ctrl-C asks for a checkpoint, the second stops at once; SIGTERM, and SIGHUP of
        a terminal that closes, only ask, as who ends a group of processes sends them to
        `run_all.sh` too, which passes them on.
        """

        def ask(number: int, frame: Any) -> None:
            again = self.interrupted.is_set()
            self.interrupted.set()
            if (again and number == signal.SIGINT) or (self.nothing_to_save and not again):
                raise KeyboardInterrupt

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        heard = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup asks
            heard.append(signal.SIGHUP)
        before = {s: signal.signal(s, ask) for s in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def saved(self) -> Iterator[None]:
        """While all that there is lies in a checkpoint: who asks is obeyed at once."""
        self.nothing_to_save = True
        try:
            if self.interrupted.is_set():
                raise KeyboardInterrupt
            yield
        finally:
            self.nothing_to_save = False

    def stop_if_asked(self, save: Callable[[], None]) -> None:
        """Raises KeyboardInterrupt or BudgetSpent after saving."""
        budget = self.budget_seconds
        if self.interrupted.is_set():
            save()
            raise KeyboardInterrupt
        if budget is not None and time.monotonic() - self.started > budget:
            save()
            raise BudgetSpent
