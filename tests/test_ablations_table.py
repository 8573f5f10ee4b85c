"""The table of ablations: what each choice does, beside the default."""

from typing import Any

import check_records
import fixture_store
import numpy as np
import pandas as pd
import pytest

from repro.judge.ablations import UNKNOWN, changes
from repro.judge.evidence import books
from repro.plan import profiles
from repro.plan.experiments.ablations import CHOICES, DEFAULT, OF_VAES, base_of, cell
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import profile
from repro.plan.run import Run
from repro.show import results
from repro.show.scripts import load as script
from repro.store import Store

CHOICE, ROW_DEFAULT, INSTEAD, L1, DL1, EL1, LK, DLK, ELK, ACTIVE, SEEDS, NOTE = range(12)

IMAGES = np.array([-80.0, -90.0, -100.0, -110.0], np.float32)
CHANGED = IMAGES + np.array([1.0, 1.0, 2.0, 2.0], np.float32)  # mean 1.5, sd 0.577


def run_of(name: str = "", seed: int = 1) -> Run:
    return profiles.run_of(cell(name) if name else DEFAULT, profile("quick"), seed)


def write(store: Store, run: Run, l1: np.ndarray, curve: pd.DataFrame | None = None) -> None:
    """A record whose bounds on each image are `l1`, and `l1` + 3 for L_K."""
    check_records.write(
        store.root,
        DEFAULT,
        "quick",
        run=run,
        curve=curve,
        arrays={"per_image": {"L1": l1, "LK": l1 + 3}},
        L1_test=float(l1.mean()),
        LK_test=float(l1.mean()) + 3,
        active_units=[9, 8, 7, 6, 5],
    )


def again(store: Store, shifts: dict[str, tuple[float, ...]]) -> None:
    """Seeds 1, 2, ... of the default ("") and of choices, shifted by so many nats."""
    for name, values in shifts.items():
        for seed, shift in enumerate(values, start=1):
            write(store, run_of(name, seed), IMAGES + np.float32(shift))


def build(store: Store) -> Any:
    return script("tables", "ablations").build(store, "quick")


def row(table: Any, name: str) -> tuple[str, ...]:
    choice = CHOICES[name]
    (found,) = [r for r in table.rows if r[:3] == (choice.about, choice.default, choice.instead)]
    return tuple(found)


def test_every_choice_has_a_row_and_another_grey_scale_alone_is_other_data(store: Store) -> None:
    table = build(store)
    assert len(table.rows) == len(CHOICES) + 1 + 4
    assert table.rows[-1][CHOICE] == "batch norm (VAE+BN+WU)"
    assert all(row(table, name)[L1] == "not run" for name in CHOICES)
    flagged = {name for name in CHOICES if "other data" in row(table, name)[NOTE]}
    assert flagged == {"grey255"}


def test_changes_are_paired_image_by_image(store: Store) -> None:
    """And by seed: the default's second one is left out, as the ablation has none."""
    write(store, run_of(), IMAGES)
    write(store, run_of("no_clip"), CHANGED)
    found = row(build(store), "no_clip")
    assert (found[L1], found[DL1], found[EL1]) == ("-93.50", "+1.50", "0.29")  # 0.577 / 2
    assert (found[LK], found[DLK], found[ELK]) == ("-90.50", "+1.50", "0.29")
    write(store, run_of(seed=2), IMAGES - 50)
    assert row(build(store), "no_clip")[DL1] == "+1.50"


def test_a_vae_is_held_against_itself(store: Store) -> None:
    ours, default = (
        profiles.run_of(c, profile("quick")) for c in (OF_VAES[0], base_of(OF_VAES[0]))
    )
    write(store, run_of(), IMAGES - 50)
    write(store, default, IMAGES)
    write(store, ours, CHANGED)
    rows = {r[CHOICE]: r for r in build(store).rows}
    assert rows["all as the default (VAE+BN)"][L1] == "-95.00"
    found = rows["batch norm (VAE+BN)"]
    assert (found[INSTEAD], found[L1], found[DL1]) == ("hidden layers", "-93.50", "+1.50")


def test_seeds_are_averaged(store: Store) -> None:
    for seed, shift in ((1, 0.0), (2, 1.0)):
        write(store, run_of(seed=seed), IMAGES)
        write(store, run_of("no_clip", seed=seed), CHANGED + np.float32(shift))
    found = row(build(store), "no_clip")
    assert (found[DL1], found[SEEDS]) == ("+2.00", "2")


def test_without_the_default_there_is_no_change(store: Store) -> None:
    write(store, run_of("no_clip"), CHANGED)
    table = build(store)
    found = row(table, "no_clip")
    assert (found[L1], found[DL1], found[EL1]) == ("-93.50", "", "")
    assert "no spread over trainings" in table.caption
    assert f"1 of {len(CHOICES) + 2} choices were run" in table.caption


def test_the_default_comes_first_with_its_units(store: Store) -> None:
    write(store, run_of(), IMAGES)
    first = build(store).rows[0]
    assert (first[CHOICE], first[L1], first[DL1]) == ("all as the default", "-95.00", "")
    assert first[ACTIVE] == "9-8-7-6-5"


def test_a_diverged_ablation_says_at_which_epoch(store: Store) -> None:
    fixture_store.diverge(store, "quick", run_of("no_bn"), epoch=3)
    assert row(build(store), "no_bn")[L1] == "diverged at epoch 3"


def test_published_results_show_ablations_where_they_ran_and_count_them_apart(store: Store) -> None:
    write(store, run_of(), IMAGES)
    assert "**Ablations" not in results.page(store, profile("quick"))
    write(store, run_of("no_clip"), CHANGED)
    page = results.page(store, profile("quick"))
    assert "**Ablations" in page
    assert "1 of 4 configurations in 1 Run, 1 more on request, 1 seed each," in page


def test_without_a_known_spread_a_change_is_no_finding(store: Store) -> None:
    again(store, {"": (0.0,), "no_clip": (9.0,)})
    assert row(build(store), "no_clip")[NOTE] == "one training: noise unknown"


@pytest.mark.parametrize(
    ("shift", "words"), [(0.6, "inside the noise"), (5.0, "higher"), (-5.0, "lower")]
)
def test_a_change_is_held_against_the_noise_of_the_default(store, shift, words):
    """The default's seeds -0.5, 0, 0.5: sd 0.5; one training of the choice borrows it."""
    again(store, {"": (-0.5, 0.0, 0.5), "no_clip": (-0.5 + shift,)})
    found = row(build(store), "no_clip")
    assert (found[NOTE], found[DL1]) == (words, f"{shift:+.2f}")
    assert found[EL1] == "0.71"  # sqrt(2) x 0.5: of training both again; over images none here


def test_the_caption_speaks_of_the_errors_that_are_known(store: Store) -> None:
    again(store, {"": (-0.5, 0.0, 0.5), "no_bn": (0.0,), "no_clip": (0.0,)})
    table = build(store)
    assert row(table, "no_bn")[NOTE] == "one training: noise unknown"
    assert "but where the note says that it is unknown" in table.caption
    assert "Student's t at 2 degrees" in table.caption


def test_words_are_corrected_for_the_number_of_rows_that_ran(store: Store) -> None:
    """Three seeds: t of two degrees of freedom at 5% in two tails, over 1 or 3 rows of two."""
    again(store, {"": (0.0, 0.0, 0.0), "no_clip": (0.75, 1.0, 1.25)})  # t = 6.9
    assert row(build(store), "no_clip")[NOTE] == "higher"  # 6.2
    assert "(Bonferroni over 2 tests; Student's t at 2 degrees" in build(store).caption
    again(store, dict.fromkeys(("no_head_bn", "no_bn", "grey255"), (0.0,) * 3))
    table = build(store)
    assert row(table, "no_clip")[NOTE] == "inside the noise"  # 10.9
    assert "(Bonferroni over 6 tests;" in table.caption  # other data are not judged


def test_one_training_that_is_scored_otherwise_has_no_noise_of_training(store: Store) -> None:
    """A change of 0.1 that no two trainings could show, as one model on the same images does."""
    curve = pd.DataFrame({"epoch": [1, 2], "L1_train_running": [-120.0, -99.0]})
    again(store, {"": (-0.5, 0.0, 0.5)})
    write(store, run_of("batch_stats"), IMAGES - np.float32(0.4), curve)
    assert row(build(store), "batch_stats")[DL1:LK] == ("+0.10", "0.71")
    write(store, run_of(), IMAGES - np.float32(0.5), curve)
    found = row(build(store), "batch_stats")
    assert (found[DL1], found[EL1], found[NOTE]) == ("+0.10", "0.0000", "higher")
    assert "but not of one training that is scored otherwise" in build(store).caption


def test_a_change_without_a_shared_seed_has_its_error_over_images(store: Store) -> None:
    write(store, run_of(), IMAGES)
    write(store, run_of("no_clip", seed=2), CHANGED)
    (change,) = changes(books(store, "quick"), [cell("no_clip")], "L1_test").values()
    assert change.over_images > 0
    assert change.outcome == UNKNOWN


def test_replicates_of_the_default_are_noise_too(store: Store) -> None:
    again(store, {"": (0.0,), "no_clip": (1.0,)})
    default = run_of()
    for n in (2, 3):
        name = Cell("mnist", f"lvae_bn_wu@again{n}", 5)
        run = profiles.run_of(name, profile("quick"))
        assert run.hash == default.hash
        write(store, run, IMAGES + np.float32(n))
    table = build(store)
    assert row(table, "no_clip")[NOTE] == "inside the noise"
    assert table.rows[0][SEEDS] == "1"
    assert "Replicates of one Run, whose mean counts:" in table.caption
