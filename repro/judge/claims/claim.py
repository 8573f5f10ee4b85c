"""What a claim is, and what the tests of all of them use."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from repro.judge import measures
from repro.judge.estimate import Estimate, of_pairs
from repro.judge.evidence import Books, Evidence
from repro.judge.measures import array, metric
from repro.judge.over_images import images_error, same_images, standard_error
from repro.judge.targets.target import BINARISATION_NATS, ENOUGH_SEEDS
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import MAX_DEPTH, VARIANTS, Cell
from repro.store import Record

IMPROVES_NATS = 0.05  # the least that is called an improvement
NO_GAIN_NATS = 0.3  # a smaller step is no improvement "beyond" a depth
SEVERAL_NATS = 3.0  # a gap between train and test below this is "close"

DEEPEST = tuple(Cell("mnist", v, MAX_DEPTH) for v in VARIANTS)
VAE, VAE_BN, VAE_BN_WU, LVAE = DEEPEST
VAES = (VAE, VAE_BN, VAE_BN_WU)
WARMED = tuple(c for c in DEEPEST if VARIANTS[c.variant].warmup)

OfImages = Callable[[Record], Any]  # [N], one number an image
Judgement = tuple[Sequence["Contrast"], str]


@dataclass(frozen=True)
class Contrast:
    """One quantity that a statement needs to be 0 or more; `margin` is by how much it is."""

    name: str
    margin: Estimate

    def certainty(self) -> tuple[float, float]:
        """How many times further from 0 than at 5% it has to be; of unknown ones the smallest comes
        first.
        """
        m = self.margin
        if not m.known:
            return -math.inf, m.mean
        half = m.mean - m.interval()[0]
        return (m.mean / half if half else math.copysign(math.inf, m.mean)), m.mean

    def __str__(self) -> str:
        error = f" ± {self.margin.error:.2g}" if self.margin.known else " (error not known)"
        return f"{self.name}, {self.margin.mean:+z.2f}{error} from its threshold"


@dataclass(frozen=True)
class Claim:
    """A published statement (`text`) and the test of it, in words and as a function.

    `test` is given the records of a profile, sorted by cell, every one of `required` (by default
    all of `cells`) with a finished Run, while the others count where they ran; it answers with the
    contrasts that must all be positive, and with the numbers in words. `files` are the arrays it
    reads, `metrics` what it reads of final.json: every record must hold them, and of `LK_test` one
    K and as many images. paired: tested seed by seed, over the seeds that all cells have.
    """

    id: str
    text: str
    source: str
    predicate: str
    cells: tuple[Cell, ...]
    test: Callable[[Books], Judgement]
    files: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    required: tuple[Cell, ...] = ()
    paired: bool = False


def at_least(name: str, quantity: Estimate, threshold: float) -> Contrast:
    return Contrast(name, quantity - threshold)


def at_most(name: str, quantity: Estimate, threshold: float) -> Contrast:
    return Contrast(name, -(quantity - threshold))


def between(name: str, quantity: Estimate, low: float, high: float) -> list[Contrast]:
    return [at_least(name, quantity, low), at_most(name, quantity, high)]


def quantity(found: Books, cell: Cell, read: Callable[[Record], float]) -> Estimate:
    """A number of a cell's Runs, with the error that training again would make of it.

    From its own trainings alone: that layers and units of another model lie still says nothing.
    """
    return found.training_spread(found.of(cell), read, borrow=False)


def train_test_gap(found: Books, cell: Cell) -> Estimate:
    """L_1 of training less test images, with the error over test images of it as well.

    The training images are those it was trained on, not a sample.
    """
    error = metric(found.of(cell).done[0], "L1_se")
    return quantity(found, cell, measures.train_test_gap).plus(error**2)


def combined(found: Books, weights: Mapping[Cell, float], of_images: OfImages) -> Estimate:
    """A weighted sum over cells of a mean over images.

    Errors of training, and over images: of the weighted sum where all cells have the same images.
    """
    total = Estimate(0.0)
    for cell, weight in weights.items():
        e = found.of(cell)
        part = found.training_spread(e, lambda r: _mean(of_images(r)), _measured_like(e))
        total = total + part.scaled(weight)
    firsts = [found.of(c).done[0] for c in weights]
    values = [w * of_images(r) for w, r in zip(weights.values(), firsts, strict=True)]
    alike = all(same_images(a, b) for a, b in combinations(firsts, 2))
    if alike and len({len(v) for v in values}) == 1:
        values = [np.sum(values, axis=0)]
    return total.plus(math.fsum(standard_error(v) ** 2 for v in values))


def _measured_like(e: Evidence) -> Callable[[Record], bool]:
    """Whether a record holds numbers of each image, L_1 from all draws where these do."""
    sharp = e.trainings[0].final.get("L1_of_LK") is not None

    def like(record: Record) -> bool:
        known = "per_image.npz" in record.files
        return known and not (sharp and record.final.get("L1_of_LK") is None)

    return like


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def per_image_l1(found: Books, cells: Sequence[Cell]) -> tuple[OfImages, str]:
    """L_1 of each image, and how it was measured: from all draws of L_K where every record has
    that, of one K and the same number of images, as its Monte-Carlo error is the smaller by
    sqrt(K); else from one draw.
    """
    records = [r for c in cells for r in found.of(c).trainings]
    scorings = {measures.scoring(r) for r in records}
    sharp = len(scorings) == 1 and all(r.final.get("L1_of_LK") is not None for r in records)
    name, how = "L1", "from one draw an image"
    if sharp:
        name, how = "L1_of_LK", f"from the draws of L_K, on {scorings.pop()[1]} images"

    def read(record: Record) -> Any:
        return array(record, "per_image", name).astype(float)

    return read, how


def gain(found: Books, cell: Cell, start: Cell, name: str) -> Estimate:
    """Of Runs over those of the same seeds, which they start from or share their start with.

    Where no seed is shared, the difference of the two means, of which no error is known.
    """
    ours, base = found.together(cell, start)
    if ours.by_seed.keys() != base.by_seed.keys():
        return Estimate(float(ours.mean(name) - base.mean(name)), 0.0, 0)
    error = images_error(ours.done, base.done, name)
    return of_pairs(ours.values(name), base.values(name)).plus(error**2)


def beside_printed(found: Books, cell: Cell, printed: float) -> Estimate:
    """L_K less a printed bound of the same test set in another draw of its binary images.

    As of a target, nothing is known of its error by fewer than three seeds.
    """
    e = found.of(cell)
    ours = e.estimate("LK_test") if e.seeds >= ENOUGH_SEEDS else Estimate(e.mean("LK_test"), 0.0, 0)
    return (ours - printed).plus(e.mc_error**2).plus(2 * BINARISATION_NATS**2)


def above(found: Books, cell: Cell, other: Cell, name: str, least: float) -> Contrast:
    """That a cell's number lies that much above another's."""
    lead = found.difference(cell, other, name)
    return at_least(f"{named(cell)} above {named(other)}", lead, least)


def no_more(found: Books, cell: Cell, other: Cell, name: str, most: float) -> Contrast:
    """That a cell's number lies no more than that above another's."""
    return at_most(f"{named(cell)} above {named(other)}", found.difference(cell, other, name), most)


def that_ran(found: Books, cells: Sequence[Cell]) -> list[Cell]:
    """Those with a finished Run that counts."""
    return [c for c in cells if found.of(c).trainings]


def above_each(
    found: Books, cell: Cell, others: Sequence[Cell], name: str, least: float = 0.0
) -> tuple[list[Contrast], str]:
    """That a cell's bound lies above that of every other cell that ran; and how many did."""
    others = [c for c in others if c != cell]
    ran = that_ran(found, others)
    own, *values = bounds(found, [cell, *ran], name)
    best, where = max(zip(values, ran, strict=True), key=lambda pair: pair[0])
    words = f"{named(cell)} {own:.2f}, best of {len(ran)} of {len(others)} others {best:.2f}"
    return [above(found, cell, c, name, least) for c in ran], f"{words} ({named(where)})"


def bounds(found: Books, cells: Sequence[Cell], name: str = "L1_test") -> list[float]:
    """One metric of each cell, for the words."""
    return [float(found.of(c).mean(name)) for c in cells]


def in_row(values: Any, digits: int = 2) -> str:
    return " / ".join(f"{v:z.{digits}f}" for v in values)


def rises(found: Books, cells: Sequence[Cell], name: str = "L1_test") -> list[Contrast]:
    """That each cell improves on the one before."""
    return [above(found, b, a, name, IMPROVES_NATS) for a, b in pairwise(cells)]


def named(cell: Cell) -> str:
    """A cell in words."""
    return f"{label_of(cell)} of depth {cell.depth}"
