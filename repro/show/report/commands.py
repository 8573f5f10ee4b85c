"""The commands that make something again, or go on with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from repro.errors import UsageError
from repro.plan import seeds
from repro.plan.experiments import EXPERIMENTS
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.profiles import PROFILES, Profile, find_run
from repro.show.words import rounded
from repro.store import Record


def training(cells: Sequence[Cell], p: Profile, records: Sequence[Record] = ()) -> tuple[str, ...]:
    """Trains what these cells need, with the seeds and rounding of the records; none for no cell.

    Cells that the profile leaves out are trained in the fullest profile, which holds every one;
    records of such cells by their ids.
    """
    if not cells:
        return ()
    if not all(p.holds(cell_of(r.run)) for r in records):
        ids = " ".join(r.run.id for r in records)
        return (f"repro train {ids} --profile {p.name}{rounded(records)}",)
    holder = p if all(p.holds(c) for c in cells) else next(reversed(PROFILES.values()))
    return (_train(cells, holder, (r.run.seed for r in records)) + rounded(records),)


def continuing(run_ids: Sequence[str], p: Profile) -> str:
    """Trains these Runs, and so goes on with them; all of the profile where one is unknown.

    By their ids where the profile, and so its experiments, leave one of them out.
    """
    try:
        asked = [find_run(run_id, p) for run_id in run_ids]
    except UsageError:
        return f"repro train --profile {p.name}"
    cells = [cell_of(run) for run in asked]
    if not all(p.holds(cell) for cell in cells):
        return f"repro train {' '.join(run_ids)} --profile {p.name}"
    return _train(cells, p, (run.seed for run in asked))


def _train(cells: Sequence[Cell], p: Profile, own: Iterable[int]) -> str:
    names = " ".join(experiments(cells))
    usual = max(p.ladder.seeds if c.labels else p.seeds for c in cells)
    return f"repro train {names} --profile {p.name}{seeds.option(own, usual)}"


def experiments(cells: Sequence[Cell]) -> list[str]:
    """The smallest experiment that holds all these cells; else the smallest for each of them."""
    by_size = sorted(EXPERIMENTS, key=lambda name: len(EXPERIMENTS[name]))
    whole = [name for name in by_size if set(cells) <= set(EXPERIMENTS[name])]
    if whole:
        return whole[:1]
    each = (next((n for n in by_size if cell in EXPERIMENTS[n]), None) for cell in cells)
    return list(dict.fromkeys(name for name in each if name))
