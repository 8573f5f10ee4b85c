"""Ablations: Runs that differ from the default in one choice, and the table of what each does."""

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
import small
import torch
from numpy.testing import assert_array_equal

from repro.errors import UsageError
from repro.machine.local import train
from repro.machine.work import Options
from repro.model.layers import fold
from repro.model.stack import Stack, pack
from repro.plan import profiles
from repro.plan.experiments import EXPERIMENTS, label_of, replicates
from repro.plan.experiments.ablations import CHOICES, DEFAULT, OF_VAES, base_of, cell
from repro.plan.profiles import PROFILES, find_run, profile, runs
from repro.plan.run import Data, Run
from repro.store import Store
from repro.train import score
from repro.train.evaluate import bounds, minibatch_statistics, statistics_pass
from repro.train.score import noise_of, score_epoch

PARTS = ("data", "model", "optim", "schedule", "evaluation")


def run_of(name: str = "", profile_name: str = "quick", seed: int = 1) -> Run:
    return profiles.run_of(cell(name) if name else DEFAULT, profile(profile_name), seed)


def changes(run: Run, default: Run) -> dict[str, Any]:
    """Fields in which two Runs differ, by name."""
    return {
        f"{part}.{f.name}": getattr(getattr(run, part), f.name)
        for part in PARTS
        for f in dataclasses.fields(getattr(run, part))
        if getattr(getattr(run, part), f.name) != getattr(getattr(default, part), f.name)
    }


@pytest.mark.parametrize("name", CHOICES)
def test_an_ablation_changes_its_own_fields_alone(name: str) -> None:
    choice = CHOICES[name]
    own = {f"{part}.{k}": v for part in PARTS if part != "schedule" for k, v in
           getattr(choice, part).items()}  # fmt: skip
    assert own
    for profile_name in PROFILES:
        assert changes(run_of(name, profile_name), run_of("", profile_name)) == own


def test_an_ablation_of_a_vae_is_held_against_that_vae() -> None:
    for other in OF_VAES:
        ours, default = (profiles.run_of(c, profile("paper")) for c in (other, base_of(other)))
        assert changes(ours, default) == {"model.head_batch_norm": False}
        assert default.variant in ("vae_bn", "vae_bn_wu")


def test_one_choice_is_made_otherwise_at_a_time() -> None:
    """Clipping is one choice in two fields."""
    counts = {n: len(changes(run_of(n), run_of())) for n in CHOICES}
    assert {n for n, count in counts.items() if count != 1} == {"no_clip"}


def test_every_disagreement_is_there() -> None:
    about = {c.about for c in CHOICES.values()}
    assert len(about) == 11
    assert {f for n in CHOICES for f in changes(run_of(n), run_of())} == {
        "data.grey_scale",
        "model.head_batch_norm",
        "model.batch_norm",
        "model.upward",
        "model.shared",
        "model.leaky_slope",
        "model.head_init",
        "optim.lr",
        "optim.eps_form",
        "optim.clip_norm",
        "optim.clip_value",
        "optim.kl",
        "evaluation.statistics",
    }


def test_an_ablation_is_paired_with_the_default_by_its_seed() -> None:
    wanted = runs(profile("reduced"), ["ablations"], seeds=2)
    assert {(r.variant, r.seed) for r in wanted} == {
        (c.variant, s)
        for c in (*map(cell, CHOICES), *OF_VAES, DEFAULT, *map(base_of, OF_VAES))
        for s in (1, 2)
    }


def test_an_ablation_is_found_by_its_name() -> None:
    run = find_run("mnist-lvae_bn_wu@grey255-L5-s3", profile("reduced"))
    assert run == run_of("grey255", "reduced", 3)


def test_names_and_hashes_of_all_ablations_differ() -> None:
    wanted = runs(profile("quick"), ["ablations"])
    assert len({r.id for r in wanted}) == len({r.hash for r in wanted}) == len(CHOICES) + 5


def test_the_statistics_that_score_count_in_the_hash_where_they_are_others() -> None:
    run = run_of()
    named = replace(run, evaluation=replace(run.evaluation, statistics="full"))
    assert named.hash == run.hash
    assert run_of("batch_stats").hash != replace(run, variant=run_of("batch_stats").variant).hash


def test_an_ablation_is_labelled_by_its_choice() -> None:
    assert label_of(cell("grey255")) == "LVAE+BN+WU, grey scale: byte/255"


def test_ablations_that_share_steps_share_a_stack() -> None:
    stacks = pack(runs(profile("reduced"), ["ablations"]), most_lanes=12)
    defaults, lvaes, vaes = [{r.variant for r in s.runs} for s in stacks if len(s.runs) > 1]
    assert defaults == {"vae_bn", "vae_bn_wu"}
    assert vaes == {c.variant for c in OF_VAES}
    assert {name.partition("@")[2] for name in lvaes} == {
        "",
        "grey255",
        "uniform_heads",
        "lr0002",
        "lr002",
        "batch_stats",
    }


def test_a_closed_form_with_importance_samples_is_refused() -> None:
    with pytest.raises(UsageError, match="'closed' with 5 importance samples is no bound"):
        small.run(optim={"kl": "closed", "importance_samples": 5})


def test_a_closed_form_with_monte_carlo_samples_is_a_bound() -> None:
    assert small.run(optim={"kl": "closed", "mc_samples": 5}).optim.kl == "closed"


def test_minibatch_statistics_are_the_mean_over_full_minibatches() -> None:
    net, x = small.net(small.run()), small.bits(B=5 * small.BATCH + 3)
    seen = minibatch_statistics(net, x, small.noise(), small.BATCH)["d1.a"]
    batches = (x[:, : 5 * small.BATCH] @ net.params["d1.a.W"]).view(1, 5, small.BATCH, -1)
    torch.testing.assert_close(seen.mean, batches.mean(2).mean(1, keepdim=True))
    torch.testing.assert_close(seen.var, batches.var(2, correction=0).mean(1, keepdim=True))


def test_minibatch_statistics_of_few_images_are_those_of_all() -> None:
    net, x = small.net(small.run()), small.bits(B=small.BATCH - 2)
    ours = minibatch_statistics(net, x, small.noise(), small.BATCH)["d1.a"]
    full, _ = statistics_pass(net, x, small.noise())
    torch.testing.assert_close(ours, full["d1.a"])


def test_minibatch_statistics_hold_every_normalised_layer() -> None:
    net, x = small.net(small.run()), small.bits(B=3 * small.BATCH)
    full, _ = statistics_pass(net, x, small.noise())
    assert minibatch_statistics(net, x, small.noise(), small.BATCH).keys() == full.keys()


def test_a_run_is_scored_by_the_statistics_that_it_names() -> None:
    run, images = small.run(evaluation={"statistics": "minibatches"}), small.images()
    net = Stack((run,)).net(Stack((run,)).initial(small.PIXELS))
    noise, x = noise_of(run, 2, small.CPU), score._training_set(run, images.train, 2)
    folded = fold(net, minibatch_statistics(net, x, noise, small.BATCH))
    expected = bounds(folded, images.test.float().unsqueeze(0), noise, "test")
    scored = score_epoch(net, run, images, 2)
    assert torch.equal(scored.L1_test, expected.L1[0])
    assert not torch.equal(scored.L1_test, score_epoch(net, small.run(), images, 2).L1_test)


def test_lanes_of_one_stack_are_scored_on_their_own_test_images(store: Store) -> None:
    grey = replace(small.run(seed=2), data=Data(grey_scale=255))
    train([small.run(), grey], store, "tiny", Options(engine="eager", threads=1))
    shown = {r.run.seed: r.arrays("samples")["true"] for r in store.records("tiny")}
    alone = Store(store.root / "alone")
    train([grey], alone, "tiny", Options(engine="eager", threads=1))
    assert store.record("tiny", grey.id).env["stack_width"] == 2
    assert_array_equal(shown[2], alone.record("tiny", grey.id).arrays("samples")["true"])
    assert (shown[1] != shown[2]).any()


def test_a_replicate_is_the_same_run_under_another_name() -> None:
    for again in EXPERIMENTS["replicates"]:
        second, first = (
            profiles.run_of(c, profile("reduced")) for c in (again, replicates.base_of(again))
        )
        assert second.hash == first.hash
        assert second.id != first.id
