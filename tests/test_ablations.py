"""Ablations: Runs that differ from the default in one choice, and what these choices compute."""

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
from repro.plan.experiments.ablations import CHOICES, OF_VAES, base_of, cell
from repro.plan.profiles import PROFILES, profile, runs
from repro.plan.run import Data, to_dict
from repro.store import Store
from repro.train import score
from repro.train.evaluate import bounds, minibatch_statistics, statistics_pass
from repro.train.score import noise_of, score_epoch

QUICK, REDUCED = profile("quick"), profile("reduced")


def flat(parts: dict[str, Any]) -> dict[str, Any]:
    nested = ((part, of) for part, of in parts.items() if isinstance(of, dict))
    return {f"{part}.{name}": value for part, of in nested for name, value in of.items()}


def changes(other: Any, profile: profiles.Profile = QUICK) -> dict[str, Any]:
    """Fields in which a cell's Run differs from the one it is held against, by name."""
    ours, default = (flat(to_dict(profiles.run_of(c, profile))) for c in (other, base_of(other)))
    return {name: value for name, value in ours.items() if value != default[name]}


@pytest.mark.parametrize("name", CHOICES)
def test_an_ablation_changes_its_own_fields_alone(name: str) -> None:
    """One choice at a time; clipping is one choice in two fields."""
    own = flat(vars(CHOICES[name]))
    assert len(own) == (2 if name == "no_clip" else 1)
    for p in PROFILES.values():
        assert changes(cell(name), p) == own


def test_every_disagreement_is_there_and_has_a_run_of_its_own() -> None:
    assert len({c.about for c in CHOICES.values()}) == 11
    assert label_of(cell("grey255")) == "LVAE+BN+WU, grey scale: byte/255"
    for other in OF_VAES:
        assert changes(other) == {"model.head_batch_norm": False}
        assert base_of(other).variant in ("vae_bn", "vae_bn_wu")
    wanted = runs(REDUCED, ["ablations"], seeds=2)
    assert {r.seed for r in wanted} == {1, 2}
    assert len({r.hash for r in wanted}) == 2 * (len(CHOICES) + 5)


def test_ablations_that_share_steps_share_a_stack() -> None:
    stacks = pack(runs(REDUCED, ["ablations"]), most_lanes=12)
    defaults, lvaes, vaes = [{r.variant for r in s.runs} for s in stacks if len(s.runs) > 1]
    assert defaults == {base_of(c).variant for c in OF_VAES}
    assert vaes == {c.variant for c in OF_VAES}
    names = {"", "grey255", "uniform_heads", "lr0002", "lr002", "batch_stats"}
    assert {name.partition("@")[2] for name in lvaes} == names


def test_a_replicate_is_the_same_run_under_another_name() -> None:
    for again in EXPERIMENTS["replicates"]:
        first, second = (profiles.run_of(c, REDUCED) for c in (replicates.base_of(again), again))
        assert second.hash == first.hash
        assert second.id != first.id


def test_a_closed_form_takes_monte_carlo_samples_and_no_importance_samples() -> None:
    assert small.run(optim={"kl": "closed", "mc_samples": 5}).optim.kl == "closed"
    with pytest.raises(UsageError, match="'closed' with 5 importance samples is no bound"):
        small.run(optim={"kl": "closed", "importance_samples": 5})


def test_minibatch_statistics_are_the_mean_over_full_minibatches() -> None:
    """Of every normalised layer; of fewer images they are those of all."""
    net, x = small.net(small.run()), small.bits(B=5 * small.BATCH + 3)
    seen = minibatch_statistics(net, x, small.noise(), small.BATCH)
    batches = (x[:, : 5 * small.BATCH] @ net.params["d1.a.W"]).view(1, 5, small.BATCH, -1)
    torch.testing.assert_close(seen["d1.a"].mean, batches.mean(2).mean(1, keepdim=True))
    variance = batches.var(2, correction=0).mean(1, keepdim=True)
    torch.testing.assert_close(seen["d1.a"].var, variance)
    few = x[:, : small.BATCH - 2]
    full, _ = statistics_pass(net, few, small.noise())
    assert seen.keys() == full.keys()
    ours = minibatch_statistics(net, few, small.noise(), small.BATCH)
    torch.testing.assert_close(ours["d1.a"], full["d1.a"])


def test_a_run_is_scored_by_the_statistics_that_it_names() -> None:
    """They count in the hash where they are others than the default."""
    run, images = small.run(evaluation={"statistics": "minibatches"}), small.images()
    net = Stack((run,)).net(Stack((run,)).initial(small.PIXELS))
    noise, x = noise_of(run, 2, small.CPU), score._training_set(run, images.train, 2)
    folded = fold(net, minibatch_statistics(net, x, noise, small.BATCH))
    expected = bounds(folded, images.test.float().unsqueeze(0), noise, "test")
    scored = score_epoch(net, run, images, 2)
    assert torch.equal(scored.L1_test, expected.L1[0])
    assert not torch.equal(scored.L1_test, score_epoch(net, small.run(), images, 2).L1_test)
    assert small.run(evaluation={"statistics": "full"}).hash == small.run().hash != run.hash


def test_lanes_of_one_stack_are_scored_on_their_own_test_images(store: Store) -> None:
    grey = replace(small.run(seed=2), data=Data(grey_scale=255))
    train([small.run(), grey], store, "tiny", Options(engine="eager", threads=1))
    shown = {r.run.seed: r.arrays("samples")["true"] for r in store.records("tiny")}
    alone = Store(store.root / "alone")
    train([grey], alone, "tiny", Options(engine="eager", threads=1))
    assert store.record("tiny", grey.id).env["stack_width"] == 2
    assert_array_equal(shown[2], alone.record("tiny", grey.id).arrays("samples")["true"])
    assert (shown[1] != shown[2]).any()
