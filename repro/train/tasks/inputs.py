"""What training and scoring read of a data set. Raises DataError where it holds no bytes."""

from __future__ import annotations

from dataclasses import replace

from repro.data.images import Images, binarise, refuse_other_than_bytes
from repro.data.real import Reals, real_valued
from repro.model import streams
from repro.plan.run import RealData, Run


def grey(run: Run, raw: Images) -> Images:
    """Grey values as they are, for a Ladder network, which divides them.

    Pixels of 0..255 undivided made the published model err 16.7% instead of 1.1%.
    """
    for part in (raw.train, raw.test):
        refuse_other_than_bytes(part, raw.name)
    return raw


def observed(run: Run, raw: Images) -> Images:
    """Grey values, and the one binarisation of the test set that scores every Run; or real values.

    Real values are drawn once, from the same seed, so that every Run has the same.
    """
    seed, raw = run.data.test_seed, grey(run, raw)

    def uniform(split: str, copy: int, shape: tuple[int, ...]) -> Reals:
        draws: Reals = streams.unit(seed, f"dequantise/{split}", copy, shape=shape).numpy()
        return draws

    if isinstance(run.data, RealData):
        return real_valued(raw, run.data, uniform)
    return replace(raw, test=binarise(raw.test, run.data.grey_scale, seed))
