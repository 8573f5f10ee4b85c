"""What a command or script was started with: its words, and where its output goes."""

import io
import os
import sys
from collections.abc import Callable, Sequence

from repro.errors import ReproError, UsageError

INTERRUPTED = 130
BROKEN_PIPE = 141  # 128 + SIGPIPE, what a shell reports for any program cut off this way


def refuse_empty(words: Sequence[str]) -> None:
    """Raises UsageError for a word that is empty: as a path it would be the current folder."""
    parts = [p for w in words for p in (w.split("=", 1) if w.startswith("--") else [w])]
    if "" in parts:
        option = " ".join(parts[: parts.index("")][-1:])
        raise UsageError(f"{option} '': empty: give it a value, or leave it out")


def ended(script: Callable[[], None]) -> int:
    """The exit code of a script's work; an error, or Ctrl-C, is one line on stderr."""
    take_streams()
    try:
        refuse_empty(sys.argv[1:])
        script()
        sys.stdout.flush()
        return 0
    except ReproError as e:
        said, code = str(e), e.code
    except KeyboardInterrupt:
        said, code = "interrupted", INTERRUPTED
    except BrokenPipeError:
        drop(1)
        return BROKEN_PIPE
    except OSError as e:
        drop(1)
        said, code = f"output: cannot write ({e.strerror})", ReproError.code
    print(f"repro: {said}", file=sys.stderr)
    return code


def drop(stream: int) -> None:
    """What is still to be flushed would fail again at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


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
