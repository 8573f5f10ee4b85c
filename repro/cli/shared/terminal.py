"""What the commands print: text for people, JSON for programs, one line for an error."""

import contextlib
import json
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from repro.errors import StrayWarning, UsageError
from repro.plan.profiles import Profile
from repro.show.output import drop
from repro.store import Store

PIPE_WIDTH = 140  # rich would cut tables at 80 columns where there is no terminal to ask
FAILED = 1  # exit code: a check did not hold
SECONDS = {"s": 1, "m": 60, "h": 3600}


def screen() -> Console:
    """Where results for people go; coloured on a terminal only."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def say(text: str) -> None:
    """One line on stdout, never wrapped."""
    screen().print(text, markup=False, soft_wrap=True)


def complain(text: str, code: int, as_json: bool = False) -> int:
    """One line on stderr, and on stdout where JSON was asked for; returns the code it was given."""
    line = Text.assemble(("repro:", "bold red"), " ", " ".join(text.split()))
    try:
        if as_json:
            print_json({"error": text})
            sys.stdout.flush()
    except OSError:
        drop(1)
    try:
        Console(stderr=True, highlight=False).print(line, soft_wrap=True)
        sys.stderr.flush()
    except (OSError, SystemExit):  # as rich says that nobody reads it: the code is left
        drop(sys.stderr.fileno())
    return code


@contextlib.contextmanager
def naming_strays() -> Iterator[None]:
    """Each folder of a store that is left out is named once, on stderr."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, StrayWarning):
            complain(str(message), 0)
        else:
            usual(message, category, *place, **more)

    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=StrayWarning)
        warnings.showwarning = show
        yield


def say_written(files: list[Path], p: Profile, store: Store) -> None:
    """What a command made of a store's profile."""
    say(f"{len(files)} files of profile {p.name} from {store.root}:")
    for path in files:
        say(f"  {path}")


def print_json(value: Any) -> None:
    """In ASCII, whatever the terminal's encoding."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def seconds(option: str, text: str | None) -> float | None:
    """The duration of an option, such as 90s, 25m or 1.5h, where it is given. Raises UsageError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smh])", text.strip())
    if match is None or not float(match[1]):
        raise UsageError(f"{option} {text}: no time above 0: write it like 90s, 25m or 1.5h")
    return float(match[1]) * SECONDS[match[2]]
