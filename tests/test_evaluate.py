"""L_K in bounded memory, full-set batch-norm statistics, latents and reconstructions."""

import numpy as np
import pytest
import small
import torch
from reference import Reference
from torch import Tensor

from repro.model.layers import fold
from repro.train.evaluate import bounds, importance_bound, latents, reconstruct, statistics_pass


@pytest.mark.parametrize("rows", [64, 300, 100_000])
def test_importance_bound_does_not_depend_on_its_chunks(rows: int) -> None:
    net = small.net(small.run(batch_norm=False))
    x = small.bits()
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


@pytest.mark.parametrize("family", ["vae", "lvae"])
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


def test_lanes_without_batch_norm_keep_their_weights_when_folded() -> None:
    net = small.net(small.run(seed=1), small.run(seed=2, batch_norm=False))
    x, e = small.bits(2), small.eps(net)
    seen, _ = statistics_pass(net, x, lambda *_: torch.cat(e, -1))
    folded = small.infer(fold(net, seen), x, e)
    torch.testing.assert_close(
        folded.px.logit, small.infer(net, x, e).px.logit, rtol=1e-9, atol=1e-9
    )


def test_bounds_average_chunks_by_their_size() -> None:
    net, x = small.net(small.run(batch_norm=False)), small.bits()
    e = small.eps(net)

    def noise(_: str, i: int, shape: tuple[int, ...]) -> Tensor:
        return torch.cat(e, -1)[:, :, 5 * i : 5 * i + shape[2]]

    ours = bounds(net, x, noise, "test", 5)
    out = small.infer(net, x, e)
    for layer, log_q, log_p in zip(ours.kl, out.log_q, out.log_p, strict=True):
        torch.testing.assert_close(layer, (log_q - log_p).mean((1, 2)))
    assert ours.L1.shape == (1, small.BATCH)
    assert [z.shape for z in latents(net, x, noise)] == [z.shape for z in out.z]


def test_reconstruction_is_the_mean_given_the_posterior_sample() -> None:
    net, x = small.net(small.run(batch_norm=False)), small.bits()
    e = small.eps(net)
    ours = reconstruct(net, x, lambda *_: torch.cat(e, -1))
    torch.testing.assert_close(ours, torch.sigmoid(small.infer(net, x, e).px.logit))
