"""`repro ...`: the command line. The only module that may import every floor."""

import importlib
import signal
import sys
from collections.abc import Sequence

from repro.cli.shared.first import USUAL

# isort: split

import typer

from repro.cli.shared.options import app
from repro.cli.shared.terminal import complain, naming_strays
from repro.errors import ReproError
from repro.needed import lacking
from repro.show.output import BROKEN_PIPE, INTERRUPTED, drop, refuse_empty, take_streams
from repro.store.files import READING, REMEDIES

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
signal.signal(signal.SIGINT, USUAL)


def main() -> None:
    sys.exit(run(sys.argv[1:]))


@naming_strays()
def run(argv: Sequence[str]) -> int:
    """The exit code of one command; errors made on purpose become one line on stderr."""
    take_streams()
    as_json = "--json" in argv
    try:
        refuse_empty(argv)
        code = app(args=[*argv] or ["--help"], prog_name="repro", standalone_mode=False)
        sys.stdout.flush()
    except ReproError as e:
        return complain(str(e), e.code, as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        drop(1)
        return BROKEN_PIPE
    except OSError as e:
        return complain(_fault(e), ReproError.code, as_json)
    except ModuleNotFoundError as e:
        module = (e.name or "").partition(".")[0]
        if module in ("", "repro"):
            raise
        return complain(str(lacking([module])), ReproError.code, as_json)
    except SystemExit:  # typer's own answer to a pipe closed while the command still wrote
        return BROKEN_PIPE
    except Exception as e:
        # Typer's usage errors have no public base class that spans its versions.
        if not hasattr(e, "format_message"):
            raise
        said, context = e.format_message(), getattr(e, "ctx", None)
        for fault in getattr(e.__cause__, "errors", tuple)():  # newer ones leave out the value
            said = said.replace(": Input ", f": {fault['input']} ")
        command = context.command_path if context else "repro"
        return complain(f"{said} (see `{command} --help`)", 2, as_json)
    return complain("interrupted", INTERRUPTED) if code == INTERRUPTED else int(code or 0)


def _fault(e: OSError) -> str:
    """Of a place that no other code spoke of: the output, or a path that the machine refuses."""
    place = e.filename
    if place is None:
        drop(1)
    done = "cannot write (" if place is None else "cannot use ("
    remedy = {**READING, **REMEDIES}.get(e.errno or 0, "name another place, or mend this one")
    return f"{place or 'output'}: {done}{e.strerror or e}): {remedy}"
