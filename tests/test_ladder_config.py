"""Ladder Runs as data: variants, schedules, profiles, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
from fixture_data import refused

from repro.errors import UsageError
from repro.plan.experiments import EXPERIMENTS
from repro.plan.experiments.grid import Cell
from repro.plan.experiments.ladder import COMBINATORS, EVERY, PORTS, RASMUS, cell
from repro.plan.profiles import PROFILES, find_run, profile, run_of, runs
from repro.plan.run import Data, LabelledData, Optim, Run

PAPER = profile("paper")
LADDERS = EXPERIMENTS["ladder"] + EXPERIMENTS["combinators"]


def ladder(variant: str = "full", labels: int = 100, seed: int = 1) -> Run:
    return run_of(cell(variant, labels), PAPER, seed)


# What the README of the released code says

FULL = (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1)
EVERY_LAYER, TOP = tuple(range(7)), (6,)
PUBLISHED = {  # costs, layers that are estimated, noise above the input
    ("full", 50): ((2000, 20, 0.1, 0.1, 0.1, 0.1, 0.1), EVERY_LAYER, 0.3),
    ("full", 100): (FULL, EVERY_LAYER, 0.3),
    ("full", 1000): ((2000, 20, 0.1, 0.1, 0.1, 0.1, 0.1), EVERY_LAYER, 0.2),
    ("full", 60000): ((1000, 1, 0.01, 0.01, 0.01, 0.01, 0.01), EVERY_LAYER, 0.3),
    ("bottom", 100): ((5000, 0, 0, 0, 0, 0, 0), EVERY_LAYER, 0.3),
    ("bottom", 1000): ((2000, 0, 0, 0, 0, 0, 0), EVERY_LAYER, 0.3),
    ("bottom", 60000): ((2000, 0, 0, 0, 0, 0, 0), EVERY_LAYER, 0.3),
    ("gamma", 100): ((0, 0, 0, 0, 0, 0, 0.5), TOP, 0.3),
    ("gamma", 1000): ((0, 0, 0, 0, 0, 0, 10), TOP, 0.3),
    ("gamma", 60000): ((0, 0, 0, 0, 0, 0, 2), TOP, 0.3),
    ("baseline", 100): ((0,) * 7, (), 0.5),
    ("baseline", 1000): ((0,) * 7, (), 0.5),
    ("baseline", 60000): ((0,) * 7, (), 0.5),
}


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row[0]}-{row[1]}")
def test_published_rows_are_as_published(row: tuple[str, int]) -> None:
    """The released code's default combinator is still `sig`, whose costs were others."""
    model, (costs, estimated, noise) = ladder(*row).ladder, PUBLISHED[row]
    assert (model.cost_weights, model.estimated) == (costs, estimated)
    assert model.noise == (0.3, *(noise,) * 6)
    assert (model.combinator, model.estimate_norm, model.joined) == ("gauss", True, False)


def test_the_published_rows_and_the_ports_are_the_table() -> None:
    assert EXPERIMENTS["ladder"] == [*RASMUS, cell("full", 50), *PORTS]
    assert {(c.variant, c.labels) for c in RASMUS} == PUBLISHED.keys() - {("full", 50)}
    assert {run_of(c, PAPER).ladder.noise[:2] for c in PORTS} == {(0.3, 0.3)}


def test_pixels_are_bytes_over_255() -> None:
    """But for two ports, which read a file of byte / 256."""
    scales = {c.variant: run_of(c, PAPER).data.grey_scale for c in LADDERS}
    assert {v for v, scale in scales.items() if scale != 255} == {"parmesan", "lasagne"}
    assert set(scales.values()) == {255, 256}


def test_adam_is_the_one_of_the_released_code_without_clipping() -> None:
    expected = Optim(0.002, 100, 0.9, 0.999, 1e-8, eps_form="code", clip_norm=None, clip_value=None)
    assert ladder().optim == expected


def test_kzky_s_code_switched_off_the_cost_of_layer_1() -> None:
    assert ladder("kzky").ladder.cost_weights == (784, 0, 0.1, 0.1, 0.1, 0.1, 0.1)


def test_kzky_s_two_ways_differ_in_their_costs_alone() -> None:
    ran, described = ladder("kzky"), ladder("kzky_readme")
    same = replace(described.ladder, cost_weights=ran.ladder.cost_weights)
    assert replace(described, variant="kzky", model=same) == ran
    assert described.ladder.cost_weights == FULL


def test_kzky_trains_at_a_small_constant_rate_on_the_images_without_label() -> None:
    run = ladder("kzky")
    assert (run.lr(1), run.lr(200)) == (1e-4, 1e-4)
    assert run.data == LabelledData("mnist", 255, labels=100, balanced=False, pool="rest")


def test_every_variant_of_pezeshki_changes_something() -> None:
    full = ladder().ladder
    changed = [ladder(v).ladder for v in COMBINATORS]
    assert full not in changed
    assert len(set(changed)) == len(changed)


# Learning rate and epochs


def test_the_published_protocol_has_150_epochs() -> None:
    assert {EVERY[c.variant].epochs for c in LADDERS if c not in PORTS} == {150}


@pytest.mark.parametrize("c", LADDERS)
def test_no_smaller_budget_trains_longer_than_published(c: Cell) -> None:
    published = EVERY[c.variant].epochs
    assert all(run_of(c, p).schedule.epochs <= published for p in PROFILES.values())


@pytest.mark.parametrize(
    ("epoch", "rate"), [(1, 0.002), (101, 0.002), (102, 0.001980), (125, 0.001051), (150, 4.04e-5)]
)
def test_the_rate_is_constant_then_falls_linearly(epoch: int, rate: float) -> None:
    assert ladder().lr(epoch) == pytest.approx(rate, rel=5e-4)


def test_a_shorter_run_falls_over_the_same_share_of_its_epochs() -> None:
    run = run_of(cell("full"), profile("reduced"))
    assert run.schedule.epochs == 30
    assert [run.lr(e) == 0.002 for e in range(1, 31)] == [True] * 21 + [False] * 9
    assert run.lr(30) == pytest.approx(0.002 / 9.9)


def test_pezeshki_s_rate_is_constant_for_100_epochs_and_one() -> None:
    run = ladder("vanilla")
    assert (run.lr(101), run.lr(102)) == (0.002, pytest.approx(0.002 * 49 / 50))


def test_hierarchies_keep_their_rate() -> None:
    run = find_run("mnist-vae-L3-s1", PAPER)
    assert {run.lr(e) for e in (1, 1000, 2000)} == {1e-3}


def test_the_error_is_measured_after_every_epoch() -> None:
    assert ladder().evaluation.epochs == tuple(range(1, 151))


# Profiles


def test_small_profiles_train_the_full_model_and_the_baseline() -> None:
    for name in ("smoke", "quick", "reduced"):
        ids = [r.id for r in runs(profile(name), ["ladder"])]
        assert ids == ["ladder-full-100-s1", "ladder-baseline-100-s1"]


def test_the_published_protocol_has_ten_seeds_of_every_row() -> None:
    found = runs(PAPER, ["ladder"])
    assert len(found) == 10 * len(EXPERIMENTS["ladder"]) == 10 * 17
    assert {r.seed for r in found} == set(range(1, 11))
    assert {r.seed for r in runs(PAPER) if not r.labels} == {1}
    assert {r.seed for r in runs(PAPER, ["ladder_100"], seeds=2)} == {1, 2}


# What is refused


def of(**parts: Any) -> Run:
    run = ladder()
    changed = {name: replace(getattr(run, name), **fields) for name, fields in parts.items()}
    return replace(run, **changed)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"data": {"labels": 55}}, "55 is not divisible by 10"),
        ({"data": {"labels": 0}}, "say how many images are labelled"),
        ({"data": {"labels": 250}}, "250 is no multiple of the minibatch's 100"),
        ({"model": {"sizes": ()}}, "model.sizes"),
        ({"model": {"noise": (0.3,)}}, "one for each of the 7 layers"),
        ({"model": {"cost_weights": (1.0,)}}, "one for each of the 7 layers"),
        ({"model": {"decoder": "top"}}, "estimates layers [6] only"),
        ({"model": {"combinator": "mlp"}}, "needs combinator_hidden"),
        ({"model": {"combinator_hidden": (4,)}}, "needs combinator_hidden"),
        ({"model": {"combinator_init": "swapped"}}, "no meaning for 'gauss'"),
        ({"model": {"combinator_init": "lateral"}}, "of 'sig' only"),
        ({"model": {"estimate_scale": "noisy"}}, "use it with joined"),
        ({"model": {"passed_down": "normalised", "estimate_norm": False}}, "use 'raw'"),
        ({"data": {"label_order": "file"}}, "not balanced"),
        ({"schedule": {"decay_from": 1.5}}, "a share between 0 and 1"),
    ],
)  # fmt: skip
def test_a_run_that_makes_no_sense_is_refused(parts: dict[str, Any], said: str) -> None:
    with refused(UsageError, said):
        of(**parts)


@pytest.mark.parametrize(
    ("run_id", "data", "said"),
    [
        ("mnist-vae-L3-s1", LabelledData(labels=100), "data is LabelledData: its model needs Data"),
        ("ladder-full-100-s1", Data(), "data is Data: its model needs LabelledData"),
    ],
)
def test_labels_are_of_ladder_networks_alone(run_id: str, data: Data, said: str) -> None:
    with refused(UsageError, said):
        replace(find_run(run_id, PAPER), data=data)
