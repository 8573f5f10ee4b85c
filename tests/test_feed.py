"""Minibatches: order, binarisation, labels, noise, beta; the same draws in every stack."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import ladder_small
import numpy as np
import pytest
import small
import torch
from small import BATCH, assert_equal, epoch_of, flat
from torch import Tensor

from repro.data import load
from repro.model import streams
from repro.model.stack import Stack
from repro.plan.profiles import find_run, profile
from repro.plan.run import Data, Run
from repro.store import Store
from repro.store.places import NAMED
from repro.train.feed import Feed
from repro.train.ladder_feed import LadderFeed, split_of
from repro.train.minibatch import BLOCK, LadderBatch
from repro.train.score import Images
from repro.train.tasks import task_of

N, STEPS = 31 * BATCH + 4, 31  # more than one block
LABELS = 5 * BATCH


def numbered(n: int = N) -> np.ndarray:
    """Images that spell their own row number in bits."""
    return ((np.arange(n)[:, None] >> np.arange(small.PIXELS)) & 1).astype(np.uint8)


def rows(x: Tensor) -> list[int]:
    """Which `numbered` images these are, in order."""
    return (x.long() * 2 ** torch.arange(x.shape[-1])).sum(-1).flatten().tolist()


def feed_of(*runs: Run, images: np.ndarray) -> Feed:
    return Feed(Stack(runs), torch.from_numpy(images))


def hierarchies(*seeds: int, **fields: Any) -> Feed:
    """Of several depths, deepest first."""
    runs = (small.run(depth=4 - s, seed=s, **fields) for s in seeds)
    return feed_of(*runs, images=small.grey(N))


def ladders(*seeds: int, n: int = N, labels: int = LABELS, **fields: Any) -> LadderFeed:
    """Of `numbered` images with random classes."""
    classes = (np.random.default_rng(1).permutation(n) % 5).astype(np.uint8)
    images = Images(torch.from_numpy(numbered(n)), torch.empty(0), np.empty(0), classes)
    runs = (ladder_small.run(seed, labels=labels, **fields) for seed in seeds)
    return LadderFeed(Stack(tuple(runs)), images, torch.float64)


BOTH = pytest.mark.parametrize("feed", [hierarchies, ladders])
OTHERS = pytest.mark.parametrize(("epoch", "seed"), [(2, 1), (1, 2)], ids=["epoch", "seed"])
Make = Callable[..., Any]


# Of both kinds


@pytest.mark.parametrize(
    ("run_id", "n", "steps"),
    [
        ("mnist-vae-L3-s1", 60_000, 234),
        ("norb-vae-L3-s1", 2 * 24_300, 189),  # every image twice
        ("ladder-full-100-s1", 60_000, 600),
        ("ladder-kzky-100-s1", 60_000, 599),
        ("ladder-parmesan-100-s1", 60_000, 500),
    ],
)
def test_an_epoch_has_so_many_steps(run_id: str, n: int, steps: int) -> None:
    run, classes = find_run(run_id, profile("paper")), (np.arange(n) % 10).astype(np.uint8)
    images = Images(torch.zeros(n, 1, dtype=torch.uint8), torch.empty(0), classes, classes)
    assert task_of(run).feed(Stack((run,)), images).steps == steps


@BOTH
def test_the_first_steps_of_an_epoch_and_a_later_block_are_drawn_alone(feed: Make) -> None:
    whole, few, later = epoch_of(feed(1)), epoch_of(feed(1, steps=3)), [*feed(1).block(1, BLOCK)]
    assert (len(whole), len(few), len(later)) == (STEPS, 3, 5)
    for ours, expected in zip([*few, *later], [*whole[:3], *whole[BLOCK:]], strict=True):
        assert_equal(flat(ours), flat(expected))


@BOTH
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_lane_draws_what_it_draws_alone(feed: Make, place: int) -> None:
    for ours, alone in zip(epoch_of(feed(1, 2, 3)), epoch_of(feed(place + 1)), strict=True):
        lane = [t[place : place + 1] for t in flat(ours) if place < len(t)]
        assert_equal(lane, flat(alone))


@BOTH
def test_noise_is_standard_normal_independent_across_units_and_new_for_every_step(feed: Make):
    batches = epoch_of(feed(1))
    eps = torch.cat([torch.cat(b.eps, -1).flatten(0, -2) for b in batches]).double()
    n, units = eps.shape
    assert (eps.mean(0).abs() < 5 / n**0.5).all()
    assert ((torch.cov(eps.T) - torch.eye(units)).abs() < 5 * (2 / n) ** 0.5).all()
    drawn = [e.flatten()[:9] for b in (*batches, *epoch_of(feed(1), 2)) for e in b.eps]
    assert len({tuple(d.tolist()) for d in drawn}) == 2 * STEPS * len(batches[0].eps)


# Of hierarchies


def certain(**fields: Any) -> Feed:
    """At grey scale 255, where white is 1 with certainty: black-and-white images are shown."""
    return feed_of(replace(small.run(**fields), data=Data(grey_scale=255)), images=255 * numbered())


def shown(feed: Feed, epoch: int = 1) -> list[int]:
    return [row for b in epoch_of(feed, epoch) for row in rows(b.x)]


def test_an_epoch_shows_all_images_but_an_incomplete_minibatch_shuffled_and_once() -> None:
    order = shown(certain())
    assert len(set(order)) == len(order) == N - 4
    assert set(order) < set(range(N))
    assert order != sorted(order)
    assert set(order) != set(shown(certain(), 2)), "others are dropped"


@OTHERS
def test_every_draw_is_new_for_every_epoch_and_seed(epoch: int, seed: int) -> None:
    grey = np.full((3 * BATCH, small.PIXELS), 128, np.uint8)
    ours, other = (feed_of(small.run(seed=s), images=grey) for s in (1, seed))
    for a, b in zip(epoch_of(ours), epoch_of(other, epoch), strict=True):
        pairs = zip([a.x, *a.eps], [b.x, *b.eps], strict=True)
        assert not any(torch.equal(*pair) for pair in pairs)
    assert shown(certain()) != shown(certain(seed=seed), epoch)


def test_noise_has_a_sample_for_each_monte_carlo_and_importance_sample() -> None:
    run = small.run(optim={"mc_samples": 2, "importance_samples": 3})
    drawn = [batch.eps for batch in epoch_of(feed_of(run, images=small.grey()))]
    shapes = [(1, 6, BATCH, units) for units in small.LATENTS]
    assert all([e.shape for e in eps] == shapes for eps in drawn)
    assert not any(torch.equal(a[0], b[0]) for a, b in pairwise(drawn))


@pytest.mark.parametrize("scale", [255, 256])
def test_frequency_of_ones_is_byte_over_grey_scale(scale: int) -> None:
    images = np.tile(np.arange(256, dtype=np.uint8), (10 * BATCH, 1))
    data = Data(grey_scale=scale)  # type: ignore[arg-type]
    feed = feed_of(replace(small.run(), data=data), images=images)
    ones = torch.cat([b.x[0] for epoch in range(40) for b in epoch_of(feed, epoch)]).double()
    p, n = torch.arange(256).double() / scale, 40 * len(images)
    assert ((ones.mean(0) - p).abs() <= 5 * (p * (1 - p) / n).sqrt()).all()


def test_beta_and_rate_belong_to_the_lane() -> None:
    runs = small.run(warmup=4), small.run(seed=2, warmup=0, optim={"lr": 0.5})
    batch = next(iter(feed_of(*runs, images=small.grey()).block(2, 0)))
    assert batch.beta.tolist() == [0.25, 1.0]
    assert batch.lr.tolist() == pytest.approx([1e-3, 0.5])


# Of Ladder networks


def told(batches: list[LadderBatch]) -> list[int]:
    return [r for b in batches for r in rows(b.x[0, : b.y.shape[1]])]


def pool(batches: list[LadderBatch]) -> list[int]:
    return [r for b in batches for r in rows(b.x[0, b.y.shape[1] :])]


def test_an_epoch_passes_once_over_the_pool_beside_all_labelled_images_where_they_are_few() -> None:
    feed = ladders(1, labels=15)
    batches = epoch_of(feed)
    assert len(set(pool(batches))) == len(pool(batches)) == STEPS * BATCH
    assert set(feed.splits[0].labelled.tolist()) <= set(feed.splits[0].pool.tolist())
    for b in batches:
        assert len(set(told([b]))) == 15
        assert (b.x.shape, b.y.shape) == ((1, 15 + BATCH, small.PIXELS), (1, 15))
        assert [e.shape for e in b.eps] == [(1, 15 + BATCH, m) for m in ladder_small.SIZES]


def test_labelled_images_are_cycled_with_their_classes_in_the_order_of_the_epoch() -> None:
    feed = ladders(1)
    batches = epoch_of(feed)
    seen = told(batches)
    assert len(set(seen[:LABELS])) == LABELS
    assert seen == (seen[:LABELS] * STEPS)[: len(seen)]
    assert torch.cat([b.y[0] for b in batches]).tolist() == feed.classes[seen].tolist()


@OTHERS
def test_both_orders_and_noise_are_new_for_every_epoch_and_seed(epoch: int, seed: int) -> None:
    """In the released code every seed sees the images in one order; here it is a seed's own."""
    ours, other = epoch_of(ladders(1)), epoch_of(ladders(seed), epoch)
    assert told(ours) != told(other)
    assert pool(ours) != pool(other)
    assert not torch.equal(ours[0].eps[0], other[0].eps[0])


@pytest.mark.parametrize("data", [{}, {"balanced": False, "label_order": "file"}])
def test_labels_are_of_the_seed_alone_unless_they_are_the_first_of_the_file(data: Any) -> None:
    first, variant, second = (
        set(ladders(seed, data=data, ladder=model).splits[0].labelled.tolist())
        for seed, model in ((1, None), (1, ladder_small.baseline()), (2, None))
    )
    assert first == variant
    assert (first == second) == bool(data)


def test_where_all_are_labelled_both_halves_hold_the_same_images() -> None:
    for batch in epoch_of(ladders(1, n=12 * BATCH, labels=12 * BATCH, data={"balanced": False})):
        assert told([batch]) == pool([batch])


@pytest.mark.parametrize(("joined", "rows"), [(False, BATCH), (True, 2 * BATCH)])
def test_the_baseline_is_given_unlabelled_rows_only_for_joined_statistics(joined, rows):
    feed = ladders(1, ladder=ladder_small.baseline(joined=joined))
    batch = epoch_of(feed)[0]
    assert batch.x.shape[1] == batch.eps[0].shape[1] == rows
    assert feed.steps == STEPS


def test_labelled_images_are_those_of_the_published_record(data_dir: Path) -> None:
    """Else a checkpoint would go on with other labels, and records would not be compared."""
    record = Store(NAMED["results"]).record("paper", "ladder-full-100-s1")
    told = split_of(record.run, load(record.run.data, data_dir).train_labels).labelled
    assert sorted(told.tolist()) == record.arrays("labels")["row"].tolist()


# Streams


def test_streams_have_not_drifted() -> None:
    assert streams.permutation(7, 1, "order", 1).tolist() == [3, 1, 4, 5, 2, 6, 0]
    assert streams.below(256, 1, "binarise", 1, shape=(5,)).tolist() == [151, 246, 85, 228, 19]
    normal = streams.normal(1, "noise", 1, shape=(3,)).tolist()
    assert normal == pytest.approx([-0.871865, 0.512637, 0.780237], abs=1e-6)
    unit = streams.unit(1, "dequantise", shape=(2,)).tolist()
    assert unit == pytest.approx([0.960256, 0.558179], abs=1e-6)
    uniform = streams.uniform(1, "init/x", shape=(2,)).tolist()
    assert uniform == pytest.approx([0.951153, -0.158351], abs=1e-6)


@pytest.mark.parametrize("high", [1, 2, 33, 254, 255, 256])
@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (3, 5), (26, 256, 784)])
def test_bytes_are_those_of_numpy(high: int, shape: tuple[int, ...]) -> None:
    """Although they are drawn straight from the bit generator."""
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
