"""L_K in bounded memory, full-set batch-norm statistics, latents and reconstructions."""

from __future__ import annotations

import numpy as np
import pytest
import small
import torch
from reference import Reference
from torch import Tensor

from repro.model.layers import fold
from repro.train.evaluate import bounds, importance_bound, latents, reconstruct, statistics_pass


def test_importance_bound_lies_above_the_lower_bound() -> None:
    net = small.net(small.run(batch_norm=False))
    x = small.bits()
    L_1 = bounds(net, x, small.noise(), "test").L1.mean()
    assert importance_bound(net, x, small.noise(), 500).LK.mean() > L_1


@pytest.mark.parametrize("rows", [64, 300, 100_000])
def test_importance_bound_does_not_depend_on_its_chunks(rows: int) -> None:
    net = small.net(small.run(batch_norm=False))
    x = small.bits()
    ours = importance_bound(net, x, small.noise(), 600, rows)
    other = importance_bound(net, x, small.noise(1), 600)
    error = (ours.var + other.var).sum().sqrt() / small.BATCH
    assert (ours.LK.mean() - other.LK.mean()).abs() < 4 * error


@pytest.mark.parametrize("samples", [5, 64, 1000])
def test_importance_bound_takes_as_many_samples_as_asked(samples: int) -> None:
    net = small.net(small.run(batch_norm=False))
    shapes: list[tuple[int, ...]] = []

    def noise(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
        shapes.append(shape)
        return small.noise()(purpose, i, shape)

    importance_bound(net, small.bits(B=3), noise, samples, rows=64 * 3)
    assert sum(S * B for _, S, B, _ in shapes) == 3 * samples


@pytest.mark.parametrize("rows", [64, 4096])
def test_importance_bound_holds_no_more_rows_than_allowed(rows: int) -> None:
    net = small.net(small.run(batch_norm=False))
    most = 0

    def noise(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
        nonlocal most
        most = max(most, shape[1] * shape[2])
        return small.noise()(purpose, i, shape)

    importance_bound(net, small.bits(B=200), noise, 150, rows)
    assert most <= rows


def test_importance_bound_scores_many_images_at_once() -> None:
    net = small.net(small.run(batch_norm=False))
    shapes: list[tuple[int, ...]] = []

    def noise(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
        shapes.append(shape)
        return small.noise()(purpose, i, shape)

    importance_bound(net, small.bits(B=128), noise, 500)
    assert {B for _, _, B, _ in shapes} == {64}


def test_no_chunk_draws_the_noise_of_another() -> None:
    net = small.net(small.run(batch_norm=False))
    names: list[int] = []

    def noise(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
        names.append(i)
        return small.noise()(purpose, i, shape)

    importance_bound(net, small.bits(), noise, 100, rows=64)
    assert len(names) == len(set(names)) >= 100


def test_evaluation_bound_has_beta_one_whatever_the_warm_up() -> None:
    net = small.net(small.run(warmup=100))
    x, e = small.bits(), small.eps(net)
    seen = statistics_pass(net, x, lambda *_: torch.cat(e, -1))[1]
    log_px, kl = Reference.of(net.model, net.params).terms(
        x[0].numpy(), [layer[0].numpy() for layer in e]
    )
    np.testing.assert_allclose(seen.L1[0].numpy(), log_px - sum(k.sum(1) for k in kl), rtol=1e-9)


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_statistics_are_those_of_one_full_batch(family: str) -> None:
    net = small.net(small.run(family))
    x, e = small.bits(B=89), small.eps(net, B=89)
    seen, _ = statistics_pass(net, x, lambda *_: torch.cat(e, -1))
    reference = Reference.of(net.model, net.params)
    reference.terms(x[0].numpy(), [layer[0].numpy() for layer in e])
    assert set(seen) == set(reference.moments)
    for name, (mean, var) in reference.moments.items():
        np.testing.assert_allclose(seen[name].mean[0, 0].numpy(), mean, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(seen[name].var[0, 0].numpy(), var, rtol=1e-9)


@pytest.mark.parametrize("family", ["vae", "lvae"])
@pytest.mark.parametrize("heads", [True, False], ids=["heads", "plain_heads"])
def test_folded_network_normalises_by_the_statistics(family: str, heads: bool) -> None:
    net = small.net(small.run(family, head_batch_norm=heads))
    x, e = small.bits(), small.eps(net)
    seen, _ = statistics_pass(net, x, lambda *_: torch.cat(e, -1))
    folded, unfolded = small.infer(fold(net, seen), x, e), small.infer(net, x, e)
    torch.testing.assert_close(folded.px.logit, unfolded.px.logit, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(folded.log_px, unfolded.log_px, rtol=1e-10, atol=1e-10)


def test_folded_network_treats_each_image_alone() -> None:
    net = small.net(small.run())
    seen, _ = statistics_pass(net, small.bits(B=89), small.noise())
    folded, x, e = fold(net, seen), small.bits(), small.eps(net)
    whole, part = small.infer(folded, x, e), small.infer(folded, x[:, :3], [n[:, :, :3] for n in e])
    torch.testing.assert_close(part.px.logit, whole.px.logit[:, :3])


def test_folding_leaves_the_trained_parameters_alone() -> None:
    net = small.net(small.run())
    before = {n: p.clone() for n, p in net.params.items()}
    fold(net, statistics_pass(net, small.bits(), small.noise())[0])
    assert all(torch.equal(net.params[n], p) for n, p in before.items())


def test_lanes_without_batch_norm_keep_their_weights_when_folded() -> None:
    net = small.net(small.run(seed=1), small.run(seed=2, batch_norm=False))
    x, e = small.bits(2), small.eps(net)
    seen, _ = statistics_pass(net, x, lambda *_: torch.cat(e, -1))
    folded = small.infer(fold(net, seen), x, e)
    torch.testing.assert_close(
        folded.px.logit, small.infer(net, x, e).px.logit, rtol=1e-9, atol=1e-9
    )


def test_bounds_average_chunks_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.train.evaluate.ROWS", 5)
    net, x = small.net(small.run(batch_norm=False)), small.bits()
    e = small.eps(net)

    def noise(_: str, i: int, shape: tuple[int, ...]) -> Tensor:
        return torch.cat(e, -1)[:, :, 5 * i : 5 * i + shape[2]]

    ours = bounds(net, x, noise, "test")
    out = small.infer(net, x, e)
    for layer, log_q, log_p in zip(ours.kl, out.log_q, out.log_p, strict=True):
        torch.testing.assert_close(layer, (log_q - log_p).mean((1, 2)))
    assert ours.L1.shape == (1, small.BATCH)


def test_latents_are_one_draw_for_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.train.evaluate.ROWS", 5)
    net = small.net(small.run(batch_norm=False))
    draws = latents(net, small.bits(), small.noise())
    assert [tuple(z.shape) for z in draws] == [(1, small.BATCH, z) for z in small.LATENTS]


def test_reconstruction_is_the_mean_given_the_posterior_sample() -> None:
    net, x = small.net(small.run(batch_norm=False)), small.bits()
    e = small.eps(net)
    ours = reconstruct(net, x, lambda *_: torch.cat(e, -1))
    torch.testing.assert_close(ours, torch.sigmoid(small.infer(net, x, e).px.logit))
