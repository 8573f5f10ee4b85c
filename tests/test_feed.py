"""Minibatches: order, binarisation, noise, beta; the same draws in every stack."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import ladder_small
import numpy as np
import pytest
import small
import torch
from small import assert_equal, epoch_of, flat

from repro.model import streams
from repro.model.stack import Stack
from repro.plan.run import Data, Run
from repro.train.feed import Feed
from repro.train.ladder_feed import LadderFeed
from repro.train.minibatch import BLOCK, Batches
from repro.train.score import Images


def feed_of(*runs: Run, images: np.ndarray | None = None) -> Feed:
    return Feed(Stack(runs), torch.from_numpy(small.grey() if images is None else images))


def rows_of(feed: Feed, epoch: int = 1) -> list[int]:
    """Which images an epoch shows, in order; `feed` holds `numbered` images."""
    x = torch.cat([b.x[0] for b in epoch_of(feed, epoch)])
    place = 2 ** torch.arange(x.shape[1])
    return (x * place).sum(1).tolist()


def numbered(n: int, bits: int = 11) -> np.ndarray:
    """Black-and-white images that spell their own row number, certain at byte / 255."""
    return (((np.arange(n)[:, None] >> np.arange(bits)) & 1) * 255).astype(np.uint8)


def certain(**fields: Any) -> Run:
    """A Run at grey scale 255, where white is 1 with certainty."""
    return replace(small.run(**fields), data=Data(grey_scale=255))


N = 31 * small.BATCH + 4  # more steps than one block


def test_an_epoch_shows_all_images_but_an_incomplete_minibatch_shuffled_and_once() -> None:
    feed = feed_of(certain(), images=numbered(N))
    rows = rows_of(feed)
    assert len(set(rows)) == len(rows) == N - 4
    assert set(rows) < set(range(N))
    assert rows != sorted(rows)
    assert set(rows) != set(rows_of(feed, 2)), "others are dropped"


def test_mnist_has_234_steps_in_an_epoch() -> None:
    images = torch.zeros(60_000, 1, dtype=torch.uint8)
    run = Run("any", evaluation=small.run(epochs=2000).evaluation)
    assert Feed(Stack((run,)), images).steps == 234


def test_steps_per_epoch_are_the_first_of_the_epoch() -> None:
    images = numbered(N)
    few = rows_of(feed_of(certain(steps=3), images=images))
    assert few == rows_of(feed_of(certain(), images=images))[: 3 * small.BATCH]


def hierarchies(*seeds: int) -> Feed:
    """Of several depths, deepest first."""
    return feed_of(*(small.run(depth=4 - s, seed=s) for s in seeds), images=small.grey(N))


def ladders(*seeds: int) -> LadderFeed:
    train, classes = ladder_small.grey(N, 13)
    images = Images(torch.from_numpy(train), torch.empty(0), np.empty(0), classes)
    runs = (ladder_small.run(seed, labels=85) for seed in seeds)
    return LadderFeed(Stack(tuple(runs)), images, torch.float64)


@pytest.mark.parametrize("feed", [hierarchies, ladders])
def test_a_block_can_be_drawn_without_those_before_it(feed: Callable[..., Batches]) -> None:
    whole, later = epoch_of(feed(1))[BLOCK:], list(feed(1).block(1, BLOCK))
    assert len(later) == len(whole) == 5
    for ours, expected in zip(later, whole, strict=True):
        assert_equal(flat(ours), flat(expected))


@pytest.mark.parametrize("feed", [hierarchies, ladders])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_lane_draws_what_it_draws_alone(feed: Callable[..., Batches], place: int) -> None:
    for ours, alone in zip(epoch_of(feed(1, 2, 3)), epoch_of(feed(place + 1)), strict=True):
        lane = [t[place : place + 1] for t in flat(ours) if place < len(t)]
        assert_equal(lane, flat(alone))


@pytest.mark.parametrize(("epoch", "seed"), [(2, 1), (1, 2)], ids=["epoch", "seed"])
def test_every_draw_is_new_for_every_epoch_and_seed(epoch: int, seed: int) -> None:
    grey = np.full((3 * small.BATCH, small.PIXELS), 128, np.uint8)
    ours = epoch_of(feed_of(small.run(), images=grey))
    other = epoch_of(feed_of(small.run(seed=seed), images=grey), epoch)
    for a, b in zip(ours, other, strict=True):
        assert not any(
            torch.equal(*pair) for pair in zip([a.x, *a.eps], [b.x, *b.eps], strict=True)
        )
    first, second = (feed_of(certain(seed=s), images=numbered(N)) for s in (1, seed))
    assert rows_of(first) != rows_of(second, epoch)


def test_noise_is_new_for_every_step() -> None:
    batches = epoch_of(feed_of(small.run(), images=small.grey(N)))
    drawn = {tuple(b.eps[0].flatten().tolist()) for b in batches}
    assert len(drawn) == len(batches)


def test_noise_is_standard_normal_and_independent_across_units() -> None:
    eps = torch.cat([torch.cat(b.eps, -1)[0, 0] for b in epoch_of(feed_of(small.run()))]).double()
    n = len(eps)
    assert (eps.mean(0).abs() < 5 / n**0.5).all()
    assert ((torch.cov(eps.T) - torch.eye(10)).abs() < 5 * (2 / n) ** 0.5).all()


def test_noise_has_a_sample_for_each_monte_carlo_and_importance_sample() -> None:
    run = small.run(optim={"mc_samples": 2, "importance_samples": 3})
    drawn = [batch.eps for batch in epoch_of(feed_of(run))]
    for eps in drawn:
        assert [e.shape for e in eps] == [(1, 6, small.BATCH, units) for units in small.LATENTS]
    assert not any(torch.equal(a[0], b[0]) for a, b in pairwise(drawn))


@pytest.mark.parametrize("scale", [255, 256])
def test_frequency_of_ones_is_byte_over_grey_scale(scale: int) -> None:
    images = np.tile(np.arange(256, dtype=np.uint8), (10 * small.BATCH, 1))
    data = Data(grey_scale=scale)  # type: ignore[arg-type]
    feed = feed_of(replace(small.run(), data=data), images=images)
    ones = torch.cat([b.x[0] for epoch in range(40) for b in epoch_of(feed, epoch)]).double()
    p, n = torch.arange(256).double() / scale, 40 * len(images)
    assert ((ones.mean(0) - p).abs() <= 5 * (p * (1 - p) / n).sqrt()).all()


def test_beta_and_rate_belong_to_the_lane() -> None:
    runs = small.run(warmup=4), small.run(seed=2, warmup=0, optim={"lr": 0.5})
    batch = next(iter(feed_of(*runs).block(2, 0)))
    assert batch.beta.tolist() == [0.25, 1.0]
    assert batch.lr.tolist() == pytest.approx([1e-3, 0.5])


def test_streams_have_not_drifted() -> None:
    assert streams.permutation(7, 1, "order", 1).tolist() == [3, 1, 4, 5, 2, 6, 0]
    assert streams.below(256, 1, "binarise", 1, shape=(5,)).tolist() == [151, 246, 85, 228, 19]
    normal = streams.normal(1, "noise", 1, shape=(3,)).tolist()
    assert normal == pytest.approx([-0.871865, 0.512637, 0.780237], abs=1e-6)
    unit = streams.unit(1, "dequantise", shape=(2,)).tolist()
    assert unit == pytest.approx([0.960256, 0.558179], abs=1e-6)
    uniform = streams.uniform(1, "init/x", shape=(2,)).tolist()
    assert uniform == pytest.approx([0.951153, -0.158351], abs=1e-6)


@pytest.mark.parametrize("other", [("init/x.a.W", 1, 12), ("noise", 11, 2)], ids=str)
def test_streams_of_other_names_and_counters_are_unlike(other: tuple[Any, ...]) -> None:
    name, *at = other
    ours = streams.normal(1, "noise", 1, 12, shape=(7,))
    assert not torch.equal(ours, streams.normal(1, name, *at, shape=(7,)))


# Draws of bytes, straight from the bit generator


@pytest.mark.parametrize("high", [1, 2, 33, 254, 255, 256])
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (3, 5), (26, 256, 784)])
def test_bytes_are_those_of_numpy(high: int, shape: tuple[int, ...]) -> None:
    for seed in (1, 2, 3):
        generator = streams._generator(seed, "binarise", (4, 26))
        expected = generator.integers(0, high, shape, dtype=np.uint8)
        ours = streams.below(high, seed, "binarise", 4, 26, shape=shape)
        assert (ours.dtype, ours.shape) == (torch.uint8, shape)
        assert np.array_equal(ours.numpy(), expected)


def test_bytes_are_those_of_numpy_where_many_are_drawn_again(monkeypatch):
    """The first batch of raw bytes is too short."""
    raw = streams._raw
    monkeypatch.setattr(streams, "_raw", lambda g, n: raw(g, max(8, n // 16)))
    expected = streams._generator(5, "b", (1,)).integers(0, 255, 5000, dtype=np.uint8)
    assert np.array_equal(streams.below(255, 5, "b", 1, shape=(5000,)).numpy(), expected)
