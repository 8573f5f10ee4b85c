"""One judge: tables, check and results page say of a cell what `evidence` says, and no more."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import check_records
import numpy as np
import pytest
from check_records import LOST, otherwise, rescaled

from repro.judge.check import as_json, check
from repro.judge.evidence import Evidence, books
from repro.plan.experiments.ablations import CHOICES, DEFAULT
from repro.plan.experiments.ablations import cell as ablation
from repro.plan.experiments.grid import MAX_DEPTH, Cell
from repro.plan.profiles import profile, run_of
from repro.plan.run import Run
from repro.show import results
from repro.show.scripts import load as script
from repro.store import Store

PAPER = profile("paper")
NO_BN, AGAIN = ablation("no_bn"), Cell("mnist", "lvae_bn_wu@again2", MAX_DEPTH)
LVAE_WU = Cell("mnist", "lvae_wu", MAX_DEPTH)
APART = np.tile([30.0, -30.0], 5_000)  # of images, from their mean
ROW, ID = "LVAE, 5-layer", "mnist-lvae_bn_wu-L5-s1"
Content = list[tuple[Run, Any]]  # a Run with its L_K on all images, or what else its record says


def fill(store: Store, content: Content) -> None:
    """L_1 lies three nats below L_K."""
    for run, said in content:
        if not isinstance(said, dict):
            images = check_records.of_images(L1=said - 3 + APART, LK=said + APART)
            said = {"LK_test": said, "L1_test": said - 3, **images}
        check_records.stored(store.root, check_records.made(DEFAULT, run=run, **said))


def own(seed: int = 1, cell: Cell = DEFAULT) -> Run:
    return run_of(cell, PAPER, seed)


UNLIKE = [(otherwise(own(2)), -70.0), (rescaled(own(3)), -70.0), (own(4), LOST)]
SCORED_OTHERWISE = (own(2), {"LK_test": -70.0, "L1_test": -73.0, "K": 500})
BOTH = [(own(), -82.0), (own(cell=AGAIN), -82.5)]
# What stands in a store, and what every presentation says: a state, or the mean of L_K.
STORES: dict[str, tuple[Content, str]] = {
    "empty": ([], "not run"),
    "learning rate": ([(otherwise(own()), -82.12)], "other configuration"),
    "grey scale": ([(rescaled(own()), -82.12)], "other data"),
    "diverged": ([(own(), LOST)], "diverged at epoch 7"),
    "finished": ([(own(), -82.0)], "-82.00"),
    "replicates": (BOTH, "-82.25"),
    "a replicate alone": (BOTH[1:], "-82.50"),
    "a replicate and a seed": ([*BOTH, (own(2), -83.25)], "-82.75"),  # which weigh alike
    "one of four": ([(own(), -82.0), *UNLIKE], "-82.00"),
    "no bound": ([(own(), {"LK_test": None})], "no finite bound"),
    "two scorings": ([(own(), -82.0), SCORED_OTHERWISE], "-82.00"),
}


def row(table: Any, name: str) -> tuple[str, ...]:
    return next(r for r in table.rows if r[0] == name)


def table(store: Store, name: str) -> Any:
    return script("tables", name).build(store, "paper")


def of_ablations(store: Store) -> str:
    """A state stands in the place of L_1."""
    default = row(table(store, "ablations"), "all as the default")
    return default[6] or default[3]


def checked(store: Store) -> dict[str, Any]:
    targets = as_json(check(store, "paper"))["targets"]
    return next(t for t in targets if t["id"] == check_records.HEADLINE)


def of_check(store: Store) -> str:
    t = checked(store)
    if t["ours"] is not None:
        return f"{t['ours']:.2f}"
    noted = t["verdict"] in ("different", "undecided")
    return str(t["note"]).partition(", not counted")[0] if noted else str(t["verdict"])


def of_replicates(store: Store) -> str:
    """It shows spreads: the mean is that of the judge where the same Runs and seeds stand."""
    rounding, seed = [r for r in table(store, "replicates").rows if r[0] == "LVAE+BN+WU"]
    e = books(store, "paper").of(DEFAULT)
    if not e.trainings:
        assert (rounding[2], seed[2], rounding[-1]) == ("0", "0", seed[-1])
        return rounding[-1]
    assert seed[2] == str(e.seeds)
    assert seed[-1] == f"seeds {', '.join(map(str, sorted(e.by_seed)))}"
    assert set(rounding[-1].split(", ")) == {r.run.id for r in max(e.by_seed.values(), key=len)}
    return mean(e)


def mean(e: Evidence) -> str:
    return f"{e.mean(lambda r: r.final['LK_test']):.2f}"


def of_page(store: Store) -> str:
    line = next(n for n in results.page(store, PAPER).splitlines() if n.startswith(f"| {ROW} |"))
    return line.split(" | ")[3].replace("−", "-")


PRESENTATIONS: dict[str, Callable[[Store], str]] = {
    "evidence": lambda s: (e := books(s, "paper").of(DEFAULT)).state or mean(e),
    "Table 1": lambda s: row(table(s, "table1"), ROW)[3],
    "ablations": of_ablations,
    "floor of noise": of_replicates,
    "check": of_check,
    "results page": of_page,
}


@pytest.mark.parametrize(("content", "answer"), STORES.values(), ids=STORES)
def test_every_presentation_gives_the_judge_s_answer(store, content, answer):
    fill(store, content)
    said = {shown: of(store) for shown, of in PRESENTATIONS.items()}
    assert said == dict.fromkeys(PRESENTATIONS, answer)


@pytest.mark.parametrize(
    "name", ["learning rate", "grey scale", "diverged", "one of four", "no bound", "two scorings"]
)
def test_what_does_not_count_has_no_number_anywhere_and_is_named_everywhere(store, name):
    fill(store, STORES[name][0])
    notes = books(store, "paper").of(DEFAULT).notes
    assert notes
    page = results.page(store, PAPER)
    captions = [table(store, t).caption for t in ("table1", "ablations", "replicates")]
    for text in (page, checked(store)["note"], *captions):
        assert all(note[1:] in text for note in notes)
    assert not re.search(r"[-−](70|73)\.\d", page)
    own_lines = [n for n in page.splitlines() if n.startswith("| [`mnist-")]
    without = [n for n in own_lines if any(f"{n.split('`')[1]}" in note for note in notes)]
    assert len(without) == len(notes)
    assert not any(re.search(r"\d\.\d", line.partition(" | `repro")[0]) for line in without)


def test_of_two_scorings_the_one_counts_that_the_run_asks_for(store: Store) -> None:
    more = check_records.made(DEFAULT, "reduced", 2, K=5_000, LK_images=10_000)
    check_records.stored(store.root, check_records.made(DEFAULT, "reduced"), more)
    e = books(store, "reduced").of(DEFAULT)
    assert (e.ids, e.notes) == (
        (ID,),
        (f"scored with other K or images, not counted: {more.run.id}",),
    )


def test_replicates_are_one_run_whose_mean_counts(store: Store) -> None:
    """So does the Monte-Carlo error, of the mean over replicates and seeds."""
    fill(store, STORES["a replicate and a seed"][0])
    e = books(store, "paper").of(DEFAULT)
    assert (e.seeds, len(e.trainings)) == (2, 3)
    assert [r.run.id for r in e.done] == [ID, "mnist-lvae_bn_wu-L5-s2"]
    again = "mnist-lvae_bn_wu@again2-L5-s1"
    assert e.notes == (f"replicates of one Run, whose mean counts: {ID}, {again}",)
    assert row(table(store, "table1"), ROW)[6:8] == ("0.71", "2")  # sd of -82.25 and -83.25
    target = check_records.target(store.root)
    assert (target.ours, target.seeds) == (pytest.approx(-82.75), 2)
    assert target.runs == (ID, again, "mnist-lvae_bn_wu-L5-s2")
    errors = ((own(), 0.3), (own(cell=AGAIN), 0.4), (own(2), 0.6))
    fill(store, [(run, {"LK_mc_error": error}) for run, error in errors])
    expected = ((0.25**2) + 0.6**2) ** 0.5 / 2
    assert books(store, "paper").of(DEFAULT).mc_error == pytest.approx(expected)


@pytest.mark.parametrize("names", [(LVAE_WU, NO_BN), (LVAE_WU,), (NO_BN,)])
def test_the_lvae_without_batch_norm_is_one_run_under_two_names(store, names):
    fill(store, [(own(), -82.0), *((own(cell=c), -89.0 + n) for n, c in enumerate(names))])
    found, expected = books(store, "paper"), -89.0 + (len(names) - 1) / 2
    for cell in (LVAE_WU, NO_BN):
        e = found.of(cell)
        assert (mean(e), e.seeds, len(e.trainings)) == (f"{expected:.2f}", 1, len(names))
    choice = CHOICES["no_bn"]
    rows = table(store, "ablations").rows
    shown = next(r for r in rows if (r[0], r[2]) == (choice.about, choice.instead))
    assert shown[6:8] == (f"{expected:.2f}", f"{expected + 82:+.2f}")
    assert shown[10] == "1"
    rounding = next(r for r in table(store, "replicates").rows if r[0] == "LVAE+WU")
    assert set(rounding[-1].split(", ")) == {own(cell=c).id for c in names}


def test_the_floor_of_noise_is_the_spread_of_replicates_and_of_seeds(store: Store) -> None:
    """-82.0, -82.3, -82.6 of one seed: sd 0.3; seeds -82.3, -82.8, -83.3: sd 0.5."""
    trainings = [own(), *(own(cell=replace(AGAIN, variant=f"lvae_bn_wu@again{n}")) for n in (2, 3))]
    values = (-82.0, -82.3, -82.6, -82.8, -83.3)
    fill(store, list(zip([*trainings, own(2), own(3)], values, strict=True)))
    rounding, seed_row, *others = table(store, "replicates").rows
    # By the chi-squared quantiles with two degrees of freedom, 0.0506 and 7.378.
    assert rounding[:6] == ("LVAE+BN+WU", "rounding", "3", "0.30", "0.16 to 1.89", "0.30")
    assert seed_row[:6] == ("LVAE+BN+WU", "seed", "3", "0.50", "0.26 to 3.14", "0.50")
    assert [r[2:6] for r in others] == [("0", "not measured", "", "not measured")] * 2
