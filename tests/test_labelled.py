"""Which images are labelled."""

from typing import Any

import numpy as np
import pytest
from fixture_data import refused

from repro.data.labelled import Split, split
from repro.errors import UsageError
from repro.plan.run import LabelledData

N = 173
CLASSES = (np.random.default_rng(1).permutation(N) % 10).astype(np.uint8)
ORDER = np.random.default_rng(2).permutation(N)


def drawn(labels: int, **fields: Any) -> Split:
    return split(LabelledData(labels=labels, **fields), CLASSES, ORDER)


@pytest.mark.parametrize("labels", [10, 50, 170])
def test_every_class_has_equally_many_labels(labels: int) -> None:
    labelled = drawn(labels).labelled
    assert len(set(labelled.tolist())) == labels
    counts = np.bincount(CLASSES[labelled], minlength=10)
    assert counts.tolist() == [labels // 10] * 10


def test_labelled_images_are_the_first_of_their_class_in_the_order() -> None:
    labelled = drawn(50).labelled
    for c in range(10):
        mine = [i for i in ORDER if CLASSES[i] == c][:5]
        assert sorted(mine) == sorted(i for i in labelled if CLASSES[i] == c)


def test_fewer_labels_are_among_more() -> None:
    assert set(drawn(50).labelled) < set(drawn(100).labelled)


def test_an_unbalanced_draw_is_the_first_of_the_order() -> None:
    assert drawn(23, balanced=False).labelled.tolist() == ORDER[:23].tolist()


def test_the_pool_is_every_image_labelled_ones_included() -> None:
    assert drawn(50).pool.tolist() == ORDER.tolist()
    assert drawn(N).labelled.tolist() == drawn(N).pool.tolist() == ORDER.tolist()


def test_kzky_s_pool_is_the_rest() -> None:
    s = drawn(50, balanced=False, pool="rest")
    assert set(s.pool) == set(range(N)) - set(s.labelled)
    assert len(s.pool) == N - 50


def test_images_beyond_the_first_are_in_no_half() -> None:
    s = drawn(20, first_images=50)
    assert s.pool.tolist() == [i for i in ORDER if i < 50]
    assert set(s.labelled.tolist()) < set(range(50))


def test_labels_in_file_order_are_the_same_for_every_order() -> None:
    data = LabelledData(labels=20, balanced=False, label_order="file")
    for order in (ORDER, ORDER[::-1]):
        assert split(data, CLASSES, order).labelled.tolist() == list(range(20))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"labels": 180}, ["180 labels, but mnist has 173 training images", "ask for fewer"]),
        ({"labels": 15}, ["15 labels are not divisible by 10"]),
        ({"labels": 60, "first_images": 50}, ["60 labels, but mnist has 50"]),
        (
            {"labels": 20, "first_images": 174},
            ["the first 174 images", "173 training images", "ask for fewer"],
        ),
    ],
)
def test_more_than_there_is_or_not_divisible_is_refused(asked, said):
    with refused(UsageError, *said):
        drawn(**asked)


def test_more_labels_than_the_scarcest_class_has_are_refused() -> None:
    few = np.where(CLASSES == 7, 8, CLASSES).astype(np.uint8)
    few[0] = 7
    with refused(UsageError, "need 5 images of each class", "1 of class 7", "or for all 120"):
        split(LabelledData(labels=50, first_images=120), few, ORDER)
