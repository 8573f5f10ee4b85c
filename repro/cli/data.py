"""`repro data`: where the data sets are, and whether they are right."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from repro import data as datasets
from repro.cli.shared.options import DataDir, command
from repro.cli.shared.terminal import say, screen
from repro.data.sources import FileStatus, directory

STYLES = {"ok": "green", "missing": "yellow", "damaged": "red"}


Action = StrEnum("Action", ["status", "fetch", "verify"])


@command("repro data", "repro data fetch omniglot", "repro data verify --data-dir /mnt/sets")
def data(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.status,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Data sets. Default: all; to fetch, mnist; to verify, also those that are there.",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Say where the data sets are, fetch what is missing, or verify every file's content."""
    if action is Action.fetch:
        _say_verified("in place", datasets.fetch(names, data_dir))
    elif action is Action.verify:
        _say_verified("verified", datasets.verify(data_dir, names))
    else:
        table = Table(
            "data set", "file", "state", "", title=Text(f"data folder {directory(data_dir)}")
        )
        for f in datasets.status(data_dir, names):
            shown = Text(f.state, style=STYLES.get(f.state, "dim"))
            table.add_row(f.data_set, Text(f.file), shown, Text(f.detail))
        screen().print(table)


def _say_verified(verb: str, found: list[FileStatus]) -> None:
    """One line for each data set: what was compared with what is published."""
    for name in dict.fromkeys(f.data_set for f in found):
        mine = [f for f in found if f.data_set == name]
        details = {f.detail or "content" for f in mine if f.state == "ok"}
        unused = ", ".join(f.file for f in mine if f.state != "ok")
        without = f" without {unused}" if unused else ""
        say(f"{name}: every data file {verb}{without}; compared: {', '.join(sorted(details))}")
