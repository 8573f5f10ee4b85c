"""The deviations ledger: paper, released code, and what is done here, from `deviations.toml`.

The configured value is read from `repro.plan.run`, so that the page cannot disagree with it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.plan.experiments import ablations
from repro.plan.run import Evaluation, Ladder, Model, Optim, RealData, Schedule

FILE = Path(__file__).with_name("deviations.toml")
PARTS: dict[str, Any] = {
    "data": RealData(),
    "model": Model(),
    "ladder": Ladder(),
    "optim": Optim(),
    "schedule": Schedule(),
    "evaluation": Evaluation(),
}


@dataclass(frozen=True)
class Choice:
    """One choice that the paper leaves open or that the released code made differently.

    fields: `part.name` of repro/plan/run.py. place: the file of a choice that is no field.
    """

    topic: str
    fields: tuple[str, ...]
    paper: str
    code: str
    here: str
    place: str = ""

    @property
    def defaults(self) -> tuple[tuple[str, str], ...]:
        """Each field with its default, as Python writes it."""
        return tuple((name, repr(default(name))) for name in self.fields)

    @property
    def ablations(self) -> tuple[str, ...]:
        """The variants that make this choice otherwise."""
        return tuple(ablations_of(self.fields))


def ablations_of(fields: Iterable[str]) -> Iterator[str]:
    """The variants whose one other choice is in these fields."""
    for cell in ablations.EXPERIMENTS["ablations"]:
        other = ablations.choice_of(cell)
        if other and any(name in getattr(other, part, {}) for part, name in map(split, fields)):
            yield cell.variant


def split(field: str) -> tuple[str, str]:
    part, _, name = field.partition(".")
    return part, name


def default(field: str) -> Any:
    """The default of `part.name`. Raises KeyError or AttributeError for one that is none."""
    part, name = split(field)
    return getattr(PARTS[part], name)


def choices() -> tuple[Choice, ...]:
    """The ledger in the order of its file."""
    raw = tomllib.loads(FILE.read_text(encoding="utf-8"))["choice"]
    return tuple(Choice(**{**entry, "fields": tuple(entry["fields"])}) for entry in raw)
