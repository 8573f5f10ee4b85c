"""`repro ...`: the command line. The only module that may import every floor."""

import importlib
import sys
from collections.abc import Sequence

import repro.cli.shared.first  # noqa: F401

# isort: split

import typer

from repro.cli.shared.options import app
from repro.cli.shared.terminal import complain, drop, naming_strays, print_json
from repro.errors import NothingError, ReproError
from repro.needed import lacking
from repro.show.output import take_streams
from repro.store.files import READING, REMEDIES

INTERRUPTED = 130
BROKEN_PIPE = 141  # 128 + SIGPIPE, what a shell reports for any program cut off this way

COMMANDS = (
    "list",
    "show",
    "train",
    "evaluate",
    "status",
    "score",
    "verify",
    "publish",
    "tables",
    "figures",
    "check",
    "report",
    "bench",
    "data",
)
for _name in COMMANDS:  # each joins the program, in this order
    importlib.import_module(f"repro.cli.{_name}")


def main() -> None:
    sys.exit(run(sys.argv[1:]))


@naming_strays()
def run(argv: Sequence[str]) -> int:
    """The exit code of one command; errors made on purpose become one line on stderr."""
    take_streams()
    try:
        code = app(args=[*argv] or ["--help"], prog_name="repro", standalone_mode=False)
        sys.stdout.flush()
    except ReproError as e:
        if isinstance(e, NothingError) and "--json" in argv:
            print_json({"error": str(e)})
        return complain(str(e), e.code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        drop(1)
        return BROKEN_PIPE
    except OSError as e:
        return complain(_fault(e), ReproError.code)
    except ModuleNotFoundError as e:
        module = (e.name or "").partition(".")[0]
        if module in ("", "repro"):
            raise
        return complain(str(lacking([module])), ReproError.code)
    except SystemExit:  # typer's own answer to a pipe closed while the command still wrote
        return BROKEN_PIPE
    except Exception as e:
        # Typer's usage errors have no public base class that spans its versions.
        if not hasattr(e, "format_message"):
            raise
        context = getattr(e, "ctx", None)
        command = context.command_path if context else "repro"
        return complain(f"{e.format_message()} (see `{command} --help`)", 2)
    return complain("interrupted", INTERRUPTED) if code == INTERRUPTED else int(code or 0)


def _fault(e: OSError) -> str:
    """Of a place that no other code spoke of: the output, or a path that the machine refuses."""
    place = e.filename
    if place is None:
        drop(1)
    done = "cannot write (" if place is None else "cannot use ("
    remedy = {**READING, **REMEDIES}.get(e.errno or 0, "name another place, or mend this one")
    return f"{place or 'output'}: {done}{e.strerror or e}): {remedy}"
