"""Table 2 from synthetic records: every cell, its place, and what the caption says."""

from pathlib import Path
from typing import Any

import fixture_store
import pytest

from repro.judge.targets import TARGETS
from repro.plan import profiles
from repro.plan.experiments.grid import VARIANTS, Cell
from repro.show import scripts
from repro.store import Store

table2: Any = scripts.load("tables", "table2")
LVAE = "table2/omniglot/64-32-16-8-4/lvae_bn_wu"


def written(root: Path, seed: int = 1, data: str = "omniglot", **final: Any) -> Any:
    """The table of a store, once a record of the 5-layer LVAE was added."""
    run = profiles.run_of(Cell(data, "lvae_bn_wu", 5), profiles.profile("paper"), seed)
    fixture_store.write(Store(root), "paper", run, **final)
    return table2.build(Store(root), "paper")


def values(table: Any, whose: str = "ours") -> dict[str, str]:
    """The cells of a table by target id."""
    rows = {
        f"table2/{row[0].lower()}/{row[1]}/{variant}": row[
            table.columns.index(f"{v.label}, {whose}")
        ]
        for row in table.rows
        for variant, v in VARIANTS.items()
    }
    return {name: value for name, value in rows.items() if value}


def test_every_published_number_stands_in_its_cell_and_none_is_run(tmp_path: Path) -> None:
    table = table2.build(Store(tmp_path), "paper")
    published, ours = values(table, "published"), values(table)
    targets = {n: t.paper for n, t in TARGETS.items() if n.startswith("table2/")}
    assert {name: float(value) for name, value in published.items()} == targets
    assert (set(ours.values()), len(ours)) == ({"not run"}, 38)


def test_a_record_stands_in_its_cell_alone_and_seeds_are_averaged(tmp_path: Path) -> None:
    """A density of NORB has no decimals."""
    table = written(tmp_path, LK_test=-102.0, LK_se=0.312, LK_mc_error=0.021)
    assert {n: v for n, v in values(table).items() if v != "not run"} == {LVAE: "-102.00"}
    for words in ("over images at most 0.31", "samples at most 0.02", "1 of 38 cells were run."):
        assert words in table.caption
    assert values(written(tmp_path, 2, LK_test=-102.2))[LVAE] == "-102.10 ± 0.14"
    of_norb = values(written(tmp_path, data="norb", LK_test=3455.4))
    assert of_norb[LVAE.replace("omniglot", "norb")] == "3455"


@pytest.mark.parametrize(("version", "said"), [("rebuilt", True), ("published", False)])
def test_a_rebuilt_data_set_is_called_other_data(version: str, said: bool, tmp_path: Path) -> None:
    table = written(tmp_path, LK_test=-102.34, env={"data": {"version": version}})
    assert values(table)[LVAE] == "-102.34"
    told = "Ours is on rebuilt OMNIGLOT: other data than the paper's."
    assert (told in table.caption) is said
