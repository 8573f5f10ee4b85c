"""What one training step reads, for each kind of model.

Shapes: K lanes, S samples, B images, X pixels; Z_i units of stochastic layer i. Of a Ladder network
R rows, labelled and unlabelled, and M_i units of layer i.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from repro.errors import UsageError
from repro.model import streams
from repro.plan.run import Run

BLOCK = 26  # steps prepared at once: 9 blocks in a MNIST epoch of 234, about 9 MB a lane


def steps_of(run: Run, images: int) -> int:
    """Minibatches of an epoch; the incomplete last one is dropped. Raises UsageError for none."""
    full = images // run.optim.batch
    if not full:
        raise UsageError(
            f"{run.id}: {images} training images do not fill a minibatch of {run.optim.batch}:"
            " lower optim.batch"
        )
    return min(full, run.schedule.steps_per_epoch or full)


class Minibatch(NamedTuple):
    """Of a hierarchy of stochastic layers."""

    x: Tensor  # [K, B, X] uint8 in {0, 1}; or real values
    eps: list[Tensor]  # each [K_i, S, B, Z_i]
    beta: Tensor  # [K]
    lr: Tensor  # [K]


class LadderBatch(NamedTuple):
    """Of a Ladder network: the labelled images, then the unlabelled ones where there are any."""

    x: Tensor  # [K, R, X] uint8 grey values
    y: Tensor  # [K, B] int64 classes of the labelled images
    eps: list[Tensor]  # each [K, R, M_i]
    lr: Tensor  # [K]


class Batches(Protocol):
    """Where minibatches come from: an epoch has `steps`, prepared in blocks."""

    steps: int

    def block(self, epoch: int, first: int) -> Iterator[Any]:
        """The minibatches of one block, from step `first` of an epoch (a multiple of BLOCK)."""


def binarised(grey: Tensor, run: Run, stream: str, *at: int) -> Tensor:
    """Each pixel 1 with probability byte / grey_scale, as bool: where a uniform integer below the
    grey scale is smaller than the byte.
    """
    shape, device, scale = tuple(grey.shape), grey.device, run.data.grey_scale
    return streams.below(scale, run.seed, stream, *at, shape=shape, device=device) < grey


def each(change: Callable[..., Tensor], *batches: Any) -> Any:
    """A minibatch whose every tensor is `change` of that tensor of each of `batches`."""
    parts = [
        [change(*tensors) for tensors in zip(*part, strict=True)]
        if isinstance(part[0], list)
        else change(*part)
        for part in zip(*batches, strict=True)
    ]
    return type(batches[0])(*parts)


def sent(value: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device, without waiting for what still runs there."""
    return value if device.type == "cpu" else value.pin_memory().to(device, non_blocking=True)
