"""`repro figures`: what the scripts of `figures/` make of a store."""

from __future__ import annotations

import typer

from repro.cli.shared.options import OutDir, ProfileToRead, StoreToRead, examples, to_read
from repro.cli.shared.terminal import say_written
from repro.store import Snapshot


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples("repro figures", "repro figures --store runs --profile quick --out /tmp/f")
    )(figures)


def figures(profile: ProfileToRead = None, store: StoreToRead = None, out: OutDir = None) -> None:
    """Draw every figure from saved records: PNG and PDF."""
    from repro.show.style import render_all  # matplotlib takes half a second

    found, p = to_read(store, profile)
    found.some_records(p.name)
    place = out or found.folder(p.name, "figures")
    say_written(render_all(Snapshot(found.root), p.name, place), p, found)
