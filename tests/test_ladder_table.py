"""The table of Ladder networks: every published row, what was run, what was not."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import fixture_store
import pytest

from repro.errors import RecordError
from repro.judge.targets import TARGETS
from repro.plan import profiles
from repro.plan.experiments import EXPERIMENTS
from repro.plan.experiments.ladder import EVERY, cell
from repro.plan.run import Run
from repro.show.ladder_rows import NO_SOURCE
from repro.show.scripts import load as script
from repro.store import Store
from repro.store.places import ROOT

LABELS, MODEL, PUBLISHED, PUBLISHED_SD, SOURCE, OURS, SD, SE, SEEDS = range(9)


def build(store: Store, profile: str = "paper") -> Any:
    return script("tables", "ladder").build(store, profile)


def run_of(variant: str = "full", labels: int = 100, seed: int = 1, profile: str = "paper") -> Run:
    return profiles.run_of(cell(variant, labels), profiles.profile(profile), seed)


def row(table: Any, labels: str = "100", model: str = "Ladder, full") -> tuple[str, ...]:
    (found,) = [r for r in table.rows if (r[LABELS], r[MODEL]) == (labels, model)]
    return tuple(found)


@pytest.fixture
def three(store: Store) -> Store:
    """Three seeds of the full model with 100 labels, with known errors."""
    for seed, error in ((1, 1.0), (2, 1.2), (3, 1.7)):
        fixture_store.write(
            store, "paper", run_of(seed=seed), error_percent=error, error_se=0.1 * error
        )
    return store


def test_every_published_number_has_a_row_and_so_has_every_cell_without_one(store: Store) -> None:
    rows = build(store).rows
    found = {(r[LABELS], float(r[PUBLISHED])) for r in rows if r[PUBLISHED]}
    cells = set(EXPERIMENTS["combinators"])
    targets = [
        t for n, t in TARGETS.items() if n.startswith("ladder/") and not cells & set(t.cells)
    ]
    assert found == {(f"{int(t.id.split('/')[2]):,}", t.paper) for t in targets}
    assert (len(targets), len(rows), len(EXPERIMENTS["ladder"])) == (12, 17, 17)
    assert {r[OURS] for r in rows} == {"not run"}


def test_a_number_that_no_public_text_prints_is_not_shown(store: Store) -> None:
    unknown = {(r[LABELS], r[MODEL]) for r in build(store).rows if r[SOURCE] == NO_SOURCE}
    bottom, gamma = "Ladder, bottom-level cost only", "Gamma model (top-level cost only)"
    baseline = "supervised baseline"
    assert unknown == {
        *(("60,000", bottom), ("100", gamma), ("60,000", gamma)),
        *(("100", baseline), ("1,000", baseline)),
    }
    empty = {r[PUBLISHED : SOURCE + 1] for r in build(store).rows if not r[PUBLISHED]}
    assert empty == {("", "", NO_SOURCE)}


PRINTED = [
    ("100", "Ladder, full", ("1.06", "0.37", "read")),
    ("1,000", "Gamma model (top-level cost only)", ("1.53", "", "read")),  # no spread is known
    ("60,000", "Lasagne port, 784-500-10", ("2.75", "", "quoted: validation")),
    ("100", "kzky's port, as its code ran", ("2", "", "read")),  # with the digits of its source
    ("100", "parmesan's port", ("1.25", "", "read")),
]


@pytest.mark.parametrize(("labels", "model", "printed"), PRINTED)
def test_a_published_number_stands_with_its_spread_and_source(store, labels, model, printed):
    table = build(store)
    assert row(table, labels, model)[PUBLISHED : SOURCE + 1] == printed
    assert "of another split, quoted and judged against no Run" in table.caption


@pytest.mark.parametrize(("variant", "labels"), [("parmesan", 100), ("lasagne", 60_000)])
def test_what_a_run_cannot_hold_of_a_port_is_said_beside_its_number(store, variant, labels):
    departure = EVERY[variant].departure
    assert departure not in build(store).caption
    fixture_store.write(store, "paper", run_of(variant, labels))
    assert departure in build(store).caption


def test_errors_are_averaged_over_seeds_with_their_spread(three: Store) -> None:
    table = build(three)
    found = row(table)
    assert (found[OURS], found[SD], found[SEEDS]) == ("1.30", "0.36", "3")
    assert found[SE] == "0.13"  # over images, of one seed
    assert "1 of 17 rows were run." in table.caption


def test_one_seed_has_no_spread(store: Store) -> None:
    fixture_store.write(store, "paper", run_of())
    assert row(build(store))[SD] == ""


def test_a_diverged_row_says_at_which_epoch(store: Store) -> None:
    fixture_store.diverge(store, "paper", run_of(), epoch=7)
    assert row(build(store))[OURS] == "diverged at epoch 7"


def test_a_diverged_seed_is_named_beside_finished_ones(three: Store) -> None:
    fixture_store.diverge(three, "paper", run_of(seed=4), epoch=9)
    table = build(three)
    assert "Diverged at epoch 9, not counted: ladder-full-100-s4." in table.caption
    assert row(table)[SEEDS] == "3"


def test_a_record_of_another_configuration_is_not_shown(store: Store) -> None:
    run = run_of()
    fixture_store.write(store, "paper", replace(run, optim=replace(run.optim, lr=0.02)))
    assert row(build(store))[OURS] == "other configuration"
    assert "Other configuration, not counted: ladder-full-100-s1." in build(store).caption


def test_the_caption_names_the_profile_s_own_budget(store: Store) -> None:
    assert "Profile quick (2 epochs)." in build(store, "quick").caption


def test_a_record_without_its_error_is_an_error_that_names_the_file(store: Store) -> None:
    fixture_store.write(store, "paper", run_of(), error_percent=None)
    with pytest.raises(RecordError, match=r"final\.json: error_percent is None"):
        build(store)


@pytest.mark.parametrize("folder", ["tables", "figures"])
def test_both_scripts_called_ladder_run_on_their_own(store: Store, folder: str) -> None:
    fixture_store.write(store, "quick", run_of(profile="quick"))
    command = [sys.executable, str(ROOT / folder / "ladder.py"), "--store", str(store.root)]
    done = subprocess.run(
        [*command, "--profile", "quick"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert list((store.root / "quick" / folder).glob("ladder.*"))


def test_combinators_are_held_against_their_published_errors(tmp_path: Path) -> None:
    table = script("tables", "combinators").build(Store(tmp_path), "paper")
    rows = {row[1]: row for row in table.rows}
    assert rows["AMLP [2, 2, 2]"][2:5] == ("1.00", "0.12", "read")  # 0.038 x sqrt(10)
    assert rows["FirstRecons"][2:5] == ("1.69", "0.57", "read")
    assert rows["NoLateral"][2:5] == ("", "", NO_SOURCE)
    assert sum(row[4] == NO_SOURCE for row in table.rows) == len(rows) - 4
    assert len(rows) == len(EXPERIMENTS["combinators"]) + 1  # the full model's comes first
