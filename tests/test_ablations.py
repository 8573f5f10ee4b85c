"""Ablations: Runs that differ from the default in one choice; what it computes, and its row."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small
import torch
from check_records import made, of_images, stored
from numpy.testing import assert_array_equal

from repro.errors import UsageError
from repro.judge import ablations as judged
from repro.judge.evidence import books
from repro.machine.local import train
from repro.machine.work import Options
from repro.model.layers import fold
from repro.model.stack import Stack, pack
from repro.plan import profiles
from repro.plan.experiments import EXPERIMENTS, label_of, replicates
from repro.plan.experiments.ablations import CHOICES, DEFAULT, OF_VAES, base_of, cell
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import PROFILES, profile, runs
from repro.plan.run import Data, to_dict
from repro.show import results
from repro.show.scripts import load as script
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


# The table: what each choice does, beside the default

CHOICE, ROW_DEFAULT, INSTEAD, L1, DL1, EL1, LK, DLK, ELK, ACTIVE, SEEDS, NOTE = range(12)

IMAGES = np.array([-80.0, -90.0, -100.0, -110.0], np.float32)
CHANGED = IMAGES + np.array([1.0, 1.0, 2.0, 2.0], np.float32)  # mean 1.5, sd 0.577


def write(
    store: Store, name: str | Cell, l1: Any, seed: int = 1, curve: pd.DataFrame | None = None
) -> None:
    """A record whose bounds on each image are `l1`, and `l1` + 3 for L_K; "": of the default."""
    own = name if isinstance(name, Cell) else cell(name) if name else DEFAULT
    final = {"L1_test": float(l1.mean()), "LK_test": float(l1.mean()) + 3}
    final |= {"active_units": [9, 8, 7, 6, 5], **of_images(L1=l1, LK=l1 + 3)}
    stored(store.root, made(own, "quick", seed, curve=curve, **final))


def again(store: Store, shifts: dict[str, tuple[float, ...]]) -> None:
    """Seeds 1, 2, ... of the default ("") and of choices, shifted by so many nats."""
    for name, values in shifts.items():
        for seed, shift in enumerate(values, start=1):
            write(store, name, IMAGES + np.float32(shift), seed)


def build(store: Store) -> Any:
    return script("tables", "ablations").build(store, "quick")


def row(table: Any, name: str = "no_clip") -> tuple[str, ...]:
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


def test_changes_are_paired_image_by_image_and_by_seed(store: Store) -> None:
    """The default's second seed is left out until the ablation has it; then both are averaged."""
    write(store, "no_clip", CHANGED)
    alone = build(store)
    assert row(alone)[L1:LK] == ("-93.50", "", "")
    assert "no spread over trainings" in alone.caption
    assert f"1 of {len(CHOICES) + 2} choices were run" in alone.caption
    write(store, "", IMAGES)
    table = build(store)
    assert table.rows[0][CHOICE] == "all as the default"
    assert table.rows[0][L1:LK] == ("-95.00", "", "")
    assert table.rows[0][ACTIVE] == "9-8-7-6-5"
    assert row(table)[L1:LK] == ("-93.50", "+1.50", "0.29")  # 0.577 / 2
    assert row(table)[LK:ACTIVE] == ("-90.50", "+1.50", "0.29")
    assert row(table)[NOTE] == "one training: noise unknown"
    write(store, "", IMAGES - 50, seed=2)
    assert row(build(store))[DL1] == "+1.50"
    write(store, "no_clip", CHANGED - np.float32(49), seed=2)
    assert (row(build(store))[DL1], row(build(store))[SEEDS]) == ("+2.00", "2")


def test_a_vae_is_held_against_itself(store: Store) -> None:
    write(store, "", IMAGES - 50)
    write(store, base_of(OF_VAES[0]), IMAGES)
    write(store, OF_VAES[0], CHANGED)
    rows = {r[CHOICE]: r for r in build(store).rows}
    assert rows["all as the default (VAE+BN)"][L1] == "-95.00"
    found = rows["batch norm (VAE+BN)"]
    assert (found[INSTEAD], found[L1], found[DL1]) == ("hidden layers", "-93.50", "+1.50")


def test_published_results_show_ablations_where_they_ran_and_count_them_apart(store: Store) -> None:
    write(store, "", IMAGES)
    assert "**Ablations" not in results.page(store, QUICK)
    write(store, "no_clip", CHANGED)
    page = results.page(store, QUICK)
    assert "**Ablations" in page
    assert "1 of 4 configurations in 1 Run, 1 more on request, 1 seed each," in page


@pytest.mark.parametrize(
    ("shift", "words"), [(6.0, "inside the noise"), (6.5, "higher"), (-6.5, "lower")]
)
def test_a_change_is_held_against_the_noise_of_the_default(store, shift, words):
    """The default's seeds -0.5, 0, 0.5: sd 0.5, which one training of the choice borrows.

    Over two rows of two that is sqrt(2) x 0.5 x 8.9. A choice without batch norm borrows none.
    """
    again(store, {"": (-0.5, 0.0, 0.5), "no_clip": (-0.5 + shift,), "no_bn": (0.0,)})
    table = build(store)
    assert (row(table)[NOTE], row(table)[DL1]) == (words, f"{shift:+.2f}")
    assert row(table)[EL1] == "0.71"  # sqrt(2) x 0.5: of training both again; over images none here
    assert row(table, "no_bn")[NOTE] == "one training: noise unknown"
    assert "but where the note says that it is unknown" in table.caption
    assert "Student's t at 2 degrees" in table.caption


def test_words_are_corrected_for_the_number_of_rows_that_ran(store: Store) -> None:
    """Three seeds: t of two degrees of freedom at 5% in two tails, over 1 or 3 rows of two."""
    again(store, {"": (0.0, 0.0, 0.0), "no_clip": (0.75, 1.0, 1.25)})  # t = 6.9
    assert row(build(store))[NOTE] == "higher"  # 6.2
    assert "(Bonferroni over 2 tests; Student's t at 2 degrees" in build(store).caption
    again(store, dict.fromkeys(("no_head_bn", "no_bn", "grey255"), (0.0,) * 3))
    table = build(store)
    assert row(table)[NOTE] == "inside the noise"  # 10.9
    assert "(Bonferroni over 6 tests;" in table.caption  # other data are not judged


def test_one_training_that_is_scored_otherwise_has_no_noise_of_training(store: Store) -> None:
    """A change of 0.1 that no two trainings could show, as one model on the same images does."""
    curve = pd.DataFrame({"epoch": [1, 2], "L1_train_running": [-120.0, -99.0]})
    again(store, {"": (-0.5, 0.0, 0.5)})
    write(store, "batch_stats", IMAGES - np.float32(0.4), curve=curve)
    assert row(build(store), "batch_stats")[DL1:LK] == ("+0.10", "0.71")
    write(store, "", IMAGES - np.float32(0.5), curve=curve)
    found = row(build(store), "batch_stats")
    assert (found[DL1], found[EL1], found[NOTE]) == ("+0.10", "0.0000", "higher")
    assert "but not of one training that is scored otherwise" in build(store).caption


def test_a_change_without_a_shared_seed_has_its_error_over_images(store: Store) -> None:
    write(store, "", IMAGES)
    write(store, "no_clip", CHANGED, seed=2)
    (change,) = judged.changes(books(store, "quick"), [cell("no_clip")], "L1_test").values()
    assert (change.over_images > 0, change.outcome) == (True, judged.UNKNOWN)
