"""`repro show`: one record."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from repro.cli.shared.options import AsJson, ProfileToRead, StoreToRead, command, to_read
from repro.cli.shared.terminal import print_json, screen
from repro.plan.run import to_dict


@command(
    "repro show mnist-lvae_bn_wu-L5-s1",
    "repro show mnist-lvae_bn_wu-L5-s1 --store results --profile quick --json",
)
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A Run id, as `repro list` prints it.")],
    profile: ProfileToRead = None,
    store: StoreToRead = None,
    as_json: AsJson = False,
) -> None:
    """One record: its configuration, where and how it was made, and what it gave."""
    opened, p = to_read(store, profile)
    record = opened.record(p.name, run)
    content = {"config": to_dict(record.run), "env": record.env, "final": record.final}
    if as_json:
        print_json({"run": run, "profile": p.name, **content})
        return
    for part in ("final", "config", "env"):
        table = Table(
            title=f"{run}, {opened.name}, {p.name}: {part}", show_header=False, title_justify="left"
        )
        for row in _flat(content[part]):
            table.add_row(*row)
        screen().print(table)


def _flat(part: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in part.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            values = value if isinstance(value, list) else [value]
            yield prefix + name, ", ".join(map(_short, values))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "-" if value is None else str(value)
