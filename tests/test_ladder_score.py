"""What is measured of a trained Ladder network and recorded of it."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import ladder_small as small
import numpy as np
import pytest
import torch
from small_training import OPTIONS, PROFILE, assert_same, interrupted, trained
from torch import Tensor

from repro.machine.local import train
from repro.model import streams
from repro.model.ladder_network import LadderNet, cost, predict, statistics
from repro.plan.run import Ladder, Run
from repro.store import Record, Store
from repro.train.evaluate import Room
from repro.train.ladder_feed import shuffled, split_of
from repro.train.ladder_score import LadderScore, combinator_curves, score_epoch, score_final
from repro.train.log import LaneLog
from repro.train.tasks import task_of


def net_of(run: Run) -> LadderNet:
    return small.net(run.ladder, dtype=torch.float32)


def scored(run: Run, epoch: int = 1) -> LadderScore:
    return score_epoch(net_of(run), run, small.images(), epoch)


def written(score: LadderScore) -> dict[str, float | None]:
    lane = LaneLog(rows=[{}])
    score.write(lane, 1)
    return lane.rows[-1]


def grey(images: Tensor) -> Tensor:
    return images.unsqueeze(0) / 255


def test_images_are_classified_with_the_labelled_images_statistics() -> None:
    run, images = small.run(), small.images()
    told = split_of(run, images.train_labels).labelled
    x = grey(images.train[torch.from_numpy(told)])
    logits = predict(net_of(run), grey(images.test), statistics(net_of(run), [x], len(told)))
    assert scored(run).predicted.tolist() == logits[0].argmax(-1).tolist()


@pytest.mark.parametrize("rows", [1, 5, small.M])
def test_the_error_does_not_depend_on_the_images_of_a_chunk(rows: int) -> None:
    run, images = small.run(labels=85), small.images()
    images.room = Room(rows)
    ours = score_epoch(net_of(run), run, images, 1)
    assert ours.predicted.tolist() == scored(run).predicted.tolist()


def test_costs_are_means_over_minibatches() -> None:
    """Of three, each of all labelled images and the next rows of the pool, with its own noise."""
    run, images = small.run(), small.images()
    told, pool = (
        shuffled(rows, run.seed, "score/order", 2) for rows in split_of(run, images.train_labels)
    )
    y = torch.from_numpy(images.train_labels[told.numpy()].astype(np.int64)).unsqueeze(0)
    layers, costs = run.ladder.estimated, []
    for i in range(3):
        rows = torch.cat([told, pool[i * small.BATCH :][: small.BATCH]])
        shape = (1, len(rows), sum(small.SIZES))
        eps = streams.normal(run.seed, "score/noise", 2, i, shape=shape).split(small.SIZES, -1)
        c = cost(net_of(run), grey(images.train[rows]), y, eps, layers)
        costs.append([float(c.supervised), *(float(c.denoising[layer]) for layer in layers)])
    ours = scored(run, epoch=2)
    assert [ours.cross_entropy, *ours.denoising.values()] == pytest.approx(np.mean(costs, axis=0))


def test_costs_are_measured_with_noise_of_the_epoch_and_nothing_is_changed() -> None:
    run = small.run()
    net = net_of(run)
    before = copy.deepcopy(net.params)
    one, other, again = (written(score_epoch(net, run, small.images(), e)) for e in (1, 2, 1))
    assert one["error_percent"] == other["error_percent"]
    assert one["C_0"] != other["C_0"]
    assert one == again
    assert all(torch.equal(before[n], p) for n, p in net.params.items())


@pytest.mark.parametrize("images", [1, 10**6])
def test_costs_are_of_one_minibatch_or_more_and_of_none_that_the_pool_lacks(images: int) -> None:
    run = small.run()
    every = replace(run, evaluation=replace(run.evaluation, train_images=None))
    asked = replace(run, evaluation=replace(run.evaluation, train_images=images))
    costs = scored(asked).denoising
    assert (costs == scored(every).denoising) == (images > 1)
    assert all(math.isfinite(c) for c in costs.values())


@pytest.mark.parametrize("weights", [(300.0, 200.0, 50.0, 70.0), (3.0, 0.0, 0.0, 0.0)])
def test_costs_are_before_their_lambda_whether_or_not_there_is_one(weights: Any) -> None:
    other = small.run(ladder=small.model(cost_weights=weights))
    assert scored(other).denoising == scored(small.run()).denoising


@pytest.mark.parametrize(
    ("model", "estimated"), [(small.model(), 4), (small.top_only(), 1), (small.baseline(), 0)]
)
def test_a_record_has_a_cost_for_each_estimated_layer(model: Ladder, estimated: int) -> None:
    run, layers = small.run(ladder=model), range(4)[4 - estimated :]
    score = scored(run)
    names = {f"C_{i}" for i in layers}
    assert written(score).keys() == {"error_percent", "cross_entropy", *names}
    final, arrays = score_final(run, small.images(), score)
    assert [i for i, c in enumerate(final["denoising"]) if c is not None and c > 0] == [*layers]
    assert {n for n in arrays["combinators"] if n[0] == "g"} == {f"g{i}" for i in layers}


def test_a_score_with_nan_or_infinity_is_not_finite() -> None:
    """The loop ends the lane of such a score, whatever its kind: `test_stack.py`."""
    run = small.run()
    for name in ("f1.W", "g0.a"):
        net = net_of(run)
        net.params[name].fill_(math.nan)
        assert not score_epoch(net, run, small.images(), 1).finite
    assert scored(run).finite


# What a record keeps


def test_a_record_counts_errors_and_keeps_predictions_and_labelled_images() -> None:
    run, images = small.run(), small.images()
    score = scored(run)
    final, arrays = score_final(run, images, score)
    p = float((score.predicted != images.test_labels).mean())
    assert (final["test_images"], final["labels"]) == (small.M, small.LABELS)
    assert final["errors"] == round(small.M * p)
    assert final["error_percent"] == pytest.approx(100 * p)
    assert final["error_se"] == pytest.approx(100 * (p * (1 - p) / small.M) ** 0.5)
    assert arrays["predictions"]["predicted"].tolist() == score.predicted.tolist()
    row, classes = arrays["labels"]["row"], arrays["labels"]["class"]
    assert set(row) == set(split_of(run, images.train_labels).labelled)
    assert classes.tolist() == images.train_labels[row].tolist()


def curves(constants: Tensor | None = None, **fields: Any) -> Any:
    """Of combinators as training begins; constants: by unit, of layer 1."""
    ladder = small.net(small.model(**fields), spread=0.0, dtype=torch.float32)
    if constants is not None:
        ladder.params["g1.a"][0, 0] = constants
    return combinator_curves(ladder)


def test_a_combinator_is_saved_as_its_estimate_by_u_and_z() -> None:
    """The reversed beginning of g3 passes u on, the published one z; pixels have another range."""
    forward = curves(combinator="g3")
    reverse = curves(combinator="g3", combinator_init="swapped")
    z = forward["z1"]
    assert [forward["z0"][i] for i in (0, -1)] == [-0.5, 1.5]
    assert [z[i] for i in (0, -1)] == [-3, 3]
    for q in range(3):
        for j, u in enumerate((-2, 0, 2)):
            assert forward["g1"][j, :, q] == pytest.approx(z)
            assert reverse["g1"][j, :, q] == pytest.approx(np.full(len(z), u))
    flat = curves(combinator="sig", lateral=False)["g1"]
    assert (flat == flat[:, :1]).all()


def test_a_combinator_s_spread_is_over_units() -> None:
    found = curves(torch.arange(13.0), combinator="linear")  # whose quartiles are 3, 6 and 9
    spread = found["g1"][1] - found["z1"][:, None]
    np.testing.assert_allclose(spread, np.tile([3.0, 6.0, 9.0], (len(spread), 1)), atol=1e-5)


# Training to a record


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("repro.data.load", small.raw)
    return Store(tmp_path / "runs")


def recorded(store: Store, run: Run) -> Record:
    train([run], store, PROFILE, OPTIONS)
    return store.record(PROFILE, run.id)


@pytest.mark.parametrize("model", small.VARIANTS)
def test_a_record_has_error_and_rate_of_every_epoch_and_the_last_one_s_model(store, model):
    record = recorded(store, small.run(ladder=model, decay_from=0.25))
    record.verify()
    curve, last, final = record.curve(), record.curve().iloc[-1], record.final
    assert curve["epoch"].tolist() == [1, 2]
    assert curve["error_percent"].notna().all()
    assert curve["lr"].tolist() == pytest.approx([2e-3, 2e-3 / 1.5])
    assert final["state"] == "done"
    assert final["error_percent"] == pytest.approx(last["error_percent"], rel=1e-6)
    costs = {i: cost for i, cost in enumerate(final["denoising"]) if cost is not None}
    assert costs == pytest.approx({i: last[f"C_{i}"] for i in model.estimated}, rel=1e-5)
    assert {"labels.npz", "predictions.npz", "combinators.npz"} < record.files
    assert len(record.arrays("labels")["row"]) == small.LABELS


def test_an_interrupted_training_continues_to_the_same_record(store, monkeypatch):
    runs = [small.run(seed, epochs=3) for seed in (1, 2)]
    whole = trained(store.root / "whole", runs, images=small.raw)
    for at in (1, small.STEPS, small.STEPS):  # in each epoch, at the end of the last
        interrupted(store, runs, monkeypatch, at)
    train(runs, store, PROFILE, OPTIONS)
    assert_same(store, whole, *runs)


def test_progress_says_cost_and_error() -> None:
    task = task_of(small.run())
    row = task.row(small.run(), 1, -3.25)
    assert task.progress([row]) == "cost 3.250"
    scored = {**row, "error_percent": 1.5}
    assert task.progress([scored, row]) == "cost 3.250, test error 1.50%"
