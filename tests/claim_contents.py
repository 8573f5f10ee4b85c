"""What records hold where claims are tried: functions of a shift d that seeds differ in.

Each gives what `check_records.write` writes; a spread over seeds is as wide as a test likes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from check_records import IMAGES, curve

from repro.plan.experiments.grid import Cell, column

Content = Callable[[float], dict[str, Any]]
World = dict[Cell, Content]
UNITS = 124


def l1(value: float) -> Content:
    """L_1 in final.json and of each image."""

    def content(d: float) -> dict[str, Any]:
        per_image = {"L1": np.full(IMAGES, value + d), "LK": np.full(IMAGES, -87.0)}
        return {"L1_test": value + d, "arrays": {"per_image": per_image}}

    return content


def lk(value: float, sign: int = 1) -> Content:
    return lambda d: {"LK_test": value + sign * d}


def by_depth(variant: str, *values: float) -> World:
    return {c: l1(v) for c, v in zip(column("mnist", variant), values, strict=True)}


def each(cells: Sequence[Cell], make: Callable[[float], Content], *values: float) -> World:
    return {c: make(v) for c, v in zip(cells, values, strict=True)}


def all_of(cells: Sequence[Cell], content: Content, **others: tuple[Cell, Content]) -> World:
    """One content for every cell but some."""
    return {**dict.fromkeys(cells, content), **dict(others.values())}


def gap(value: float) -> Content:
    """L_K - L_1 on the first two of four images; the others would mislead."""

    def content(d: float) -> dict[str, Any]:
        lk = np.array([-90.0, -88.0]) + value + d
        return {"arrays": {"per_image": {"L1": np.array([-90.0, -88.0, 0.0, 0.0]), "LK": lk}}}

    return content


def layers(name: str, *values: float, at: Sequence[int] = (0,)) -> Content:
    """One number a layer; d moves some of them, in turn up and down."""

    def content(d: float) -> dict[str, Any]:
        moved = list(values)
        for turn, i in enumerate(at):
            moved[i] += d * (-1) ** turn
        return {name: moved}

    return content


def kl(*values: float, at: Sequence[int] = (2,)) -> Content:
    return layers("kl_layers", *values, at=at)


def in_use(count: float) -> Content:
    """So many layers that are not collapsed, and d more."""

    def content(d: float) -> dict[str, Any]:
        n = round(count + d)
        return {"kl_layers": [1.0] * n + [0.0] * (5 - n)}

    return content


def units(*shares: float) -> Content:
    """Shares of units that are active at epochs 1, 100, 200 and 2000; d moves the last."""

    def content(d: float) -> dict[str, Any]:
        test = np.zeros((4, UNITS))
        for row, share in zip(test, (*shares[:3], shares[3] + d), strict=True):
            row[: round(UNITS * share)] = 1.0
        return {"arrays": {"kl_units": {"epochs": np.array([1, 100, 200, 2000]), "test": test}}}

    return content


def trained(train: float, *test: float) -> Content:
    """L_1 of the test images at a quarter, half, three quarters and the end of training."""

    def content(d: float) -> dict[str, Any]:
        *before, last = test
        table = curve([train] * 4, [*before, last + d], [1.0] * 4)["curve"]
        table["epoch"] = [500, 1000, 1500, 2000]
        return {"curve": table, "L1_train": train, "L1_test": last + d}

    return content


def error(value: float) -> Content:
    return lambda d: {"error_percent": value + d, "error_se": 0.02}
