"""`repro data`: where the data sets are, and whether they are right."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from repro import data as datasets
from repro.cli.options import DataDir, examples
from repro.cli.terminal import say, screen

STYLES = {"ok": "green", "missing": "yellow", "damaged": "red"}


class Action(StrEnum):
    status = "status"
    fetch = "fetch"
    verify = "verify"


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "repro data", "repro data fetch mnist", "repro data verify --data-dir /mnt/sets"
        )
    )(data)


def data(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.status,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Data sets. Default: all."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Say where the data sets are, fetch what is missing, or verify every file's content."""
    if action is Action.fetch:
        datasets.fetch(names, data_dir)
        say("the data files are in place")
    elif action is Action.verify:
        datasets.verify(data_dir, names)
        say("every data file has the right content")
    else:
        table = Table(
            "data set", "file", "state", "", title=f"data folder {datasets.directory(data_dir)}"
        )
        for f in datasets.status(data_dir, names):
            shown = f"[{STYLES.get(f.state, 'dim')}]{f.state}"
            table.add_row(f.data_set, f.file, shown, f.detail)
        screen().print(table)
