"""Minibatches for a stack, prepared in blocks of steps: order, binarisation, noise, beta, lr.

Every draw is named by (seed, stream, epoch, block), so a continued run needs no generator state.
"""

import functools
from collections.abc import Iterator

import torch
from torch import Tensor

from repro.model import streams
from repro.model.stack import Stack
from repro.train.minibatch import BLOCK, Minibatch, binarised, sent, steps_of


class Feed:
    """Minibatches of hierarchies. `images` [N, X], on the device where steps run: uint8 bytes,
    which are binarised anew each epoch, or real values, which are shown as they are.
    """

    def __init__(self, stack: Stack, images: Tensor, dtype: torch.dtype = torch.float32) -> None:
        first = stack.runs[0]
        self.stack, self.images, self.dtype = stack, images, dtype
        self.batch = first.optim.batch
        self.samples = first.optim.mc_samples * first.optim.importance_samples
        self.steps = steps_of(first, images.shape[0])
        self._orders = functools.lru_cache(maxsize=1)(self._drawn)  # drawn once an epoch

    def block(self, epoch: int, first: int) -> Iterator[Minibatch]:
        """The minibatches of one block, from step `first` of an epoch (a multiple of BLOCK)."""
        n, at = min(BLOCK, self.steps - first), self.stack.runs[0].epochs_before + epoch
        held = BLOCK if self.samples == 1 else 1  # steps whose noise is held: S times as much
        x = torch.stack([self._rows(k, at, first, n) for k in range(len(self.stack.runs))], 1)
        beta = self._per_lane([run.beta(epoch) for run in self.stack.runs])
        lr = self._per_lane([run.lr(epoch) for run in self.stack.runs])
        for s in range(n):
            if s % held == 0:
                eps = self._noise(at, first + s, min(held, n - s))
            yield Minibatch(x[s], [e[s % held] for e in eps], beta, lr)
        if first + n == self.steps and epoch < self.stack.runs[0].schedule.epochs:
            self._orders(at + 1)  # before anybody waits for what these minibatches started

    def _per_lane(self, values: list[float]) -> Tensor:
        return sent(torch.tensor(values, dtype=self.dtype), self.images.device)

    def _drawn(self, epoch: int) -> list[Tensor]:
        """Each lane's order of all rows."""
        n, seeds = self.images.shape[0], (run.seed for run in self.stack.runs)
        return [streams.permutation(n, s, "order", epoch) for s in seeds]

    def _rows(self, k: int, epoch: int, first: int, n: int) -> Tensor:
        """n minibatches of one lane, [n, B, X], in the epoch's order."""
        run, rows = self.stack.runs[k], slice(first * self.batch, (first + n) * self.batch)
        x = self.images[sent(self._orders(epoch)[k][rows], self.images.device)]
        if run.hierarchy.observation == "bernoulli":  # a row is met, and drawn, once an epoch
            x = binarised(x, run, "binarise", epoch, first).view(torch.uint8)
        return x.view(n, self.batch, -1)

    def _noise(self, epoch: int, first: int, n: int) -> list[Tensor]:
        """Standard normal noise, one [n, K_i, S, B, Z_i] a layer; a lane draws all its layers."""
        lanes, device = [], self.images.device
        for run in self.stack.runs:
            Z = run.hierarchy.latents
            shape = (n, self.samples, self.batch, sum(Z))
            eps = streams.normal(run.seed, "noise", epoch, first, shape=shape, device=device)
            lanes.append(torch.split(eps.to(self.dtype), list(Z), -1))
        depths = range(self.stack.model.depth)
        return [torch.stack([own[i] for own in lanes if i < len(own)], 1) for i in depths]
