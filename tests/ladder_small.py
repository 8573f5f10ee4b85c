"""Tiny Ladder networks and minibatches. All sizes are distinct primes: a swapped axis crashes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from small import NOTHING
from torch import Tensor

from repro.data.images import Images as Raw
from repro.model.ladder_network import Cost, LadderNet, cost, initial_value, parameters
from repro.plan.run import Evaluation, LabelledData, Ladder, Optim, Run, Schedule
from repro.train.score import Images

SIZES = (19, 13, 7, 5)
LABELLED, ROWS = 11, 28  # 17 of them without a class


def model(**fields: Any) -> Ladder:
    """A tiny Ladder network whose every denoising cost counts."""
    given = {"sizes": SIZES, "noise": (0.3, 0.2, 0.5, 0.4), "cost_weights": (3.0, 2.0, 0.5, 0.7)}
    return Ladder(**{**given, **fields})


def top_only(**fields: Any) -> Ladder:
    return model(decoder="top", cost_weights=(0.0, 0.0, 0.0, 2.0), **fields)


def baseline(**fields: Any) -> Ladder:
    return model(decoder="none", cost_weights=(0.0,) * 4, **fields)


def shallow(**fields: Any) -> Ladder:
    """One hidden layer: as little as there is to compile."""
    few = {"sizes": (19, 7, 5), "noise": (0.3, 0.2, 0.5), "cost_weights": (3.0, 2.0, 0.5)}
    return model(**{**few, **fields})


KZKY: dict[str, Any] = {"cost_rows": "both", "top_input": "logits"}
AMLP = {"combinator": "amlp", "combinator_hidden": (2, 2), "combinator_init": "random"}
PARMESAN = {
    **{"combinator": "sig", "combinator_init": "lateral", "leaky_slope": 0.01},
    **{"gammas": "all", "affine": "scale_first", "vertical_affine": True},
    **{"joined": True, "estimate_scale": "noisy"},
}
LASAGNE = {"gammas": "none", "joined": True, "passed_down": "normalised"}

# As they are trained, beside small sizes.
VARIANTS = [
    pytest.param(model(), id="full"),
    pytest.param(model(**KZKY), id="kzky"),
    pytest.param(top_only(), id="gamma"),
    pytest.param(baseline(), id="baseline"),
    pytest.param(model(**AMLP), id="amlp"),
    pytest.param(model(**PARMESAN), id="parmesan"),
    pytest.param(model(combinator="sig", **LASAGNE), id="lasagne"),
]
COMPILED = [  # between them, all that those are made of
    pytest.param(
        shallow(**{**KZKY, **PARMESAN, "passed_down": "normalised"}), id="kzky-parmesan-lasagne"
    ),
    pytest.param(
        shallow(decoder="top", cost_weights=(0.0, 0.0, 2.0), gammas="none", **AMLP), id="amlp-gamma"
    ),
]


def net(
    ladder: Ladder | None = None,
    K: int = 1,
    spread: float = 0.3,
    dtype: torch.dtype = torch.float64,
) -> LadderNet:
    """Initial parameters moved at random; `spread` 0: as training begins."""
    ladder, g, params = ladder or model(), torch.Generator().manual_seed(3), {}
    for p in parameters(ladder):
        drawn, moved = torch.randn(2, K, *p.shape, generator=g)
        params[p.name] = (initial_value(p, drawn) + spread * moved).to(dtype)
    return LadderNet(ladder, params)


def pixels(K: int = 1, R: int = ROWS, seed: int = 5) -> Tensor:
    """Grey values in [0, 1], [K, R, M_0]."""
    g = torch.Generator().manual_seed(seed)
    return torch.rand(K, R, SIZES[0], generator=g, dtype=torch.float64)


def classes(K: int = 1, B: int = LABELLED) -> Tensor:
    return torch.randint(SIZES[-1], (K, B), generator=torch.Generator().manual_seed(7))


def noise(K: int = 1, R: int = ROWS, seed: int = 9) -> list[Tensor]:
    """Standard normal draws, one [K, R, M_i] a layer."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(K, R, n, generator=g, dtype=torch.float64) for n in SIZES]


def costs(ladder: LadderNet) -> Cost:
    """Of a minibatch of `pixels`, `classes` and `noise`."""
    return cost(ladder, pixels(), classes(), noise())


N, M = 211, 43  # training and test images
BATCH, LABELS = 17, 15
STEPS = N // BATCH


def run(
    seed: int = 1,
    *,
    epochs: int = 2,
    steps: int | None = None,
    ladder: Ladder | None = None,
    labels: int = LABELS,
    optim: Mapping[str, Any] = NOTHING,
    data: Mapping[str, Any] = NOTHING,
    **schedule: Any,
) -> Run:
    """A tiny Run, scored after every epoch. 15 labelled images make smaller minibatches than 17."""
    code = {"eps": 1e-8, "eps_form": "code", "clip_norm": None, "clip_value": None}
    return Run(
        variant="tiny",
        data=LabelledData(grey_scale=255, labels=labels, **data),
        model=ladder or model(),
        optim=Optim(**{"lr": 2e-3, "batch": BATCH, **code, **optim}),
        schedule=Schedule(epochs, steps_per_epoch=steps, **schedule),
        evaluation=Evaluation(tuple(range(1, epochs + 1)), 1, train_images=3 * BATCH),
        seed=seed,
    )


def grey(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of five kinds as bytes [n, M_0], each with its kind."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng(0).integers(0, 256, (SIZES[-1], SIZES[0]))
    which = rng.permutation(n) % SIZES[-1]
    noisy = kinds[which] + rng.integers(-60, 60, (n, SIZES[0]))
    return np.clip(noisy, 0, 255).astype(np.uint8), which.astype(np.uint8)


def images() -> Images:
    r = raw()
    train, test = torch.from_numpy(r.train), torch.from_numpy(r.test)
    return Images(train, test, r.test_labels, r.train_labels)


def raw(*_: object) -> Raw:
    """Stands in for `repro.data.load`."""
    (train, classes), (test, true) = grey(N, 13), grey(M, 17)
    return Raw("tiny", train, classes, test, true, (1, SIZES[0]), "made here", "none")
