"""Table 2, the tables and the list of Ladder networks: every published number, what was run."""

import subprocess
import sys
from typing import Any

import fixture_store
import pytest
from commands import printed as printed_by

from repro.judge.targets import TARGETS
from repro.plan import profiles
from repro.plan.experiments import EXPERIMENTS, ladder
from repro.plan.experiments.grid import VARIANTS, Cell
from repro.show.ladder_rows import NO_SOURCE
from repro.show.scripts import load as script
from repro.store import Store
from repro.store.places import ROOT

FULL, LVAE = ladder.cell("full"), Cell("omniglot", "lvae_bn_wu", 5)
LVAE_ID = "table2/omniglot/64-32-16-8-4/lvae_bn_wu"
LABELS, MODEL, PUBLISHED, PUBLISHED_SD, SOURCE, OURS, SD, SE, SEEDS = range(9)


def build(store: Store, name: str = "ladder", profile: str = "paper") -> Any:
    return script("tables", name).build(store, profile)


def write(store: Store, cell: Cell, seed: int = 1, profile: str = "paper", **final: Any) -> None:
    run = profiles.run_of(cell, profiles.profile(profile), seed)
    fixture_store.write(store, profile, run, **final)


def values(store: Store, whose: str = "ours") -> dict[str, str]:
    """The cells of Table 2 by target id."""
    table = build(store, "table2")
    columns = {v: table.columns.index(f"{of.label}, {whose}") for v, of in VARIANTS.items()}
    of = [(r, f"table2/{r[0].lower()}/{r[1]}") for r in table.rows]
    rows = {f"{stem}/{v}": row[i] for row, stem in of for v, i in columns.items()}
    return {name: value for name, value in rows.items() if value}


def test_every_published_number_stands_in_its_cell_of_table_2(store: Store) -> None:
    targets = {n: t.paper for n, t in TARGETS.items() if n.startswith("table2/")}
    published = values(store, "published")
    assert {name: float(value) for name, value in published.items()} == targets
    assert [*values(store).values()] == ["not run"] * 38


def test_a_record_stands_in_its_cell_alone_and_seeds_are_averaged(store: Store) -> None:
    """A density of NORB has no decimals."""
    write(store, LVAE, LK_test=-102.0, LK_se=0.312, LK_mc_error=0.021)
    assert {n: v for n, v in values(store).items() if v != "not run"} == {LVAE_ID: "-102.00"}
    caption = build(store, "table2").caption
    for words in ("over images at most 0.31", "samples at most 0.02", "1 of 38 cells were run."):
        assert words in caption
    write(store, LVAE, 2, LK_test=-102.2)
    write(store, Cell("norb", "lvae_bn_wu", 5), LK_test=3455.4)
    ran = {n: v for n, v in values(store).items() if v != "not run"}
    assert ran == {LVAE_ID: "-102.10 ± 0.14", LVAE_ID.replace("omniglot", "norb"): "3455"}


def test_a_rebuilt_data_set_is_called_other_data(store: Store) -> None:
    told = "Ours is on rebuilt OMNIGLOT: other data than the paper's."
    for version in ("published", "rebuilt"):
        write(store, LVAE, LK_test=-102.34, env={"data": {"version": version}})
        assert values(store)[LVAE_ID] == "-102.34"
        assert (told in build(store, "table2").caption) == (version == "rebuilt")


def row(table: Any, labels: str = "100", model: str = "Ladder, full") -> tuple[str, ...]:
    (found,) = [r for r in table.rows if (r[LABELS], r[MODEL]) == (labels, model)]
    return tuple(found)


BOTTOM, GAMMA = "Ladder, bottom-level cost only", "Gamma model (top-level cost only)"
PRINTED = {
    ("100", "Ladder, full"): ("1.06", "0.37", "read"),
    ("1,000", GAMMA): ("1.53", "", "read"),  # no spread is known
    ("60,000", "Lasagne port, 784-500-10"): ("2.75", "", "quoted: validation"),
    ("100", "kzky's port, as its code reads"): ("2", "", "read"),  # with the digits of its source
    ("100", "parmesan's port"): ("1.25", "", "read"),
}
UNKNOWN = [("60,000", BOTTOM), ("100", GAMMA), ("60,000", GAMMA)]
UNKNOWN += [(labels, "supervised baseline") for labels in ("100", "1,000")]


def test_every_published_error_has_a_row_and_so_has_every_cell_without_one(store: Store) -> None:
    table = build(store)
    found = {(r[LABELS], float(r[PUBLISHED])) for r in table.rows if r[PUBLISHED]}
    others = set(EXPERIMENTS["combinators"])
    of_ladder = [t for n, t in TARGETS.items() if n.startswith("ladder/")]
    targets = [t for t in of_ladder if not others & set(t.cells)]
    assert found == {(f"{int(t.id.split('/')[2]):,}", t.paper) for t in targets}
    assert (len(targets), len(table.rows), len(EXPERIMENTS["ladder"])) == (12, 17, 17)
    assert {r[OURS] for r in table.rows} == {"not run"}
    assert {of: row(table, *of)[PUBLISHED:OURS] for of in PRINTED} == PRINTED
    empty = [r[:OURS] for r in table.rows if not r[PUBLISHED] or r[SOURCE] == NO_SOURCE]
    assert set(empty) == {(*of, "", "", NO_SOURCE) for of in UNKNOWN}
    assert "of another split, quoted and judged against no Run" in table.caption


@pytest.mark.parametrize("port", [ladder.cell("parmesan"), ladder.cell("lasagne", 60_000)], ids=str)
def test_what_a_run_cannot_hold_of_a_port_is_said_beside_its_number(store, port):
    departure = ladder.EVERY[port.variant].departure
    assert departure not in build(store).caption
    write(store, port)
    assert departure in build(store).caption


def test_errors_are_averaged_over_seeds_with_their_spread(store: Store) -> None:
    for seed, error in ((1, 1.0), (2, 1.2), (3, 1.7)):
        write(store, FULL, seed, error_percent=error, error_se=0.1 * error)
        assert (row(build(store))[SD] == "") == (seed == 1)
    table = build(store)
    assert row(table)[OURS:] == ("1.30", "0.36", "0.13", "3")  # over images, of one seed
    assert "1 of 17 rows were run." in table.caption
    assert "Profile quick (2 epochs)." in build(store, profile="quick").caption


@pytest.mark.parametrize("folder", ["tables", "figures"])
def test_both_scripts_called_ladder_run_on_their_own(store: Store, folder: str) -> None:
    write(store, FULL, profile="quick")
    command = [sys.executable, str(ROOT / folder / "ladder.py"), "--store", str(store.root)]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    subprocess.run([*command, "--profile", "quick"], env=env, check=True)
    assert list((store.root / "quick" / folder).glob("ladder.*"))


def test_combinators_are_held_against_their_published_errors(store: Store) -> None:
    table = build(store, "combinators")
    rows = {row[MODEL]: row[PUBLISHED:OURS] for row in table.rows}
    assert rows["AMLP [2, 2, 2]"] == ("1.00", "0.12", "read")  # 0.038 x sqrt(10)
    assert rows["FirstRecons"] == ("1.69", "0.57", "read")
    assert rows["NoLateral"] == ("", "", NO_SOURCE)
    assert sum(of[-1] == NO_SOURCE for of in rows.values()) == len(rows) - 4
    assert len(rows) == len(EXPERIMENTS["combinators"]) + 1  # the full model's comes first


def test_the_list_names_labels_and_experiments(local, capsys):
    rows = printed_by(capsys, "list", "--experiment", "ladder", "--profile", "quick")
    assert [(r["run"], r["labels"], r["state"]) for r in rows] == [
        ("ladder-full-100-s1", 100, "missing"),
        ("ladder-baseline-100-s1", 100, "missing"),
    ]
    assert rows[0]["experiment"] == ["ladder", "ladder_100"]
    assert rows[0]["predicted_seconds"] > rows[1]["predicted_seconds"] > 0
