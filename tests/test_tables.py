"""Table 1 from synthetic records: exact text; and what all tables say of what does not count.

`python tests/test_tables.py` rewrites the expected files of tests/golden after a change of form.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

import fixture_store
import numpy as np
import pytest
from check_records import otherwise

from repro.errors import RecordError
from repro.plan import profiles
from repro.plan.experiments import ablations, ladder
from repro.plan.experiments.grid import Cell
from repro.show import layout, scripts
from repro.show.layout import NOT_MEASURED
from repro.show.report import page
from repro.store import Store
from repro.store.places import ROOT
from repro.store.sealed import Arrays

table1: Any = scripts.load("tables", "table1")

GOLDEN = Path(__file__).with_name("golden")
CASES = {"one_seed": "quick", "two_seeds_one_diverged": "paper", "empty": "reduced"}
FORMATS = {".md": "markdown", ".csv": "csv", ".tex": "latex"}
LVAE = Cell("mnist", "lvae_bn_wu", 5)
OURS, SE, MC, SD, SEEDS, L1, WHOLE = 3, 4, 5, 6, 7, 8, 9


def run_of(profile: str, seed: int = 1, cell: Cell = LVAE) -> Any:
    return profiles.run_of(cell, profiles.profile(profile), seed)


def fill(store: Store, case: str) -> Store:
    """Records whose table numbers are written out, so that no generator decides the golden text."""
    profile = CASES[case]
    if case == "one_seed":
        numbers = {"LK_test": -98.765, "LK_se": 0.8451, "LK_mc_error": 0.0312, "L1_test": -103.2}
        fixture_store.write(store, profile, run_of(profile), easier_first(), **numbers)
    if case == "two_seeds_one_diverged":
        first = {"LK_test": -82.31, "LK_se": 0.271, "LK_mc_error": 0.003, "L1_test": -85.41}
        second = {"LK_test": -82.13, "LK_se": 0.269, "LK_mc_error": 0.004, "L1_test": -85.19}
        for seed, numbers in ((1, first), (2, second)):
            fixture_store.write(store, profile, run_of(profile, seed), every(numbers), **numbers)
        fixture_store.diverge(store, profile, run_of(profile, 3), epoch=77)
    return store


def easier_first() -> Arrays:
    """The first 1,000 images are a nat above the mean of all; L_K = L_1 + 4 ± 0.5."""
    l1 = np.tile([-93.2, -113.2], 5_000) - np.repeat([-1.0, 1 / 9], [1_000, 9_000])
    return {"L1": l1, "LK": l1[:1_000] + 4 + np.tile([0.5, 0.5, -0.5, -0.5], 250)}


def every(numbers: dict[str, float]) -> Arrays:
    """All 10,000 images scored, with the means of `numbers`."""
    apart = np.tile([30.0, -30.0], 5_000)
    return {"L1": numbers["L1_test"] + apart, "LK": numbers["LK_test"] + apart}


def built(root: Path, case: str) -> Any:
    return table1.build(fill(Store(root), case), CASES[case])


def row(table: Any, label: str = "LVAE, 5-layer") -> tuple[str, ...]:
    (found,) = [r for r in table.rows if r[0] == label]
    return tuple(found)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_table1_is_the_golden_text(tmp_path: Path, case: str, suffix: str) -> None:
    text = getattr(built(tmp_path, case), FORMATS[suffix])()
    assert text == (GOLDEN / f"table1_{case}{suffix}").read_text(encoding="utf-8")


def test_the_golden_numbers_by_hand(tmp_path: Path) -> None:
    """Of one seed the first 1,000 images have L_1 = -102.2, all -103.2; residuals of 0.5 over 998.

    Errors of two seeds are independent: sqrt(0.003^2 + 0.004^2) / 2; their sd is 0.18 / sqrt(2).
    """
    one, two = (built(tmp_path / c, c) for c in ("one_seed", "two_seeds_one_diverged"))
    assert (row(one)[L1], row(one)[WHOLE], row(one)[SD]) == ("-102.20", "-99.20 ± 0.02", "")
    assert row(two)[OURS] == "-82.22"
    assert row(two)[MC:] == ("0.0025", "0.13", "2", "-85.30")
    assert len(two.columns) == WHOLE, "all images are scored"
    assert "regression" not in two.caption


@pytest.mark.parametrize(
    ("name", "images", "value", "words"),
    [
        ("LK", slice(3), -np.inf, (NOT_MEASURED, NOT_MEASURED)),
        ("L1", slice(3), np.nan, (NOT_MEASURED, NOT_MEASURED)),
        ("L1", slice(None), -100.0, ("-100.00", NOT_MEASURED)),  # no line through equal L_1
    ],
)
def test_values_that_give_no_number_say_so(store, name, images, value, words):
    arrays, errors = easier_first(), {"L1_se": 0.8, "LK_se": 0.8}
    arrays[name][images] = value
    with np.errstate(invalid="ignore"):  # of the fixture's own means
        fixture_store.write(store, "quick", run_of("quick"), arrays, LK_test=-98.0, **errors)
    table = table1.build(store, "quick")
    assert (row(table)[L1], row(table)[WHOLE]) == words
    assert not re.search(r"\b(nan|inf)\b", table.markdown())


TABLES = {
    "table1": ("Table 1", LVAE),
    "table2": ("Table 2", Cell("omniglot", "lvae_bn_wu", 5)),
    "ladder": ("Ladder networks", ladder.cell("full")),
    "combinators": ("Combinators", ladder.cell("amlp_4")),
    "ablations": ("Ablations", ablations.cell("no_bn")),
    "replicates": ("Floor of noise", LVAE),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_names_what_does_not_count_and_a_reduced_protocol(store, name):
    (title, cell), build = TABLES[name], scripts.load("tables", name).build
    lost, other = (run_of("paper", seed, cell) for seed in (1, 2))
    fixture_store.diverge(store, "paper", lost, epoch=7)
    fixture_store.write(store, "paper", otherwise(other))
    table = build(store, "paper")
    assert table.title == title
    assert any("diverged at epoch 7" in found for found in table.rows)
    assert f"Diverged at epoch 7, not counted: {lost.id}." in table.caption
    assert f"Other configuration, not counted: {other.id}." in table.caption
    for profile in ("smoke", "reduced"):
        assert build(store, profile).title == f"{title} (reduced protocol, not a reproduction)"


def test_a_record_without_its_bound_is_an_error_that_names_the_file(store: Store) -> None:
    fixture_store.write(store, "quick", run_of("quick"), LK_test="-82")
    with pytest.raises(RecordError, match=r"final\.json: LK_test is '-82'"):
        table1.build(store, "quick")


def test_latex_escapes_what_is_reserved_and_sets_mathematics_of_rows_of_one_length() -> None:
    table = layout.Table("T", "50 % of a_row & more of L_500", ("A & B", "x"), (("#1", "-2.5"),))
    body = re.sub(r"\\[&%$#_{}]", "", table.latex())
    assert body.count("&") == 2  # one separator in each of the two rows
    assert not {"%", "#"} & set(body)
    assert "of $L_{500}$" in body
    assert "& $-2.5$ \\\\\n" in body
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        layout.Table("T", "", ("a", "b"), (("1",),))


def test_render_all_writes_each_format_of_each_table(tmp_path: Path) -> None:
    written = layout.render_all(fill(Store(tmp_path), "one_seed"), "quick", tmp_path / "out")
    names = sorted(p.stem for p in (ROOT / "tables").glob("*.py"))
    assert {"power", *TABLES} <= set(names)
    expected = [f"{name}{suffix}" for name in names for suffix in (".csv", ".md", ".tex")]
    assert sorted(p.name for p in written) == expected
    assert all(p.stat().st_size for p in written)
    page = tmp_path / "out" / "table1.md"
    assert page.read_bytes() == (GOLDEN / "table1_one_seed.md").read_bytes()


def test_zero_has_no_minus_and_an_error_that_is_not_known_no_number() -> None:
    assert layout.error(float("nan")) == NOT_MEASURED
    shown = layout.bound(-0.001), page.number(-0.001), page.number(-0.001, sign=True)
    assert shown == ("0.00", "0.00", "+0.00")


def write_golden() -> None:
    for case in CASES:
        with tempfile.TemporaryDirectory() as root:
            table = built(Path(root), case)
        for suffix, method in FORMATS.items():
            path = GOLDEN / f"table1_{case}{suffix}"
            path.write_text(getattr(table, method)(), encoding="utf-8")


if __name__ == "__main__":
    write_golden()
