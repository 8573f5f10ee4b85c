"""Which training images a semi-supervised Run is told the class of. No torch.

Shapes: N training images, n labelled ones, P of the unlabelled pool.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from repro.data.images import Bytes
from repro.errors import UsageError
from repro.plan.run import LabelledData

Rows = NDArray[np.int64]


class Split(NamedTuple):
    """Rows of the training set: labelled [n], and the pool [P] of those whose class is not told."""

    labelled: Rows
    pool: Rows


def split(data: LabelledData, classes: Bytes, order: Rows) -> Split:
    """Take labelled images in a given random order of all images, as Rasmus et al.'s code does.

    Balanced: the first n / C of each class; where every image is labelled, or the draw is not
    balanced, the first n. The pool is all images, labelled ones included, or the rest, in the same
    order. `label_order` and `first_images` replace the order by the file's, and leave images out.
    Raises UsageError where there are too few images.
    """
    n, N = data.labels, len(classes)
    if (first := data.first_images) is not None:
        if first > N:
            raise UsageError(
                f"the first {first} images are asked for, but {data.name} has {N} training images:"
                " ask for fewer"
            )
        order, N = order[order < first], first
    if data.label_order == "file":
        order = np.sort(order)
    if n > N:
        raise UsageError(f"{n} labels, but of {data.name} {N} images are used: ask for fewer")
    labelled = order[:n]
    if data.balanced and n < N:
        labelled = _balanced(data, classes, order)
    pool = order if data.pool == "all" else order[~np.isin(order, labelled)]
    return Split(labelled, pool)


def _balanced(data: LabelledData, classes: Bytes, order: Rows) -> Rows:
    count = int(classes.max()) + 1
    share, remainder = divmod(data.labels, count)
    if remainder:
        raise UsageError(f"{data.labels} labels are not divisible by {count} classes: change that")
    members = [order[classes[order] == c] for c in range(count)]
    scarce = min(range(count), key=lambda c: len(members[c]))
    if len(members[scarce]) < share:
        raise UsageError(
            f"{data.labels} balanced labels need {share} images of each class, but of {data.name}"
            f" {len(members[scarce])} of class {scarce} are used: ask for fewer, or for all"
            f" {len(order)}"
        )
    return np.concatenate([m[:share] for m in members])
