"""Minibatches of Ladder networks: who is in them, with what class, noise and rate."""

from pathlib import Path

import ladder_small as small
import numpy as np
import pytest
import torch
from ladder_small import BATCH, LABELS, STEPS
from small import epoch_of
from torch import Tensor

from repro.data import load
from repro.model.stack import Stack
from repro.plan.profiles import find_run, profile
from repro.plan.run import Run
from repro.store import Store
from repro.store.places import NAMED
from repro.train.ladder_feed import LadderFeed, split_of
from repro.train.minibatch import LadderBatch
from repro.train.score import Images


def feed_of(*runs: Run, images: Images | None = None) -> LadderFeed:
    return LadderFeed(Stack(runs), images or small.images(), torch.float64)


def numbered(n: int = small.N) -> Images:
    """Images that spell their own row number, each with a class."""
    bits = ((np.arange(n)[:, None] >> np.arange(small.SIZES[0])) & 1).astype(np.uint8)
    classes = (np.random.default_rng(1).permutation(n) % 5).astype(np.uint8)
    return Images(torch.from_numpy(bits), torch.empty(0), np.empty(0), classes)


def rows(x: Tensor) -> list[int]:
    """Which `numbered` images these are, in order."""
    return (x.long() * 2 ** torch.arange(x.shape[-1])).sum(-1).flatten().tolist()


def told(batches: list[LadderBatch]) -> list[int]:
    return [r for b in batches for r in rows(b.x[0, : b.y.shape[1]])]


def pool(batches: list[LadderBatch]) -> list[int]:
    return [r for b in batches for r in rows(b.x[0, b.y.shape[1] :])]


@pytest.mark.parametrize(("variant", "steps"), [("full", 600), ("kzky", 599)])
def test_an_epoch_of_mnist_has_so_many_steps(variant: str, steps: int) -> None:
    run = find_run(f"ladder-{variant}-100-s1", profile("paper"))
    classes = (np.arange(60_000) % 10).astype(np.uint8)
    images = Images(torch.zeros(60_000, 1, dtype=torch.uint8), torch.empty(0), classes, classes)
    assert feed_of(run, images=images).steps == steps


def test_an_epoch_passes_once_over_the_pool_beside_all_labelled_images_where_they_are_few() -> None:
    feed = feed_of(small.run(), images=numbered())
    batches = epoch_of(feed)
    assert len(set(pool(batches))) == len(pool(batches)) == STEPS * BATCH
    assert set(feed.splits[0].labelled.tolist()) <= set(feed.splits[0].pool.tolist())
    for b in batches:
        assert len(set(told([b]))) == LABELS
        assert (b.x.shape, b.y.shape) == ((1, LABELS + BATCH, small.SIZES[0]), (1, LABELS))
        assert [tuple(e.shape) for e in b.eps] == [(1, LABELS + BATCH, m) for m in small.SIZES]


def test_labelled_images_are_cycled_in_the_order_of_the_epoch() -> None:
    seen = told(epoch_of(feed_of(small.run(labels=85), images=numbered())))
    cycle = seen[:85]
    assert len(set(cycle)) == 85
    assert seen == (cycle * STEPS)[: len(seen)]


@pytest.mark.parametrize(("epoch", "seed"), [(2, 1), (1, 2)], ids=["epoch", "seed"])
def test_the_order_is_new_in_every_epoch_and_for_every_seed(epoch: int, seed: int) -> None:
    """In the released code every seed sees the images in one order; here it is a seed's own."""
    feeds = (feed_of(small.run(s, labels=85), images=numbered()) for s in (1, seed))
    ours, other = (epoch_of(feed, e) for feed, e in zip(feeds, (1, epoch), strict=True))
    assert told(ours) != told(other)
    assert pool(ours) != pool(other)


def test_labels_are_the_classes_of_their_images() -> None:
    images = numbered()
    for batch in epoch_of(feed_of(small.run(labels=85), images=images)):
        assert batch.y[0].tolist() == images.train_labels[told([batch])].tolist()


def test_labels_are_balanced_and_of_the_seed_alone() -> None:
    classes = numbered().train_labels
    runs = small.run(), small.run(ladder=small.baseline()), small.run(2)
    ours, variant, seed = (split_of(run, classes).labelled for run in runs)
    assert np.bincount(classes[ours]).tolist() == [LABELS // 5] * 5
    assert ours.tolist() == variant.tolist()
    assert set(ours) != set(seed)


def test_a_seed_changes_the_order_but_no_label_where_labels_are_the_first_of_the_file() -> None:
    data = {"balanced": False, "label_order": "file"}
    one, other = (feed_of(small.run(seed, data=data)) for seed in (1, 2))
    assert one.splits[0].labelled.tolist() == other.splits[0].labelled.tolist()
    assert not torch.equal(epoch_of(one)[0].x, epoch_of(other)[0].x)


def test_where_all_are_labelled_both_halves_hold_the_same_images() -> None:
    images = numbered(12 * BATCH)
    data = {"balanced": False}
    for batch in epoch_of(feed_of(small.run(labels=12 * BATCH, data=data), images=images)):
        assert told([batch]) == pool([batch])


@pytest.mark.parametrize(("joined", "rows"), [(False, LABELS), (True, LABELS + BATCH)])
def test_the_baseline_is_given_unlabelled_rows_only_for_joined_statistics(joined, rows):
    feed = feed_of(small.run(ladder=small.baseline(joined=joined)))
    batch = epoch_of(feed)[0]
    assert batch.x.shape[1] == batch.eps[0].shape[1] == rows
    assert feed.steps == STEPS


def test_steps_per_epoch_are_the_first_of_the_epoch() -> None:
    few = pool(epoch_of(feed_of(small.run(steps=3), images=numbered())))
    assert few == pool(epoch_of(feed_of(small.run(), images=numbered())))[: 3 * BATCH]


def test_noise_is_new_for_every_step_epoch_and_layer() -> None:
    feed = feed_of(small.run())
    drawn = [e.flatten()[:9].tolist() for n in (1, 2) for b in epoch_of(feed, n) for e in b.eps]
    assert len({tuple(d) for d in drawn}) == 2 * STEPS * 4


def test_noise_is_standard_normal() -> None:
    eps = torch.cat([e.flatten() for b in epoch_of(feed_of(small.run())) for e in b.eps])
    assert abs(float(eps.mean())) < 5 / len(eps) ** 0.5
    assert abs(float(eps.var()) - 1) < 5 * (2 / len(eps)) ** 0.5


def test_labelled_images_are_those_of_the_published_record(data_dir: Path) -> None:
    """Else a checkpoint would go on with other labels, and records would not be compared."""
    record = Store(NAMED["results"]).record("paper", "ladder-full-100-s1")
    told = split_of(record.run, load(record.run.data, data_dir).train_labels).labelled
    assert sorted(told.tolist()) == record.arrays("labels")["row"].tolist()
