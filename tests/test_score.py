"""What is measured of trained lanes: bounds in bounded memory, full-set statistics, the record."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import small
import torch
from reference import Reference
from torch import Tensor

from repro.model.hierarchy import generate
from repro.model.layers import Net, fold
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store.sealed import ACTIVE_NATS, PCA_STEPS
from repro.train import score
from repro.train.evaluate import bounds, importance_bound, latents, reconstruct, statistics_pass
from repro.train.importance import weigh
from repro.train.score import EpochScore, noise_of, score_epoch, score_final

FAMILIES = pytest.mark.parametrize("family", ["vae", "lvae"])


# Bounds


@pytest.mark.parametrize("rows", [64, 300, 100_000])
def test_importance_bound_does_not_depend_on_its_chunks(rows: int) -> None:
    net, x = small.net(small.run(batch_norm=False)), small.bits()
    ours = importance_bound(net, x, small.noise(), 600, rows)
    other = importance_bound(net, x, small.noise(1), 600)
    error = (ours.var + other.var).sum().sqrt() / small.BATCH
    assert (ours.LK.mean() - other.LK.mean()).abs() < 4 * error


@pytest.mark.parametrize(
    ("B", "samples", "rows", "at_once"),
    [(3, 5, 192, 3), (200, 150, 64, 1), (3, 1000, 192, 3), (128, 500, 4096, 64)],
)
def test_a_chunk_has_noise_of_its_own_and_no_more_rows_than_allowed(B, samples, rows, at_once):
    """Between them chunks take all images and samples; at_once: images or samples of the first."""
    net = small.net(small.run(batch_norm=False))
    chunks: dict[int, tuple[int, int]] = {}

    def noise(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
        assert i not in chunks
        chunks[i] = shape[1], shape[2]
        return small.noise()(purpose, i, shape)

    assert importance_bound(net, small.bits(B=B), noise, samples, rows).LK.shape == (1, B)
    assert sum(S * b for S, b in chunks.values()) == samples * B
    assert max(S * b for S, b in chunks.values()) <= rows
    assert at_once in chunks[0]


def test_bounds_average_chunks_by_their_size_and_a_reconstruction_is_the_mean() -> None:
    net, x = small.net(small.run(batch_norm=False)), small.bits()
    e = small.eps(net)

    def noise(_: str, i: int, shape: tuple[int, ...]) -> Tensor:
        return torch.cat(e, -1)[:, :, 5 * i : 5 * i + shape[2]]

    ours, out = bounds(net, x, noise, "test", 5), small.infer(net, x, e)
    for layer, log_q, log_p in zip(ours.kl, out.log_q, out.log_p, strict=True):
        torch.testing.assert_close(layer, (log_q - log_p).mean((1, 2)))
    assert ours.L1.shape == (1, small.BATCH)
    assert [z.shape for z in latents(net, x, noise)] == [z.shape for z in out.z]
    torch.testing.assert_close(reconstruct(net, x, noise), torch.sigmoid(out.px.logit))


# Statistics of the full set


@FAMILIES
def test_statistics_are_those_of_one_full_batch(family: str) -> None:
    """Its bound has beta = 1, whatever the warm-up."""
    net = small.net(small.run(family, warmup=100))
    x, e = small.bits(B=89), small.eps(net, B=89)
    seen, found = statistics_pass(net, x, lambda *_: torch.cat(e, -1))
    reference = Reference.of(net.model, net.params)
    log_px, kl = reference.terms(x[0].numpy(), [layer[0].numpy() for layer in e])
    np.testing.assert_allclose(found.L1[0].numpy(), log_px - sum(k.sum(1) for k in kl), rtol=1e-9)
    assert set(seen) == set(reference.moments)
    for name, (mean, var) in reference.moments.items():
        np.testing.assert_allclose(seen[name].mean[0, 0].numpy(), mean, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(seen[name].var[0, 0].numpy(), var, rtol=1e-9)


@pytest.mark.parametrize(
    "lanes",
    [
        *([small.run(family, head_batch_norm=on)] for family in ("vae", "lvae") for on in (1, 0)),
        [small.run(), small.run(seed=2, batch_norm=False)],
    ],
)
def test_a_folded_network_normalises_by_the_statistics_and_treats_each_image_alone(lanes):
    net, K = small.net(*lanes), len(lanes)
    x, e = small.bits(K), small.eps(net)
    seen, _ = statistics_pass(net, x, lambda *_: torch.cat(e, -1))
    folded, unfolded = small.infer(fold(net, seen), x, e), small.infer(net, x, e)
    torch.testing.assert_close(folded.px.logit, unfolded.px.logit, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(folded.log_px, unfolded.log_px, rtol=1e-10, atol=1e-10)
    part = small.infer(fold(net, seen), x[:, :3], [n[:, :, :3] for n in e])
    torch.testing.assert_close(part.px.logit, folded.px.logit[:, :3])


# An epoch's score


def net_of(run: Run) -> Net:
    stack = Stack((run,))
    return stack.lane(small.params(stack, dtype=torch.float32), 0)


def scored(run: Run, epoch: int = 2) -> EpochScore:
    return score_epoch(net_of(run), run, small.images(), epoch)


@FAMILIES
@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_score_is_that_of_its_epoch_and_changes_nothing(family: str, batch_norm: bool) -> None:
    run = small.run(family, batch_norm=batch_norm)
    net = net_of(run)
    before = copy.deepcopy(net.params)
    first, again, later = (score_epoch(net, run, small.images(), epoch) for epoch in (1, 1, 2))
    assert first.L1_train == again.L1_train
    assert torch.equal(first.L1_test, again.L1_test)
    np.testing.assert_array_equal(first.kl_test, again.kl_test)
    assert not torch.equal(first.L1_test, later.L1_test)
    assert all(torch.equal(before[n], p) for n, p in net.params.items())


def test_training_images_are_binarised_anew_in_every_epoch() -> None:
    """By their grey values, as `test_feed.py` holds."""
    run, images = small.run(batch_norm=False), small.images()
    one, two = (score._training_set(run, images.train, epoch) for epoch in (1, 2))
    assert set(one.unique().tolist()) == {0, 1}
    assert not torch.equal(one, two)
    noise = noise_of(run, 1, small.CPU)
    expected = bounds(net_of(run), one, noise, "train").L1.mean()
    assert scored(run, 1).L1_train == pytest.approx(float(expected), rel=1e-5)
    assert not torch.equal(noise("train", 0, (3, 5)), noise("test", 0, (3, 5)))


@FAMILIES
def test_fewer_images_are_the_first_ones_with_statistics_of_the_training_set(family: str) -> None:
    whole = scored(small.run(family))
    few = scored(small.run(family, evaluation={"test_images": 7}))
    torch.testing.assert_close(few.L1_test, whole.L1_test[:7], rtol=1e-4, atol=1e-4)


def test_a_score_with_nan_is_not_finite() -> None:
    s = scored(small.run())
    bad = replace(s, L1_train=math.nan), replace(s, L1_test=torch.full((3,), math.nan))
    assert [of.finite for of in (s, *bad)] == [True, False, False]


# What a record keeps


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
    noise, x = noise_of(run, 2, small.CPU), images.test.float().unsqueeze(0)
    w = importance_bound(last.net, x[:, :23], noise, 9)
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
    for i, z in enumerate(latents(last.net, x, noise), start=1):
        low, high = pca[f"low{i}"], pca[f"high{i}"]
        points = low + (high - low) * pca[f"z{i}"] / PCA_STEPS
        step = (high - low).max() / PCA_STEPS
        np.testing.assert_allclose(points, score.principal_components(z[0].double()), atol=step)
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


def test_heavy_tails_are_counted_and_a_weight_of_nothing_leaves_what_json_can_hold() -> None:
    """Shapes of 0.5, 0.69, 0.71 and 2, and one that is not known."""
    log_w = torch.zeros(1, 6, 5)
    w = weigh(log_w)._replace(shape=torch.tensor([[0.5, 2.0, math.nan, 0.71, 0.69]]))
    said = score.trust(w, 6)
    assert (said["LK_khat"], said["LK_untrusted"]) == (pytest.approx(0.69), 0.5)
    log_w[0, 2, 3] = -math.inf
    said = score.known(score.trust(weigh(log_w), 6))
    assert said["LK_curve"]["bound"][0] is None  # L_1 of that image
    assert math.isfinite(said["LK_curve"]["bound"][-1])
    json.dumps(said, allow_nan=False)


# Principal components and classes


@pytest.mark.parametrize("seed", range(6))
def test_principal_components_are_those_of_the_singular_values_with_a_sign_of_their_own(seed):
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(97, 5, generator=g, dtype=torch.float64) * torch.tensor([1, 5, 2, 9, 3])
    points, centred = score.principal_components(z), z - z.mean(0)
    _, _, V = torch.linalg.svd(centred, full_matrices=False)
    torch.testing.assert_close(points.abs(), (centred @ V[:2].T).abs())
    loading = torch.linalg.lstsq(centred, points).solution
    assert (loading.gather(0, loading.abs().argmax(0, keepdim=True)) > 0).all()
    alone = score.principal_components(z[:, :1])
    torch.testing.assert_close(alone, torch.stack([centred[:, 0], torch.zeros(97).double()], 1))


def clusters() -> tuple[np.ndarray, np.ndarray]:
    """Draws of correlated units, [N, Z], of three classes that begin at 4: they are no indices.

    Their mean is far from 0, so that a fit needs its intercept.
    """
    rng, N, Z = np.random.default_rng(5), 301, 3
    labels = rng.integers(4, 7, N).astype(np.uint8)
    centres, mixed = rng.standard_normal((10, Z)), rng.standard_normal((Z, Z))
    return (2 * centres[labels] + rng.standard_normal((N, Z))) @ mixed + 99, labels


def test_the_probe_is_a_ridge_regression_to_one_hot_classes() -> None:
    z, labels = clusters()
    y = (labels[:, None] == np.unique(labels)).astype(float)
    Z, Y = z[::2] - z[::2].mean(0), y[::2] - y[::2].mean(0)
    W = np.linalg.inv(Z.T @ Z + score.RIDGE * np.eye(3)) @ Z.T @ Y
    predicted = ((z[1::2] - z[::2].mean(0)) @ W + y[::2].mean(0)).argmax(1)
    expected = float((np.unique(labels)[predicted] == labels[1::2]).mean())
    assert 0.5 < expected < 1
    assert score.linear_probe(torch.from_numpy(z), labels) == pytest.approx(expected)


def test_the_class_share_is_the_mean_over_whitened_directions() -> None:
    z, labels = clusters()
    centred = z - z.mean(0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    white = centred @ axes / np.sqrt(values)  # each direction has a sum of squares of 1
    between = [np.sum(labels == c) * white[labels == c].mean(0) ** 2 for c in np.unique(labels)]
    expected = float(np.sum(between, axis=0).mean())
    assert 0.1 < expected < 0.9
    assert score.class_share(torch.from_numpy(z), labels) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("labels", [np.arange(41) // 2 % 10, np.zeros(41, np.uint8)])
def test_a_layer_that_holds_nothing_tells_no_classes(labels: np.ndarray) -> None:
    z = torch.full((41, 2), 3.0)
    assert score.class_share(z, labels) == 0
    assert score.linear_probe(z, labels) == pytest.approx(1 / len(np.unique(labels)), abs=0.05)
