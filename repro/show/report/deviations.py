"""The deviations ledger: paper, released code, and what is done here, from `deviations.toml`.

The configured value is read from `repro.plan.run`, so that the page cannot disagree with it.
"""

import tomllib
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

    fields: `part.name` of repro/plan/run.py. place: the file where it is made, where
    a field does not hold it, or not alone.
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
        mine = [field.split(".") for field in self.fields]
        others = {c.variant: ablations.choice_of(c) for c in ablations.EXPERIMENTS["ablations"]}
        return tuple(
            variant
            for variant, other in others.items()
            if other and any(name in getattr(other, part, {}) for part, name in mine)
        )


def default(field: str) -> Any:
    """The default of `part.name`. Raises KeyError or AttributeError for one that is none."""
    part, name = field.split(".")
    return getattr(PARTS[part], name)


def choices() -> tuple[Choice, ...]:
    """The ledger in the order of its file."""
    raw = tomllib.loads(FILE.read_text(encoding="utf-8"))["choice"]
    return tuple(Choice(**{**entry, "fields": tuple(entry["fields"])}) for entry in raw)
