"""Which images are labelled."""

import numpy as np
import pytest
from fixture_data import refused

from repro.data.labelled import Split, split
from repro.errors import UsageError
from repro.plan.run import LabelledData

N = 173
CLASSES = (np.random.default_rng(1).permutation(N) % 10).astype(np.uint8)
ORDER = np.random.default_rng(2).permutation(N)


def drawn(labels: int, order: np.ndarray = ORDER, **fields: object) -> Split:
    return split(LabelledData(labels=labels, **fields), CLASSES, order)


@pytest.mark.parametrize("labels", [10, 50, 170])
def test_labelled_images_are_equally_many_of_each_class_the_first_in_the_order(labels):
    labelled = drawn(labels).labelled.tolist()
    first = [[i for i in ORDER if CLASSES[i] == c][: labels // 10] for c in range(10)]
    assert labelled == [i for of_class in first for i in of_class]


def test_an_unbalanced_draw_is_the_first_of_the_order_or_of_the_file():
    assert drawn(23, balanced=False).labelled.tolist() == ORDER[:23].tolist()
    for order in (ORDER, ORDER[::-1]):
        of_file = drawn(20, order, balanced=False, label_order="file")
        assert of_file.labelled.tolist() == list(range(20))


def test_the_pool_is_every_image_labelled_ones_included_or_kzky_s_rest_or_the_first():
    assert drawn(50).pool.tolist() == ORDER.tolist()
    assert drawn(N).labelled.tolist() == drawn(N).pool.tolist() == ORDER.tolist()
    rest, few = drawn(50, pool="rest"), drawn(20, first_images=50)
    assert sorted(rest.pool) == sorted(set(range(N)) - set(rest.labelled))
    assert few.pool.tolist() == [i for i in ORDER if i < 50]
    assert set(few.labelled) < set(range(50))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"labels": 180}, "180 labels, but of mnist 173 images are used: ask for fewer"),
        ({"labels": 15}, "15 labels are not divisible by 10"),
        ({"labels": 60, "first_images": 50}, "60 labels, but of mnist 50 images are used"),
        (
            {"labels": 20, "first_images": 174},
            "174 images are asked for, but mnist has 173 training images",
        ),
    ],
)
def test_more_than_there_is_or_not_divisible_is_refused(asked, said):
    with refused(UsageError, said):
        drawn(**asked)


def test_more_labels_than_the_scarcest_class_has_are_refused():
    few = np.where(CLASSES == 7, 8, CLASSES).astype(np.uint8)
    few[0] = 7
    with refused(UsageError, "need 5 images of each class", "1 of class 7", "or for all 120"):
        split(LabelledData(labels=50, first_images=120), few, ORDER)
