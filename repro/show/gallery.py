"""All figures of a profile: which of them hold enough to be drawn, decided here alone.

Each script says what it needs as `NEEDS`; one that is run on its own draws whatever there is.
"""

from collections.abc import Iterator
from pathlib import Path

from repro.show.style import save

from matplotlib.figure import Figure

from repro.show import scripts
from repro.store import Store
from repro.store.files import disk_errors

SUFFIXES = (".png", ".pdf")


def left_out(store: Store, profile: str) -> dict[str, str]:
    """Figures that hold too little to be drawn, and why. Raises UsageError, RecordError."""
    every = {name: scripts.load("figures", name).NEEDS for name in scripts.names("figures")}
    reasons = {name: needs.lacking(store, profile) for name, needs in every.items()}
    return {name: why for name, why in reasons.items() if why}


def in_words(reasons: dict[str, str]) -> str:
    """One line on what was left out, figures of one reason together."""
    of = {why: [n for n, w in reasons.items() if w == why] for why in reasons.values()}
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in of.items())


def drawn(store: Store, profile: str) -> Iterator[tuple[str, Figure]]:
    """Every figure that holds enough, with its name.

    Raises UsageError, RecordError, MachineError.
    """
    without = left_out(store, profile)
    for name in scripts.names("figures"):
        if name not in without:
            yield name, scripts.load("figures", name).draw(store, profile)


def render_all(store: Store, profile: str, out_dir: Path) -> list[Path]:
    """Save every figure that holds enough; in the store, remove what is there of the others.

    Raises UsageError, RecordError, MachineError.
    """
    own = out_dir == store.folder(profile, "figures")
    for name in left_out(store, profile) if own else ():
        for path in (out_dir / f"{name}{suffix}" for suffix in SUFFIXES):
            with disk_errors(path, "remove"):
                path.unlink(missing_ok=True)
    return [path for name, fig in drawn(store, profile) for path in save(fig, out_dir / name)]
