"""Table 2 from synthetic records: every cell, its place, and what is said of missing ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import fixture_store
import pytest

from repro.judge.targets import TARGETS
from repro.plan import profiles
from repro.plan.experiments.grid import VARIANTS, Cell
from repro.plan.run import Run
from repro.show import scripts
from repro.store import Store

table2: Any = scripts.load("tables", "table2")


def lvae(seed: int = 1, data: str = "omniglot") -> Run:
    return profiles.run_of(Cell(data, "lvae_bn_wu", 5), profiles.profile("paper"), seed)


def written(root: Path, run: Run, **final: Any) -> Any:
    """The table of a store, once the record of a Run was added."""
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


def test_a_record_stands_in_its_cell_alone(tmp_path: Path) -> None:
    ours = values(written(tmp_path, lvae(), LK_test=-102.34))
    assert [n for n, value in ours.items() if value != "not run"] == [
        "table2/omniglot/64-32-16-8-4/lvae_bn_wu"
    ]
    assert "-102.34" in ours.values()


def test_seeds_are_averaged_with_their_spread(tmp_path: Path) -> None:
    written(tmp_path, lvae(), LK_test=-102.0)
    assert "-102.10 ± 0.14" in values(written(tmp_path, lvae(2), LK_test=-102.2)).values()


def test_a_density_of_norb_has_no_decimals(tmp_path: Path) -> None:
    assert "3455" in values(written(tmp_path, lvae(data="norb"), LK_test=3455.4)).values()


def test_a_diverged_run_says_at_which_epoch(tmp_path: Path) -> None:
    fixture_store.diverge(Store(tmp_path), "paper", lvae(), epoch=7)
    table = table2.build(Store(tmp_path), "paper")
    assert "diverged at epoch 7" in values(table).values()
    assert "Diverged at epoch 7, not counted: omniglot-lvae_bn_wu-L5-s1." in table.caption


def test_a_record_of_another_grey_scale_is_no_number(tmp_path: Path) -> None:
    other = replace(lvae(), data=replace(lvae().data, grey_scale=256))
    table = written(tmp_path, other, LK_test=-102.34)
    assert set(values(table).values()) == {"not run", "other data"}
    assert "Other data, not counted: omniglot-lvae_bn_wu-L5-s1." in table.caption


@pytest.mark.parametrize(("version", "said"), [("rebuilt", True), ("published", False)])
def test_a_rebuilt_data_set_is_called_other_data(version: str, said: bool, tmp_path: Path) -> None:
    table = written(tmp_path, lvae(), LK_test=-102.34, env={"data": {"version": version}})
    assert "-102.34" in values(table).values()
    told = "Ours is on rebuilt OMNIGLOT: other data than the paper's."
    assert (told in table.caption) is said


def test_the_caption_counts_cells_and_bounds_errors(tmp_path: Path) -> None:
    caption = written(tmp_path, lvae(), LK_se=0.312, LK_mc_error=0.021).caption
    assert "over images at most 0.31" in caption
    assert "importance samples at most 0.02" in caption
    assert "1 of 38 cells were run." in caption
