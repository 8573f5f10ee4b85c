"""Every published number this project is held against. No torch."""

from repro.targets import bounds, ladder
from repro.targets.bounds import TABLE2_ROWS, VAES
from repro.targets.target import (
    ACTIVE_NATS,
    COLLAPSED_NATS,
    K_TEST,
    MNIST_NATS,
    NORB_SHARE,
    PAPER,
    TEST_IMAGES,
    Target,
)

__all__ = [
    "ACTIVE_NATS",
    "COLLAPSED_NATS",
    "K_TEST",
    "MNIST_NATS",
    "NORB_SHARE",
    "PAPER",
    "TABLE2_ROWS",
    "TARGETS",
    "TEST_IMAGES",
    "VAES",
    "Target",
]

TARGETS: dict[str, Target] = {t.id: t for t in (*bounds.TARGETS, *ladder.TARGETS)}
