"""Runs as data: which is which, and what Ladder networks' sources, schedules and profiles say."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from fixture_data import refused

from repro.errors import RecordError, UsageError
from repro.plan.experiments import EXPERIMENTS, cells
from repro.plan.experiments.ablations import DEFAULT, OF_VAES, base_of
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.experiments.ladder import COMBINATORS, PORTS, RASMUS, cell
from repro.plan.profiles import PROFILES, find_run, profile, run_of, runs
from repro.plan.run import Data, LabelledData, Optim, Run, from_dict, saved, to_dict

PAPER = profile("paper")
CELLS = EXPERIMENTS["ladder"] + EXPERIMENTS["combinators"]
FULL = (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1)


def ladder(variant: str = "full", labels: int = 100) -> Run:
    return run_of(cell(variant, labels), PAPER)


# Which is which

# A changed layout, budget or variant gives others, and so does a choice that no longer counts. A
# changed default does not, as no field at its default counts: `test_old_layout.py` holds that.
HASHES = {
    "smoke": "5ab549f60eeb5e4cf31471fd26e590d96a148ce4fdf4a6cff9d579fa82c599b9",
    "quick": "384d35832bc163303b402961430ed164756f03658d0a9db651c2c137766584eb",
    "reduced": "ad054a05db7e0d327bdcda2acdc87e1e6deef1357de0f7bc023038b45977eb29",
    "paper": "a1f31cc0901285596cba90b32b7f1008d16b1e3606d470e3313f9f5b9cacf9a7",
}


@pytest.mark.parametrize("name", PROFILES)
def test_no_run_of_any_cell_has_changed(name: str) -> None:
    """A cell that is added changes these too: then write down the new ones."""
    hashes = "".join(sorted(run_of(c, profile(name)).hash for c in cells()))
    assert hashlib.sha256(hashes.encode()).hexdigest() == HASHES[name]


DEFAULTS = {DEFAULT, *map(base_of, OF_VAES)}
ON_REQUEST = ("ablations", "replicates", "finetuning", "iwae", "flows", "norb", "combinators")


@pytest.mark.parametrize("name", ON_REQUEST)
def test_what_is_on_request_is_trained_where_it_is_named_and_only_there(name: str) -> None:
    own = set(EXPERIMENTS[name]) - DEFAULTS
    for p in PROFILES.values():
        named, usual = ({cell_of(r) for r in runs(p, of)} for of in ([name], None))
        assert named - DEFAULTS == {c for c in own if p.holds(c)}
        assert not own & usual


@pytest.mark.parametrize("wanted", cells(), ids=lambda cell: run_of(cell, PAPER, 7).id)
def test_json_and_name_of_a_run_lead_back_to_it_and_it_knows_its_cell(wanted: Cell) -> None:
    run = run_of(wanted, PAPER, 7)
    again = from_dict(json.loads(json.dumps(saved(run))))
    assert (again, again.hash) == (run, run.hash)
    assert find_run(run.id, PAPER) == run  # so no other has that name
    assert cell_of(run) == wanted


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"family": "gan"}, ["run.model.family", "'gan'"]),
        ({"family": "ladder", "latents": [64]}, ["run.model.latents", "unknown field"]),
    ],
)
def test_an_unknown_family_or_a_field_of_another_is_a_damaged_record(model, said):
    with refused(RecordError, *said):
        from_dict({**to_dict(ladder()), "model": model})


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


def test_the_table_is_of_the_published_rows_and_the_ports_and_every_combinator_differs() -> None:
    assert EXPERIMENTS["ladder"] == [*RASMUS, cell("full", 50), *PORTS]
    assert {(c.variant, c.labels) for c in RASMUS} == {*ROWS} - {("full", 50)}
    models = {ladder(variant).ladder for variant in ("full", *COMBINATORS)}
    assert len(models) == 1 + len(COMBINATORS)


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
    of_256 = {c.variant for c in CELLS if run_of(c, PAPER).data.grey_scale == 256}
    assert of_256 == {"parmesan", "lasagne"}, "read a file of byte / 256, all others bytes / 255"


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


def test_a_shorter_run_falls_over_the_same_share_of_its_epochs_and_none_is_longer() -> None:
    run = run_of(cell("full"), profile("reduced"))
    assert [run.lr(e) == 2e-3 for e in run.evaluation.epochs] == [True] * 21 + [False] * 9
    assert run.lr(30) == pytest.approx(2e-3 / 9.9)
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


LADDER, VAE = "ladder-full-100-s1", "mnist-vae-L3-s1"


@pytest.mark.parametrize(
    ("run_id", "part", "fields", "said"),
    [
        (LADDER, "data", {"labels": 55}, "55 is not divisible by 10"),
        (LADDER, "data", {"labels": 0}, "say how many images are labelled"),
        (LADDER, "data", {"labels": 250}, "250 is no multiple of the minibatch's 100"),
        (LADDER, "optim", {"batch": 1}, "no variance to normalise by"),
        (LADDER, "data", {"label_order": "file"}, "not balanced"),
        (LADDER, "model", {"sizes": ()}, "model.sizes"),
        (LADDER, "model", {"noise": (0.3,)}, "one for each of the 7 layers"),
        (LADDER, "model", {"cost_weights": (1.0,)}, "one for each of the 7 layers"),
        (LADDER, "model", {"decoder": "top"}, "estimates layers [6] only"),
        (LADDER, "model", {"combinator": "mlp"}, "needs combinator_hidden"),
        (LADDER, "model", {"combinator_hidden": (4,)}, "needs combinator_hidden"),
        (LADDER, "model", {"combinator_init": "swapped"}, "no meaning for 'gauss'"),
        (LADDER, "model", {"combinator_init": "lateral"}, "of 'sig' only"),
        (LADDER, "model", {"estimate_scale": "noisy"}, "use it with joined"),
        (LADDER, "model", {"passed_down": "normalised", "estimate_norm": False}, "use 'raw'"),
        (LADDER, "schedule", {"decay_from": 1.5}, "a share between 0 and 1"),
        (VAE, "schedule", {"epochs": 0}, "train at least one"),
        (VAE, "schedule", {"steps_per_epoch": 0}, "give at least 1, or none for all"),
        (VAE, "schedule", {"warmup_epochs": -1}, "use 0 for none"),
        (VAE, "evaluation", {"epochs": (1, 2)}, "end with the last epoch"),
        (VAE, "optim", {"batch": 0}, "must be at least 1"),
        (VAE, "evaluation", {"train_images": 0}, "give one image or more of each kind"),
        (VAE, "evaluation", {"lk_images": 0}, "give one image or more of each kind"),
        (VAE, "model", {"latents": (), "widths": ()}, "give at least one layer"),
        (VAE, "model", {"widths": (4,)}, "1 widths for 3 layers"),
        (VAE, "model", {"latents": (64, 0, 16)}, "must be positive"),
        (VAE, "model", {"shared": False}, "choices of the LVAE"),
        (VAE, "model", {"flows": 2}, "a VAE of one layer"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(run_id, part, fields, said):
    run = find_run(run_id, PAPER)
    with refused(UsageError, said):
        replace(run, **{part: replace(getattr(run, part), **fields)})


@pytest.mark.parametrize(
    ("run_id", "data"), [(VAE, LabelledData(labels=100)), (LADDER, Data())], ids=str
)
def test_labels_are_of_ladder_networks_alone(run_id: str, data: Data) -> None:
    needed = {VAE: "Data", LADDER: "LabelledData"}[run_id]
    with refused(UsageError, f"data is {type(data).__name__}: its model needs {needed}"):
        replace(find_run(run_id, PAPER), data=data)
