"""What a command or script was started with: its words, and where its output goes."""

import io
import os
import sys
from collections.abc import Sequence

from repro.errors import UsageError


def refuse_empty(words: Sequence[str]) -> None:
    """Raises UsageError for a word that is empty: as a path it would be the current folder."""
    parts = [p for w in words for p in (w.split("=", 1) if w.startswith("--") else [w])]
    if "" in parts:
        option = " ".join(parts[: parts.index("")][-1:])
        raise UsageError(f"{option} '': empty: give it a value, or leave it out")


def take_streams() -> None:
    """Replace what the encoding of stdout and stderr lacks; open what was closed (`>&-`).

    A closed stream becomes the null device: else the next file would get its number, and with it
    what is meant for the terminal.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            null = io.FileIO(os.devnull, mode)
            buffered = io.BufferedReader(null) if mode == "r" else io.BufferedWriter(null)
            setattr(sys, name, io.TextIOWrapper(buffered, encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
