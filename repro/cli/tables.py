"""`repro tables`: what the scripts of `tables/` make of a store."""

from repro.cli.shared.options import OutDir, ProfileToRead, StoreToRead, command, to_read
from repro.cli.shared.terminal import say_written


@command("repro tables", "repro tables --store results --profile quick --out /tmp/t")
def tables(profile: ProfileToRead = None, store: StoreToRead = None, out: OutDir = None) -> None:
    """Write every table from saved records: Markdown, CSV and LaTeX."""
    from repro.show.layout import render_all

    found, p = to_read(store, profile)
    found.some_records(p.name)
    place = out or found.folder(p.name, "tables")
    say_written(render_all(found, p.name, place), p, found)
