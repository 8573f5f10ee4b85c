"""Which libraries are not installed here, in one line, before anything imports them.

Needs the standard library alone. `python -m repro.needed` asks for all that `run_all.sh` needs,
but for what downloads the data.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable

COMMAND_LINE = ("numpy", "pandas", "filelock", "typer", "rich")
FROM_DATA_TO_REPORT = (
    *COMMAND_LINE,
    "torch",
    "safetensors",
    "scipy",
    "matplotlib",
    "jinja2",
    "PIL",
)
PACKAGES = {"PIL": "pillow"}  # whose name is not the module's
CODE = 3  # an environment error
OLDEST = (3, 11)


def fault(modules: Iterable[str]) -> str | None:
    """What to install of these modules, and where; None: they are all there."""
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:2]))
        return f"{sys.executable}: Python {version} is too old: use Python 3.11 to 3.13"
    return lacking(name for name in modules if not _is_there(name))


def lacking(modules: Iterable[str]) -> str | None:
    """The line on modules that are known to be missing."""
    missing = [PACKAGES.get(name, name) for name in modules]
    if not missing:
        return None
    names = " ".join(missing)
    return (
        f"{sys.executable}: not installed: {', '.join(missing)}: `pip install {names}` there, or"
        " name an environment that has them (run_all.sh: REPRO_VENV)"
    )


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def require(modules: Iterable[str]) -> None:
    """Ends the process with one line where one of them is missing."""
    if line := fault(modules):
        sys.stderr.write(f"repro: {line}\n")
        sys.exit(CODE)


if __name__ == "__main__":
    require(FROM_DATA_TO_REPORT)
