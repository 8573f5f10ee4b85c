"""What all tables share: Markdown, CSV and LaTeX, saving, arguments.

A script is run as `python tables/table1.py --store results --profile quick`. Nothing here computes
results.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from repro.errors import MachineError
from repro.needed import lacking
from repro.plan.experiments.grid import Cell
from repro.show import scripts
from repro.store import Store
from repro.store.files import write_file

SYMBOL = r"\b([A-Za-z])_(\w+)\b"  # a plain subscript, such as L_500
NEGATIVE = r"(?<![\w-])-(\d+(?:\.\d+)?)"
NUMBER = r"[-+]?[\d,]*\.?\d+( ± [\d.]+)?"  # with its error
RESERVED = r"[&%$#_{}]"  # by LaTeX
NOT_MEASURED = "not measured"  # of records that do not hold it


@dataclass(frozen=True)
class Table:
    """Plain text throughout: "-82.12", "L_500"; an empty cell means not applicable."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    cells: tuple[tuple[Cell, ...], ...] = ()  # what each row is of; none of a quoted one

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: {len(row)} cells for {len(self.columns)} columns")

    def markdown(self) -> str:
        """For a page: bold title and caption, then the table."""
        rules = ["---:" if self.numeric(i) else ":---" for i in range(len(self.columns))]
        rows = [self.columns, rules, *([cell or "–" for cell in row] for row in self.rows)]
        body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return as_markdown(f"**{self.title}.** {self.caption}\n\n{body}\n")

    def csv(self) -> str:
        """Columns and rows alone."""
        frame = pd.DataFrame(list(self.rows), columns=self.columns)
        return frame.to_csv(index=False, lineterminator="\n")

    def latex(self) -> str:
        """A floating table; the document loads booktabs. Raises MachineError."""
        if find_spec("jinja2") is None:  # which pandas would say in a way of its own
            raise MachineError(str(lacking(["jinja2"])))
        columns = "".join("r" if self.numeric(i) else "l" for i in range(len(self.columns)))
        head, *body = [[_as_latex(c) or "--" for c in row] for row in (self.columns, *self.rows)]
        caption = rf"\textbf{{{_as_latex(self.title)}.}} {_as_latex(self.caption)}"
        frame = pd.DataFrame(body, columns=head)
        text = frame.to_latex(index=False, escape=False, column_format=columns, caption=caption)
        return text.replace(r"\caption", "\\centering\\footnotesize\n\\caption", 1)

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, or nothing."""
        cells = [row[column] for row in self.rows]
        return not any(cells) or any(re.fullmatch(NUMBER, cell) for cell in cells)


def as_markdown(text: str) -> str:
    """With subscripts and true minus signs."""
    return re.sub(NEGATIVE, r"−\1", re.sub(SYMBOL, r"\1<sub>\2</sub>", text))


def _as_latex(text: str) -> str:
    """Escaped, with subscripts and negative numbers in mathematical type."""

    def typeset(match: re.Match[str]) -> str:
        letter, index, number = match.groups()
        if letter:
            return f"${letter}_{{{index}}}$"
        return f"$-{number}$" if number else f"\\{match[0]}"

    return re.sub(f"{SYMBOL}|{NEGATIVE}|{RESERVED}", typeset, text)


def bound(value: float) -> str:
    """Nats, two decimals."""
    return f"{value:z.2f}"


def error(value: float) -> str:
    """An error in nats: two decimals, more where these would be zero."""
    if math.isnan(value):
        return NOT_MEASURED
    return f"{value:.2f}" if value >= 0.01 else f"{value:.4f}"


def save(table: Table, stem: Path) -> list[Path]:
    """Write .md, .csv and .tex. Raises MachineError."""
    content = {".md": table.markdown(), ".csv": table.csv(), ".tex": table.latex()}
    for suffix, text in content.items():
        write_file(stem.with_name(stem.name + suffix), text.encode())
    return [stem.with_name(stem.name + suffix) for suffix in content]


def render_all(store: Store, profile: str, out_dir: Path) -> list[Path]:
    """Write every table. Raises UsageError, RecordError, MachineError."""
    written = []
    for name in scripts.names("tables"):
        written += save(scripts.load("tables", name).build(store, profile), out_dir / name)
    return written


def main(build: Callable[[Store, str], Table], script: str) -> None:
    """The command line of one table script."""

    def write(store: Store, profile: str, stem: Path) -> str:
        table = build(store, profile)
        save(table, stem)
        return table.markdown().rstrip("\n")

    scripts.main(script, write)
