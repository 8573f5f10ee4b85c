"""Tiny Runs, networks and minibatches. All sizes are distinct primes: a swapped axis crashes."""

from collections.abc import Callable, Generator, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from repro.data.images import Images as Raw
from repro.model.families import MODELS
from repro.model.hierarchy import Pass
from repro.model.layers import Net, Params
from repro.model.stack import Stack
from repro.plan.run import Evaluation, Model, Optim, Run, Schedule, kind_of_data
from repro.train.evaluate import Noise
from repro.train.minibatch import BLOCK, Batches
from repro.train.score import EpochScore, Images

LATENTS, WIDTHS, BATCH, PIXELS = (5, 3, 2), (13, 11, 7), 17, 19
BLOCKS = 2  # of an epoch of `raw`
STEPS = 23  # full minibatches of `grey`, whose last, incomplete one is dropped
CPU = torch.device("cpu")
HIERARCHIES: dict[str, dict[str, Any]] = {  # fields of models that are computed differently
    "vae": {"family": "vae", "batch_norm": False},
    "vae_bn": {"family": "vae"},
    "vae_bn-plain_heads": {"family": "vae", "head_batch_norm": False},
    "lvae": {"family": "lvae", "batch_norm": False},
    "lvae_bn": {"family": "lvae"},
    "lvae_bn-plain_heads": {"family": "lvae", "head_batch_norm": False},
    "lvae_bn-mu": {"family": "lvae", "upward": "mu"},
    "lvae_bn-separate": {"family": "lvae", "shared": False},
}
NOTHING: Mapping[str, Any] = {}
T = TypeVar("T")

torch.set_num_threads(1)  # products this small are slower on two: the threads wait for each other


def run(
    family: Any = "lvae",
    depth: int = 3,
    seed: int = 1,
    *,
    epochs: int = 2,
    warmup: int = 2,
    steps: int | None = None,
    scored: tuple[int, ...] | None = None,
    optim: Mapping[str, Any] = NOTHING,
    evaluation: Mapping[str, Any] = NOTHING,
    **model: Any,
) -> Run:
    """A tiny Run, normalised unless `batch_norm=False`; `model`: fields of its Model."""
    sizes = {"latents": LATENTS[:depth], "widths": WIDTHS, "batch_norm": True}
    net = Model(family=family, **{**sizes, **model})
    return Run(
        variant=f"tiny_{family}",
        data=kind_of_data(net)(),
        model=net,
        optim=Optim(batch=BATCH, **optim),
        schedule=Schedule(epochs, warmup, steps),
        evaluation=Evaluation(scored or (epochs,), **{"importance_samples": 7, **evaluation}),
        seed=seed,
    )


def params(stack: Stack, pixels: int = PIXELS, dtype: torch.dtype = torch.float64) -> Params:
    """Initial parameters moved at random, so that no shift is 0 and no scale is 1."""
    g = torch.Generator().manual_seed(3)
    return {
        name: (p + 0.3 * torch.randn(p.shape, generator=g)).to(dtype)
        for name, p in stack.initial(pixels).items()
    }


def net(*runs: Run, pixels: int = PIXELS) -> Net:
    """A stack's network in float64."""
    stack = Stack(runs)
    return stack.net(params(stack, pixels))


def eps(net: Net, S: int = 1, B: int = BATCH, seed: int = 5) -> list[Tensor]:
    """Noise of one pass, one [K_i, S, B, Z_i] a layer."""
    g = torch.Generator().manual_seed(seed)
    return [
        torch.randn(net.lanes.at(i), S, B, z, generator=g, dtype=torch.float64)
        for i, z in enumerate(net.model.latents, start=1)
    ]


def bits(K: int = 1, B: int = BATCH, X: int = PIXELS, seed: int = 7) -> Tensor:
    """Binary images, [K, B, X]."""
    g = torch.Generator().manual_seed(seed)
    return (torch.rand(K, B, X, generator=g) < 0.4).double()


def real(K: int = 1, B: int = BATCH, X: int = PIXELS, seed: int = 7) -> Tensor:
    """Real-valued images in [0, 1), [K, B, X]."""
    g = torch.Generator().manual_seed(seed)
    return torch.rand(K, B, X, generator=g, dtype=torch.float64)


def infer(net: Net, x: Tensor, eps: list[Tensor]) -> Pass:
    return MODELS[net.model.family](net, x, eps)


def noise(seed: int = 11) -> Noise:
    """Evaluation noise in float64, named by purpose and chunk."""

    def draw(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
        rng = np.random.default_rng([seed, i, *purpose.encode()])
        return torch.from_numpy(rng.standard_normal(shape))

    return draw


def grey(n: int = STEPS * BATCH + 5, pixels: int = PIXELS, seed: int = 13) -> np.ndarray:
    """Grey images of a few kinds, as bytes [n, pixels]."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 256, (3, pixels))
    spread = rng.integers(-60, 60, (n, pixels))
    return np.clip(kinds[rng.integers(0, 3, n)] + spread, 0, 255).astype(np.uint8)


def images() -> Images:
    """What scoring reads: tiny training and binary test images with labels."""
    test = (grey(41, seed=17) > 128).astype(np.uint8)
    labels = np.arange(41, dtype=np.uint8) % 10
    return Images(torch.from_numpy(grey()), torch.from_numpy(test), labels)


def raw(*_: object) -> Raw:
    """Stands in for `repro.data.load`."""
    labels = np.arange(41, dtype=np.uint8) % 10
    train, test = grey(BLOCKS * BLOCK * BATCH), grey(41, seed=17)
    return Raw("tiny", train, labels, test, labels, (1, PIXELS), "made here", "none")


def score(run: Run, L1: float = 0.0) -> EpochScore:
    """Stands in for a measurement where none is needed."""
    kl = np.zeros(sum(run.model.latents), np.float32)
    return EpochScore(L1, torch.full((3,), L1), kl, kl, Stack((run,)).net({}))


def epoch_of(feed: Batches, epoch: int = 1) -> list[Any]:
    """Its minibatches."""
    return [b for first in range(0, feed.steps, BLOCK) for b in feed.block(epoch, first)]


def flat(batch: Any) -> list[Tensor]:
    return [t for part in batch for t in (part if isinstance(part, list) else [part])]


def assert_equal(ours: list[Tensor], expected: list[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


def finished(
    blocks: Generator[None, None, T], after_block: Callable[[], object] = lambda: None
) -> T:
    """What a training returns at its end."""
    while True:
        try:
            next(blocks)
        except StopIteration as end:
            result: T = end.value
            return result
        after_block()
