"""For a number on the page: the commands that make it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from repro.plan import seeds
from repro.plan.experiments import EXPERIMENTS
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import PROFILES, Profile
from repro.store import Record


def training(cells: Sequence[Cell], p: Profile, records: Iterable[Record] = ()) -> tuple[str, ...]:
    """Trains what these cells need, with the seeds that the records have; none for no cell.

    Cells that the profile leaves out are trained in the fullest profile, which holds every one.
    """
    if not cells:
        return ()
    holder = p if all(p.holds(c) for c in cells) else next(reversed(PROFILES.values()))
    more = seeds.option(r.run.seed for r in records)
    return (f"repro train {' '.join(experiments(cells))} --profile {holder.name}{more}",)


def experiments(cells: Sequence[Cell]) -> list[str]:
    """The smallest experiment that holds all these cells; else the smallest for each of them."""
    by_size = sorted(EXPERIMENTS, key=lambda name: len(EXPERIMENTS[name]))
    whole = [name for name in by_size if set(cells) <= set(EXPERIMENTS[name])]
    if whole:
        return whole[:1]
    each = (next((n for n in by_size if cell in EXPERIMENTS[n]), None) for cell in cells)
    return list(dict.fromkeys(name for name in each if name))


def drawing(folder: str, name: str, store: str, p: Profile) -> str:
    """Draws one table or figure from saved records."""
    return f"python {folder}/{name}.py --store {store} --profile {p.name}"


def figures(store: str, p: Profile) -> str:
    """Draws every figure of a profile."""
    return f"repro figures --store {store} --profile {p.name}"


def checking(store: str, p: Profile) -> str:
    """Prints the verdicts of a profile."""
    return f"repro check --store {store} --profile {p.name}"
