"""Ladder Runs as data: what their sources say, schedules, profiles, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
from fixture_data import refused

from repro.errors import UsageError
from repro.plan.experiments import EXPERIMENTS
from repro.plan.experiments.ladder import COMBINATORS, PORTS, RASMUS, cell
from repro.plan.profiles import PROFILES, find_run, profile, run_of, runs
from repro.plan.run import Data, LabelledData, Optim, Run

PAPER = profile("paper")
CELLS = EXPERIMENTS["ladder"] + EXPERIMENTS["combinators"]
FULL = (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1)


def ladder(variant: str = "full", labels: int = 100) -> Run:
    return run_of(cell(variant, labels), PAPER)


# What their sources say

PUBLISHED = {  # by labels: cost of the pixels, of layer 1, of each above it, of the top
    "full": {
        **{50: (2000, 20, 0.1, 0.1), 100: (1000, 10, 0.1, 0.1)},
        **{1000: (2000, 20, 0.1, 0.1), 60_000: (1000, 1, 0.01, 0.01)},
    },
    "bottom": {100: (5000, 0, 0, 0), 1000: (2000, 0, 0, 0), 60_000: (2000, 0, 0, 0)},
    "gamma": {100: (0, 0, 0, 0.5), 1000: (0, 0, 0, 10), 60_000: (0, 0, 0, 2)},
    "baseline": dict.fromkeys((100, 1000, 60000), (0, 0, 0, 0)),
}
ROWS = [(variant, labels) for variant, costs in PUBLISHED.items() for labels in costs]
CODE: dict[str, Any] = {"batch": 100, "eps": 1e-8, "eps_form": "code", "clip_norm": None}


def test_the_table_is_of_the_published_rows_and_the_ports() -> None:
    assert EXPERIMENTS["ladder"] == [*RASMUS, cell("full", 50), *PORTS]
    assert {(c.variant, c.labels) for c in RASMUS} == {*ROWS} - {("full", 50)}


@pytest.mark.parametrize(("variant", "labels"), ROWS)
def test_published_rows_are_as_the_code_s_readme_says(variant: str, labels: int) -> None:
    """The released code's default combinator is still `sig`, whose costs were others."""
    run, (pixels, first, others, top) = ladder(variant, labels), PUBLISHED[variant][labels]
    model, noise = run.ladder, {("full", 1000): 0.2, ("baseline", labels): 0.5}
    assert model.cost_weights == (pixels, first, *(others,) * 4, top)
    assert model.decoder == {"gamma": "top", "baseline": "none"}.get(variant, "full")
    assert model.noise == (0.3, *(noise.get((variant, labels), 0.3),) * 6)
    assert (model.combinator, model.estimate_norm, model.joined) == ("gauss", True, False)
    assert run.optim == Optim(0.002, **CODE, clip_value=None)


def test_ports_are_set_as_their_code_is() -> None:
    """Kzky's code switched off the cost of layer 1, otherwise than its README says."""
    kzky, described, parmesan, lasagne = (run_of(c, PAPER) for c in PORTS)
    assert kzky.ladder.cost_weights == (784, 0, 0.1, 0.1, 0.1, 0.1, 0.1)
    assert described.ladder == replace(kzky.ladder, cost_weights=FULL)
    assert replace(described, variant="kzky", model=kzky.model) == kzky
    assert kzky.data == LabelledData("mnist", 255, labels=100, balanced=False, pool="rest")
    assert parmesan.optim == Optim(1e-3, **CODE, clip_value=1.0)
    assert (parmesan.ladder.cost_weights, parmesan.ladder.noise) == (FULL, (0.3,) * 7)
    model = lasagne.ladder
    assert (model.sizes, model.gammas) == ((784, 500, 10), "none")
    assert (model.cost_weights, model.noise) == ((0.1,) * 3, (0.3,) * 3)


def test_pixels_are_bytes_over_255() -> None:
    """But for two ports, which read a file of byte / 256."""
    scales = {c.variant: run_of(c, PAPER).data.grey_scale for c in CELLS}
    assert {v for v, scale in scales.items() if scale == 256} == {"parmesan", "lasagne"}


def test_every_variant_of_pezeshki_changes_something() -> None:
    models = {ladder(variant).ladder for variant in ("full", *COMBINATORS)}
    assert len(models) == 1 + len(COMBINATORS)


# Learning rate and epochs


@pytest.mark.parametrize(
    ("variant", "epochs", "rates"),
    [
        ("full", 150, {1: 2e-3, 101: 2e-3, 102: 2e-3 * 49 / 49.5, 125: 2e-3 * 26 / 49.5}),
        ("full", 150, {150: 2e-3 / 49.5}),
        ("vanilla", 150, {101: 2e-3, 102: 2e-3 * 49 / 50}),
        ("kzky", 200, {1: 1e-4, 200: 1e-4}),
        ("parmesan", 300, {1: 1e-3, 51: 1e-3, 52: 1e-3 - 4e-6, 175: 5.04e-4, 300: 4e-6}),
        ("lasagne", 15, {1: 0.1, 15: 0.1}),
    ],
)
def test_the_rate_is_constant_then_falls_linearly(variant, epochs, rates):
    run = run_of(next(c for c in CELLS if c.variant == variant), PAPER)
    assert run.evaluation.epochs == tuple(range(1, epochs + 1))
    assert {e: run.lr(e) for e in rates} == pytest.approx(rates)


def test_a_shorter_run_falls_over_the_same_share_of_its_epochs() -> None:
    run = run_of(cell("full"), profile("reduced"))
    assert [run.lr(e) == 2e-3 for e in run.evaluation.epochs] == [True] * 21 + [False] * 9
    assert run.lr(30) == pytest.approx(2e-3 / 9.9)


def test_no_smaller_budget_trains_longer_than_published() -> None:
    for c in CELLS:
        published = run_of(c, PAPER).schedule.epochs
        assert all(run_of(c, p).schedule.epochs <= published for p in PROFILES.values())


def test_small_profiles_train_two_models_once_and_the_published_one_ten_seeds_of_all() -> None:
    for name in ("smoke", "quick", "reduced"):
        ids = [r.id for r in runs(profile(name), ["ladder"])]
        assert ids == ["ladder-full-100-s1", "ladder-baseline-100-s1"]
    found = runs(PAPER, ["ladder"])
    assert len(found) == 10 * len(EXPERIMENTS["ladder"]) == 10 * 17
    assert {r.seed for r in found} == set(range(1, 11))
    assert {r.seed for r in runs(PAPER) if not r.labels} == {1}
    assert {r.seed for r in runs(PAPER, ["ladder_100"], seeds=2)} == {1, 2}


# What is refused


@pytest.mark.parametrize(
    ("part", "fields", "said"),
    [
        ("data", {"labels": 55}, "55 is not divisible by 10"),
        ("data", {"labels": 0}, "say how many images are labelled"),
        ("data", {"labels": 250}, "250 is no multiple of the minibatch's 100"),
        ("data", {"label_order": "file"}, "not balanced"),
        ("model", {"sizes": ()}, "model.sizes"),
        ("model", {"noise": (0.3,)}, "one for each of the 7 layers"),
        ("model", {"cost_weights": (1.0,)}, "one for each of the 7 layers"),
        ("model", {"decoder": "top"}, "estimates layers [6] only"),
        ("model", {"combinator": "mlp"}, "needs combinator_hidden"),
        ("model", {"combinator_hidden": (4,)}, "needs combinator_hidden"),
        ("model", {"combinator_init": "swapped"}, "no meaning for 'gauss'"),
        ("model", {"combinator_init": "lateral"}, "of 'sig' only"),
        ("model", {"estimate_scale": "noisy"}, "use it with joined"),
        ("model", {"passed_down": "normalised", "estimate_norm": False}, "use 'raw'"),
        ("schedule", {"decay_from": 1.5}, "a share between 0 and 1"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(part, fields, said):
    run = ladder()
    with refused(UsageError, said):
        replace(run, **{part: replace(getattr(run, part), **fields)})


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
