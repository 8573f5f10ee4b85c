"""Output that every terminal can take, whatever it was started with."""

import io
import os
import sys


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
