"""What is measured of a trained Ladder network."""

from __future__ import annotations

import copy
import math
from typing import Any

import ladder_small as small
import numpy as np
import pytest
import torch

from repro.model.ladder_network import LadderNet, encode, predict, statistics
from repro.plan.run import Run
from repro.store.sealed import Arrays
from repro.train.evaluate import Room
from repro.train.ladder_feed import split_of
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
    ladder = small.net(run.ladder)
    return LadderNet(run.ladder, {n: p.float() for n, p in ladder.params.items()})


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


def test_the_error_is_over_all_test_images() -> None:
    score = scored(small.run())
    wrong = score.predicted != small.images().test_labels
    assert len(score.predicted) == small.M
    assert score.error_percent == pytest.approx(100 * wrong.mean())


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


def test_scoring_twice_gives_the_same_numbers() -> None:
    assert written(scored(small.run())) == written(scored(small.run()))


def test_costs_are_measured_with_noise_of_the_epoch() -> None:
    one, other = (written(scored(small.run(), epoch)) for epoch in (1, 2))
    assert one["error_percent"] == other["error_percent"]
    assert one["C_0"] != other["C_0"]


def test_scoring_leaves_the_parameters_alone() -> None:
    run = small.run()
    net = net_of(run)
    before = copy.deepcopy(net.params)
    score_epoch(net, run, small.images(), 1)
    assert all(torch.equal(before[n], p) for n, p in net.params.items())


def test_costs_are_before_their_lambda() -> None:
    heavy = small.run(ladder=small.model(cost_weights=(300.0, 200.0, 50.0, 70.0)))
    assert scored(heavy).denoising == scored(small.run()).denoising


def test_costs_without_a_lambda_are_measured_as_well() -> None:
    bottom = small.run(ladder=small.model(cost_weights=(3.0, 0.0, 0.0, 0.0)))
    assert scored(bottom).denoising == scored(small.run()).denoising


def test_the_curve_has_a_column_for_each_layer() -> None:
    assert written(scored(small.run())).keys() == {
        *("error_percent", "cross_entropy"),
        *("C_0", "C_1", "C_2", "C_3"),
    }
    assert cost_names(3) == ["C_0", "C_1", "C_2", "C_3"]


def test_the_gamma_model_has_a_cost_at_the_top_alone() -> None:
    assert scored(small.run(ladder=small.top_only())).denoising.keys() == {3}


def test_the_baseline_has_a_cross_entropy_alone() -> None:
    score = scored(small.run(ladder=small.baseline()))
    assert score.denoising == {}
    assert score.cross_entropy > 0


@pytest.mark.parametrize("name", ["f1.W", "g0.a"])
def test_a_network_with_nan_is_not_finite(name: str) -> None:
    run = small.run()
    net = net_of(run)
    net.params[name].fill_(math.nan)
    assert not score_epoch(net, run, small.images(), 1).finite


def test_a_healthy_network_is_finite() -> None:
    assert scored(small.run()).finite


def test_the_clean_path_is_classified() -> None:
    """With the statistics of training the labelled images' logits are those of training."""
    run, images = small.run(ladder=small.model(test_var="biased")), small.images()
    told = torch.from_numpy(split_of(run, images.train_labels).labelled)
    images.test, images.test_labels = images.train[told], images.train_labels[told.numpy()]
    path = encode(net_of(run), grey(images.test, run), (len(told),))
    score = score_epoch(net_of(run), run, images, 1)
    assert score.predicted.tolist() == path.h[0].argmax(-1).tolist()


# What a record keeps


def test_final_metrics_count_errors_and_their_spread_over_images() -> None:
    run, score = small.run(), scored(small.run())
    final, _ = score_final(run, small.images(), score)
    p = final["errors"] / small.M
    assert (final["test_images"], final["labels"]) == (small.M, small.LABELS)
    assert final["error_percent"] == pytest.approx(100 * p)
    assert final["error_se"] == pytest.approx(100 * (p * (1 - p) / small.M) ** 0.5)


def test_final_costs_stand_at_their_layer() -> None:
    run = small.run(ladder=small.top_only())
    final, _ = score_final(run, small.images(), scored(run))
    assert final["denoising"][:3] == [None] * 3
    assert final["denoising"][3] > 0


def test_the_labelled_images_are_saved_with_their_classes() -> None:
    run, images = small.run(), small.images()
    _, arrays = score_final(run, images, scored(run))
    row, classes = arrays["labels"]["row"], arrays["labels"]["class"]
    assert set(row) == set(split_of(run, images.train_labels).labelled)
    assert classes.tolist() == images.train_labels[row].tolist()
    assert np.bincount(classes).tolist() == [3] * 5


def test_predictions_are_saved() -> None:
    run, score = small.run(), scored(small.run())
    _, arrays = score_final(run, small.images(), score)
    assert arrays["predictions"]["predicted"].tolist() == score.predicted.tolist()


def curves(**fields: Any) -> Arrays:
    """Of combinators as training begins."""
    ladder = small.net(small.model(**fields), spread=0.0)
    single = {n: p.float() for n, p in ladder.params.items()}
    return combinator_curves(LadderNet(ladder.model, single))


def test_learned_combinators_are_saved_for_every_layer() -> None:
    run = small.run()
    _, arrays = score_final(run, small.images(), scored(run))
    assert {n for n in arrays["combinators"] if n[0] == "g"} == {"g0", "g1", "g2", "g3"}


def test_a_combinator_is_saved_as_its_estimate_by_u_and_z() -> None:
    """The reversed beginning of g3 passes u on, the published one z."""
    forward = curves(combinator="g3")
    reverse = curves(combinator="g3", combinator_init="swapped")
    for q in range(3):
        for j, u in enumerate((-2, 0, 2)):
            assert forward["g1"][j, :, q] == pytest.approx(forward["z1"])
            assert reverse["g1"][j, :, q] == pytest.approx(np.full(len(forward["z1"]), u))


def test_a_combinator_s_spread_is_over_units() -> None:
    ladder = small.net(small.model(combinator="linear"), spread=0.0)
    params = {n: p.float() for n, p in ladder.params.items()}
    params["g1.a"][0, 0] = torch.arange(13.0)  # the constant, by unit: quartiles 3, 6 and 9
    g, z = (combinator_curves(LadderNet(ladder.model, params))[n] for n in ("g1", "z1"))
    np.testing.assert_allclose(g[1] - z[:, None], np.tile([3.0, 6.0, 9.0], (len(z), 1)), atol=1e-5)


def test_a_combinator_without_lateral_input_is_flat_in_z() -> None:
    g = curves(combinator="sig", lateral=False)["g1"]
    assert (g == g[:, :1]).all()


def test_pixels_have_a_range_of_their_own() -> None:
    found = curves()
    assert (found["z0"][0], found["z0"][-1]) == (-0.5, 1.5)
    assert (found["z1"][0], found["z1"][-1]) == (-3, 3)
