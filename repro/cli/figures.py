"""`repro figures`: what the scripts of `figures/` make of a store."""

from repro.cli.shared.options import OutDir, ProfileToRead, StoreToRead, command, to_read
from repro.cli.shared.terminal import say, say_written
from repro.errors import RecordError


@command("repro figures", "repro figures --store runs --profile quick --out /tmp/f")
def figures(profile: ProfileToRead = None, store: StoreToRead = None, out: OutDir = None) -> None:
    """Draw every figure that saved records are enough for: PNG and PDF."""
    from repro.show import gallery  # matplotlib takes half a second

    found, p = to_read(store, profile)
    found.some_records(p.name)
    place = out or found.folder(p.name, "figures")
    files = gallery.render_all(found, p.name, place)
    without = gallery.in_words(gallery.left_out(found, p.name))
    if not files:
        raise RecordError(
            f"nothing to draw: {found.folder(p.name)} holds too little for any figure: {without}:"
            f" `repro train --profile {p.name}` first"
        )
    say_written(files, p, found)
    if without:
        say(f"not drawn: {without}{'' if out else '; what the store held of them is removed'}")
