"""Minibatches of Ladder networks: labelled images beside unlabelled ones, and noise.

Every draw is named by (seed, stream, epoch, step), so a continued run needs no generator state.
Shapes: K lanes, N training images, B and U labelled and unlabelled rows, R = B + U, X pixels.
"""

import functools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from repro.data.labelled import Split, split
from repro.model import streams
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.train.minibatch import BLOCK, LadderBatch, sent, steps_of
from repro.train.score import Images


def split_of(run: Run, classes: np.ndarray) -> Split:
    """A Run's labelled images and its pool, which variants of equal data and seed share."""
    return split(
        run.labelled, classes, streams.permutation(len(classes), run.seed, "labels").numpy()
    )


def shuffled(rows: np.ndarray, seed: int, stream: str, epoch: int) -> Tensor:
    """Rows in an epoch's order."""
    return torch.from_numpy(rows)[streams.permutation(len(rows), seed, stream, epoch)]


class LadderFeed:
    """An epoch is one pass over the pool; the labelled images are cycled in the epoch's order."""

    def __init__(self, stack: Stack, images: Images, dtype: torch.dtype = torch.float32) -> None:
        self.stack, self.images, self.dtype = stack, images.train, dtype
        self.classes = torch.from_numpy(images.train_labels.astype(np.int64))
        first = stack.runs[0]
        self.splits = [split_of(run, images.train_labels) for run in stack.runs]
        self.labelled = first.labelled_batch
        read = first.ladder.costly or first.ladder.joined  # else nothing reads unlabelled rows
        self.unlabelled = first.optim.batch if read else 0
        self.steps = steps_of(first, len(self.splits[0].pool))
        self._orders = functools.lru_cache(maxsize=1)(self._drawn)  # drawn once an epoch

    def block(self, epoch: int, first: int) -> Iterator[LadderBatch]:
        """The minibatches of one block, from step `first` of an epoch (a multiple of BLOCK)."""
        n, device = min(BLOCK, self.steps - first), self.images.device
        rows = torch.stack([self._rows(k, epoch, first, n) for k in range(len(self.splits))], 1)
        y = sent(self.classes[rows[..., : self.labelled]], device)
        x = self.images[sent(rows, device)]
        lr = [run.lr(epoch) for run in self.stack.runs]
        rate = sent(torch.tensor(lr, dtype=self.dtype), device)
        for s in range(n):
            yield LadderBatch(x[s], y[s], self._noise(epoch, first + s), rate)
        if first + n == self.steps and epoch < self.stack.runs[0].schedule.epochs:
            self._orders(epoch + 1)  # before anybody waits for what these minibatches started

    def _rows(self, k: int, epoch: int, first: int, n: int) -> Tensor:
        """Images of n minibatches of one lane, [n, R].

        Both orders are drawn from one stream: where every image is labelled, both halves of a
        minibatch hold the same images, as by its seeds in the released code.
        """
        B, U = self.labelled, self.unlabelled
        told, pool = self._orders(epoch)[k]
        batch = torch.arange(first, first + n) % (len(told) // B)
        labelled = told.view(-1, B)[batch]
        return torch.cat([labelled, pool[first * U : (first + n) * U].view(n, U)], 1)

    def _drawn(self, epoch: int) -> list[list[Tensor]]:
        """Each lane's labelled images and its pool, as this epoch shows them."""
        return [
            [shuffled(rows, run.seed, "order", epoch) for rows in split]
            for run, split in zip(self.stack.runs, self.splits, strict=True)
        ]

    def _noise(self, epoch: int, step: int) -> list[Tensor]:
        """Standard normal noise of one step, one [K, R, M_i] a layer."""
        sizes, R = self.stack.runs[0].ladder.sizes, self.labelled + self.unlabelled
        shape, device = (R * sum(sizes),), self.images.device
        lanes = [
            streams.normal(run.seed, "noise", epoch, step, shape=shape, device=device)
            for run in self.stack.runs
        ]
        layers = torch.split(torch.stack(lanes).to(self.dtype), [R * m for m in sizes], 1)
        return [e.reshape(len(lanes), R, -1) for e in layers]
