"""`repro tables` and `repro figures`: run the scripts of the two folders."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from repro.cli.options import ProfileToRead, StoreToRead, examples, to_read
from repro.cli.terminal import say
from repro.errors import MachineError
from repro.places import SCRIPTS
from repro.profiles import Profile
from repro.store import Snapshot, Store

SHARED = {"tables": "layout", "figures": "style"}  # the module of each folder with `render_all`
OutDir = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        readable=False,
        help="Default: a folder of the store.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples("repro tables", "repro tables --store results --profile quick --out /tmp/t")
    )(tables)
    app.command(
        epilog=examples("repro figures", "repro figures --store runs --profile quick --out /tmp/f")
    )(figures)


def tables(profile: ProfileToRead = None, store: StoreToRead = None, out: OutDir = None) -> None:
    """Write every table from saved records: Markdown, CSV and LaTeX."""
    _render_and_say("tables", *to_read(store, profile), out)


def figures(profile: ProfileToRead = None, store: StoreToRead = None, out: OutDir = None) -> None:
    """Draw every figure from saved records: PNG and PDF."""
    _render_and_say("figures", *to_read(store, profile), out)


def script(folder: str, name: str) -> Any:
    """A module of `tables/` or `figures/`: scripts, found by their path.

    Raises MachineError where the package is there without them.
    """
    place = SCRIPTS / folder
    if not (place / f"{name}.py").is_file():
        raise MachineError(
            f"{place / name}.py: not found: run from a checkout, or install its wheel"
        )
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
    shared = importlib.import_module(SHARED[folder])
    return shared if name == SHARED[folder] else shared.script(name)


def render(folder: str, store: Store, p: Profile, out: Path | None = None) -> list[Path]:
    """Render all scripts of a folder, by default into the store.

    Raises NothingError where there is no record to show, RecordError for a damaged one.
    """
    store.some_records(p.name)
    place = out or store.folder(p.name, folder)
    written: list[Path] = script(folder, SHARED[folder]).render_all(store, p.name, place)
    return written


def _render_and_say(folder: str, store: Store, p: Profile, out: Path | None) -> None:
    written = render(folder, Snapshot(store.root), p, out)
    say(f"{len(written)} files of profile {p.name} from {store.root}:")
    for path in written:
        say(f"  {path}")
