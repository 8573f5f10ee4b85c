"""What is measured of a trained Ladder network."""

import copy
import math
from typing import Any

import ladder_small as small
import numpy as np
import pytest
import torch

from repro.model import streams
from repro.model.ladder_network import LadderNet, cost, encode, predict, statistics
from repro.plan.run import Ladder, Run
from repro.store.sealed import Arrays
from repro.train.evaluate import Room
from repro.train.ladder_feed import shuffled, split_of
from repro.train.ladder_score import (
    LadderScore,
    combinator_curves,
    cost_names,
    grey,
    score_epoch,
    score_final,
)
from repro.train.log import LaneLog


def net_of(run: Run) -> LadderNet:
    return small.net(run.ladder, dtype=torch.float32)


def scored(run: Run, epoch: int = 1) -> LadderScore:
    return score_epoch(net_of(run), run, small.images(), epoch)


def written(score: LadderScore) -> dict[str, float | None]:
    lane = LaneLog(rows=[{}])
    score.write(lane, 1)
    return lane.rows[-1]


def test_images_are_classified_with_the_labelled_images_statistics() -> None:
    run, images = small.run(), small.images()
    told = split_of(run, images.train_labels).labelled
    x = grey(images.train[torch.from_numpy(told)], run)
    logits = predict(net_of(run), grey(images.test, run), statistics(net_of(run), [x], len(told)))
    assert scored(run).predicted.tolist() == logits[0].argmax(-1).tolist()


@pytest.mark.parametrize("rows", [1, 5, small.M])
def test_the_error_does_not_depend_on_the_size_of_chunks(rows: int) -> None:
    run, images = small.run(labels=85), small.images()
    images.room = Room(rows)
    ours = score_epoch(net_of(run), run, images, 1)
    assert ours.predicted.tolist() == scored(run).predicted.tolist()


@pytest.mark.parametrize("noise", [0.3, 0.0])
def test_the_test_set_s_own_statistics_are_not_used(noise: float) -> None:
    """Classified one by one, images get the class they get together, by a noiseless model too."""
    run, images = small.run(ladder=small.model(noise=(noise,) * 4)), small.images()
    together = scored(run).predicted
    for i in range(7):
        one = copy.copy(images)
        one.test, one.test_labels = images.test[i : i + 1], images.test_labels[i : i + 1]
        assert score_epoch(net_of(run), run, one, 1).predicted[0] == together[i]


def test_pixels_are_bytes_over_the_grey_scale() -> None:
    x = grey(torch.tensor([[0, 51, 255]], dtype=torch.uint8), small.run())
    torch.testing.assert_close(x, torch.tensor([[[0.0, 0.2, 1.0]]]))


def test_costs_are_means_over_minibatches() -> None:
    """Of three, each of all labelled images and the next rows of the pool, with its own noise."""
    run, images = small.run(), small.images()
    told, pool = (
        shuffled(rows, run.seed, "score/order", 1) for rows in split_of(run, images.train_labels)
    )
    y = torch.from_numpy(images.train_labels[told.numpy()].astype(np.int64)).unsqueeze(0)
    layers, costs = run.ladder.estimated, []
    for i in range(3):
        rows = torch.cat([told, pool[i * small.BATCH :][: small.BATCH]])
        shape = (1, len(rows), sum(small.SIZES))
        eps = torch.split(
            streams.normal(run.seed, "score/noise", 1, i, shape=shape), small.SIZES, -1
        )
        c = cost(net_of(run), grey(images.train[rows], run), y, eps, layers)
        costs.append([float(c.supervised), *(float(c.denoising[layer]) for layer in layers)])
    ours = scored(run)
    assert [ours.cross_entropy, *ours.denoising.values()] == pytest.approx(np.mean(costs, axis=0))


def test_costs_are_measured_with_noise_of_the_epoch() -> None:
    one, other = (written(scored(small.run(), epoch)) for epoch in (1, 2))
    assert one["error_percent"] == other["error_percent"]
    assert one["C_0"] != other["C_0"]
    assert one == written(scored(small.run()))


def test_scoring_leaves_the_parameters_alone() -> None:
    run = small.run()
    net = net_of(run)
    before = copy.deepcopy(net.params)
    score_epoch(net, run, small.images(), 1)
    assert all(torch.equal(before[n], p) for n, p in net.params.items())


@pytest.mark.parametrize("weights", [(300.0, 200.0, 50.0, 70.0), (3.0, 0.0, 0.0, 0.0)])
def test_costs_are_before_their_lambda_whether_or_not_there_is_one(weights: Any) -> None:
    other = small.run(ladder=small.model(cost_weights=weights))
    assert scored(other).denoising == scored(small.run()).denoising


@pytest.mark.parametrize(
    ("model", "estimated"), [(small.model(), 4), (small.top_only(), 1), (small.baseline(), 0)]
)
def test_a_record_has_a_cost_for_each_estimated_layer(model: Ladder, estimated: int) -> None:
    run = small.run(ladder=model)
    score = scored(run)
    assert score.finite
    assert score.cross_entropy > 0
    names = cost_names(3)[4 - estimated :]
    assert written(score).keys() == {"error_percent", "cross_entropy", *names}
    final, arrays = score_final(run, small.images(), score)
    assert [cost is not None and cost > 0 for cost in final["denoising"]] == [
        f"C_{i}" in names for i in range(4)
    ]
    learned = {name for name in arrays["combinators"] if name[0] == "g"}
    assert learned == {f"g{i}" for i in score.denoising}


@pytest.mark.parametrize("name", ["f1.W", "g0.a"])
def test_a_network_with_nan_is_not_finite(name: str) -> None:
    run = small.run()
    net = net_of(run)
    net.params[name].fill_(math.nan)
    assert not score_epoch(net, run, small.images(), 1).finite


def test_an_infinite_cross_entropy_is_not_finite() -> None:
    """The loop ends the lane of such a score, whatever its kind: `test_train.py`."""
    score = scored(small.run())
    assert score.finite
    score.cross_entropy = math.inf
    assert not score.finite


def test_the_clean_path_is_classified() -> None:
    """With the statistics of training the labelled images' logits are those of training."""
    run, images = small.run(ladder=small.model(test_var="biased")), small.images()
    told = torch.from_numpy(split_of(run, images.train_labels).labelled)
    images.test, images.test_labels = images.train[told], images.train_labels[told.numpy()]
    path = encode(net_of(run), grey(images.test, run), (len(told),))
    score = score_epoch(net_of(run), run, images, 1)
    assert score.predicted.tolist() == path.h[0].argmax(-1).tolist()


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


def curves(**fields: Any) -> Arrays:
    """Of combinators as training begins."""
    return combinator_curves(small.net(small.model(**fields), spread=0.0, dtype=torch.float32))


def test_a_combinator_is_saved_as_its_estimate_by_u_and_z() -> None:
    """The reversed beginning of g3 passes u on, the published one z."""
    forward = curves(combinator="g3")
    reverse = curves(combinator="g3", combinator_init="swapped")
    for q in range(3):
        for j, u in enumerate((-2, 0, 2)):
            assert forward["g1"][j, :, q] == pytest.approx(forward["z1"])
            assert reverse["g1"][j, :, q] == pytest.approx(np.full(len(forward["z1"]), u))


def test_a_combinator_s_spread_is_over_units() -> None:
    ladder = small.net(small.model(combinator="linear"), spread=0.0, dtype=torch.float32)
    ladder.params["g1.a"][0, 0] = torch.arange(13.0)  # the constant, by unit: quartiles 3, 6 and 9
    g, z = (combinator_curves(ladder)[n] for n in ("g1", "z1"))
    np.testing.assert_allclose(g[1] - z[:, None], np.tile([3.0, 6.0, 9.0], (len(z), 1)), atol=1e-5)


def test_a_combinator_without_lateral_input_is_flat_in_z() -> None:
    g = curves(combinator="sig", lateral=False)["g1"]
    assert (g == g[:, :1]).all()


def test_pixels_have_a_range_of_their_own() -> None:
    found = curves()
    assert (found["z0"][0], found["z0"][-1]) == (-0.5, 1.5)
    assert (found["z1"][0], found["z1"][-1]) == (-3, 3)
