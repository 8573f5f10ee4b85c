"""What is measured of one trained lane."""

import copy
import json
import math

import numpy as np
import pytest
import small
import torch
from torch import Tensor

from repro.model.hierarchy import generate
from repro.model.layers import Net
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store.sealed import ACTIVE_NATS, PCA_STEPS
from repro.train.evaluate import bounds, importance_bound, latents
from repro.train.importance import weigh
from repro.train.score import (
    RIDGE,
    EpochScore,
    Images,
    class_share,
    known,
    linear_probe,
    noise_of,
    principal_components,
    score_epoch,
    score_final,
    trust,
)


def net_of(run: Run) -> Net:
    stack = Stack((run,))
    return stack.lane(small.params(stack, dtype=torch.float32), 0)


def scored(run: Run, epoch: int = 2) -> EpochScore:
    return score_epoch(net_of(run), run, small.images(), epoch)


@pytest.mark.parametrize("family", ["vae", "lvae"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_scoring_twice_gives_the_same_numbers(family: str, batch_norm: bool) -> None:
    run = small.run(family, batch_norm=batch_norm)
    first, again = scored(run), scored(run)
    assert first.L1_train == again.L1_train
    assert torch.equal(first.L1_test, again.L1_test)
    np.testing.assert_array_equal(first.kl_test, again.kl_test)


def test_scoring_leaves_the_parameters_alone() -> None:
    run = small.run()
    net = net_of(run)
    before = copy.deepcopy(net.params)
    score_epoch(net, run, small.images(), 1)
    assert all(torch.equal(before[n], p) for n, p in net.params.items())


def test_epochs_and_purposes_are_scored_with_noise_of_their_own() -> None:
    run = small.run()
    assert not torch.equal(scored(run, 1).L1_test, scored(run, 2).L1_test)
    noise = noise_of(run, 1, small.CPU)
    assert not torch.equal(noise("train", 0, (3, 5)), noise("test", 0, (3, 5)))


def test_test_images_are_scored_as_they_are_given() -> None:
    run = small.run(batch_norm=False)
    net = net_of(run)
    images = small.images()
    flipped = copy.copy(images)
    flipped.test = 1 - images.test
    ours, other = (score_epoch(net, run, i, 1).L1_test for i in (images, flipped))
    assert ((ours - other).abs() > 1e-3).all()


def test_train_bound_is_that_of_the_training_images() -> None:
    run = small.run(batch_norm=False)
    net = net_of(run)
    black = small.images()
    black.train = torch.zeros_like(black.train)
    x = torch.zeros(1, *black.train.shape)
    out = small.infer(net, x, eps_of(run, len(black.train)))
    kl = sum((q - p).sum(-1).mean() for q, p in zip(out.log_q, out.log_p, strict=True))
    ours = score_epoch(net, run, black, 1).L1_train
    assert ours == pytest.approx(float(out.log_px.mean() - kl), rel=1e-5)


def binarised(run: Run, images: Images, epoch: int, patch: pytest.MonkeyPatch) -> Tensor:
    """The training images that a score saw, [N, X]."""
    seen: list[Tensor] = []
    patch.setattr(
        "repro.train.score.bounds",
        lambda net, x, *rest: seen.append(x) or bounds(net, x[:, :5], *rest),
    )
    score_epoch(net_of(run), run, images, epoch)
    return seen[0][0]


def test_training_images_are_binarised_anew_by_their_grey_values(monkeypatch):
    run, images = small.run(batch_norm=False), small.images()
    images.train = torch.linspace(0, 255, 19).byte().repeat(20_000, 1)
    one, two = (binarised(run, images, epoch, monkeypatch) for epoch in (1, 2))
    p = images.train[0].double() / 256
    assert ((one.double().mean(0) - p).abs() <= 5 * (p * (1 - p) / 20_000).sqrt()).all()
    assert not torch.equal(one, two)


def eps_of(run: Run, B: int) -> list[Tensor]:
    draw = noise_of(run, 1, small.CPU)("train", 0, (1, 1, B, sum(small.LATENTS)))
    return list(torch.split(draw, list(small.LATENTS), -1))


def test_fewer_images_are_the_first_ones() -> None:
    all_of_them, some = (
        scored(small.run(batch_norm=False, evaluation={"test_images": n})) for n in (None, 41)
    )
    few = scored(small.run(batch_norm=False, evaluation={"test_images": 7}))
    assert torch.equal(all_of_them.L1_test, some.L1_test)
    assert few.L1_test.shape == (7,)


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_test_images_are_normalised_by_the_training_set_not_by_each_other(family: str) -> None:
    whole = scored(small.run(family))
    few = scored(small.run(family, evaluation={"test_images": 7}))
    torch.testing.assert_close(few.L1_test, whole.L1_test[:7], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_final_bound_of_many_samples_is_above_that_of_one(family: str) -> None:
    run = small.run(family, evaluation={"importance_samples": 200})
    final, _ = score_final(run, small.images(), scored(run))
    assert final["LK_test"] > final["L1_test"] + final["LK_mc_error"]


def test_a_record_s_metrics_and_arrays_are_of_the_images_and_samples_it_names() -> None:
    run, images = small.run(evaluation={"importance_samples": 9, "lk_images": 23}), small.images()
    last = scored(run)
    final, arrays = score_final(run, images, last)
    assert (final["K"], final["LK_images"]) == (9, 23)
    for name, n in (("L1", 41), ("LK", 23)):
        values = arrays["per_image"][name].astype(float)
        assert values.shape == (n,)
        assert final[f"{name}_test"] == pytest.approx(values.mean(), rel=1e-6)
        assert final[f"{name}_se"] == pytest.approx(values.std(ddof=1) / math.sqrt(n), rel=1e-5)
    noise, x = noise_of(run, 2, small.CPU), images.test[:23].float().unsqueeze(0)
    w = importance_bound(last.net, x, noise, 9)
    np.testing.assert_allclose(arrays["per_image"]["L1_of_LK"], w.L1[0], rtol=1e-6)
    for name, value in {
        "LK_jackknife_error": (w.var[0] / 23**2).sum().sqrt(),
        "LK_corrected": w.corrected[0].mean(),
        "L1_of_LK": w.L1[0].mean(),
        "LK_effective": w.effective[0].median(),
        "LK_largest": w.largest[0].median(),
    }.items():
        assert final[name] == pytest.approx(float(value), rel=1e-6), name
    curve = final["LK_curve"]
    assert curve["bound"] == pytest.approx(w.curve[0].mean(1).tolist())
    assert curve["se"] == pytest.approx((w.curve[0].std(1) / math.sqrt(23)).tolist(), rel=1e-5)
    samples, pca = arrays["samples"], arrays["pca"]
    np.testing.assert_array_equal(samples["true"], images.test.numpy() * 255)
    for name in ("true", "reconstruction", "prior"):
        assert (samples[name].shape, samples[name].dtype) == ((41, 19), np.uint8)
    eps = noise("prior", 0, (1, 41, sum(small.LATENTS)))
    prior = generate(last.net, torch.split(eps, list(small.LATENTS), -1))[0]
    np.testing.assert_allclose(samples["prior"], prior.numpy() * 255, atol=0.51)
    np.testing.assert_array_equal(pca["labels"], images.test_labels)
    for i, z in enumerate(latents(last.net, images.test.float().unsqueeze(0), noise), start=1):
        low, high = pca[f"low{i}"], pca[f"high{i}"]
        points = low + (high - low) * pca[f"z{i}"] / PCA_STEPS
        step = (high - low).max() / PCA_STEPS
        np.testing.assert_allclose(points, principal_components(z[0].double()), atol=step)
    probed = final["probe"], final["class_share"]
    assert all(len(of) == 3 and 0 <= min(of) <= max(of) <= 1 for of in probed)
    again = score_final(run, images, scored(run))[0]
    assert (again["probe"], again["class_share"]) == probed


def test_final_layers_sum_the_units_of_each() -> None:
    run = small.run()
    last = scored(run)
    last.kl_test = np.array([1, 2, 3, 4, 5, ACTIVE_NATS, -1, 2 * ACTIVE_NATS, 0, -2], np.float32)
    final, _ = score_final(run, small.images(), last)
    assert final["kl_layers"] == pytest.approx([15, 3 * ACTIVE_NATS - 1, -2])
    assert final["active_units"] == [5, 1, 0]
    assert final["negative_units"] == [0, 1, 1]


def test_principal_components_are_those_of_the_singular_value_decomposition() -> None:
    g = torch.Generator().manual_seed(0)
    z = torch.randn(97, 5, generator=g, dtype=torch.float64) * torch.tensor([1, 5, 2, 9, 3])
    points = principal_components(z)
    centred = z - z.mean(0)
    _, _, V = torch.linalg.svd(centred, full_matrices=False)
    torch.testing.assert_close(points.abs(), (centred @ V[:2].T).abs())
    assert points[:, 0].var() > points[:, 1].var()


def test_a_single_unit_has_no_second_component() -> None:
    z = torch.arange(7, dtype=torch.float64).view(7, 1)
    points = principal_components(z)
    torch.testing.assert_close(points[:, 0], z[:, 0] - 3)
    assert not points[:, 1].any()


def test_principal_components_do_not_depend_on_the_sign_of_the_solver() -> None:
    z = torch.randn(97, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centred = z - z.mean(0)
    loading = torch.linalg.lstsq(centred, principal_components(z)).solution
    assert (loading.gather(0, loading.abs().argmax(0, keepdim=True)) > 0).all()


def clusters(N: int = 301, Z: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Draws of correlated units, [N, Z], of three classes that begin at 4: they are no indices."""
    rng = np.random.default_rng(5)
    labels = rng.integers(4, 7, N).astype(np.uint8)
    centres, mixed = rng.standard_normal((10, Z)), rng.standard_normal((Z, Z))
    return (2 * centres[labels] + rng.standard_normal((N, Z))) @ mixed, labels


def test_the_probe_is_a_ridge_regression_to_one_hot_classes() -> None:
    z, labels = clusters()
    y = (labels[:, None] == np.unique(labels)).astype(float)
    Z, Y = z[::2] - z[::2].mean(0), y[::2] - y[::2].mean(0)
    W = np.linalg.inv(Z.T @ Z + RIDGE * np.eye(3)) @ Z.T @ Y
    predicted = ((z[1::2] - z[::2].mean(0)) @ W + y[::2].mean(0)).argmax(1)
    expected = float((np.unique(labels)[predicted] == labels[1::2]).mean())
    assert 0.5 < expected < 1
    assert linear_probe(torch.from_numpy(z), labels) == pytest.approx(expected)


def test_the_class_share_is_the_mean_over_whitened_directions() -> None:
    z, labels = clusters()
    centred = z - z.mean(0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    white = centred @ axes / np.sqrt(values)  # each direction has a sum of squares of 1
    between = [np.sum(labels == c) * white[labels == c].mean(0) ** 2 for c in np.unique(labels)]
    expected = float(np.sum(between, axis=0).mean())
    assert 0.1 < expected < 0.9
    assert class_share(torch.from_numpy(z), labels) == pytest.approx(expected, rel=1e-2)


def test_classes_do_not_depend_on_the_axes_or_scale_of_a_layer() -> None:
    z, labels = clusters()
    turned = z @ np.random.default_rng(6).standard_normal((3, 3)) * 100 + 7
    for of in (linear_probe, class_share):
        a, b = (of(torch.from_numpy(x), labels) for x in (z, turned))
        assert a == pytest.approx(b, rel=1e-2)


@pytest.mark.parametrize("labels", [np.arange(41) // 2 % 10, np.zeros(41, np.uint8)])
def test_a_layer_that_holds_nothing_tells_no_classes(labels: np.ndarray) -> None:
    z = torch.full((41, 2), 3.0)
    assert class_share(z, labels) == 0
    assert linear_probe(z, labels) == pytest.approx(1 / len(np.unique(labels)), abs=0.05)


@pytest.mark.parametrize("where", ["L1_train", "L1_test"])
def test_a_score_with_nan_is_not_finite(where: str) -> None:
    s = scored(small.run())
    assert s.finite
    setattr(s, where, torch.full((3,), math.nan) if where == "L1_test" else math.nan)
    assert not s.finite


def test_images_of_a_heavy_tail_are_counted() -> None:
    """Shapes of 0.5, 0.69, 0.71 and 2, and one that is not known."""
    w = weigh(torch.zeros(1, 6, 5))
    w = w._replace(shape=torch.tensor([[0.5, 2.0, math.nan, 0.71, 0.69]]))
    said = trust(w, 6)
    assert (said["LK_khat"], said["LK_untrusted"]) == (pytest.approx(0.69), 0.5)


def test_a_weight_of_minus_infinity_leaves_what_json_can_hold() -> None:
    log_w = torch.zeros(1, 6, 5)
    log_w[0, 2, 3] = -math.inf
    said = known(trust(weigh(log_w), 6))
    assert said["LK_curve"]["bound"][0] is None  # L_1 of that image
    assert math.isfinite(said["LK_curve"]["bound"][-1])
    json.dumps(said, allow_nan=False)
