"""The matrix products of a stack and nothing else: the floor under the time of each operation.

Shapes: K_i lanes that have a layer, R rows, operands and results allocated beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from repro.model.stack import Stack
from repro.plan.layers import Product
from repro.train.evaluate import ROWS


class Layer(NamedTuple):
    """One dense layer as a product: [lanes, rows, inner] @ [lanes, inner, columns]."""

    lanes: int
    rows: int
    inner: int
    columns: int
    reads_data: bool  # its input needs no gradient

    @property
    def forward_flops(self) -> int:
        return 2 * self.lanes * self.rows * self.inner * self.columns

    @property
    def backward_flops(self) -> int:
        return self.forward_flops * (1 if self.reads_data else 2)


def stacked(stack: Stack, products: list[Product]) -> list[Layer]:
    """What the first lane's products are for all lanes that have them."""
    depths = [run.model.depth for run in stack.runs]
    return [
        Layer(sum(d >= p.dense.layer for d in depths), p.rows, p.dense.fan_in, p.dense.fan_out,
              p.reads_data)
        for p in products
    ]  # fmt: skip


def scoring_chunks(images: int, samples: int, rows: int = ROWS) -> list[tuple[int, int]]:
    """(images, samples) of each pass of `evaluate.importance_bound`."""
    S = min(samples, max(1, rows // 64))
    at_once = max(1, rows // S)
    return [
        (min(at_once, images - i), min(S, samples - s))
        for i in range(0, images, at_once)
        for s in range(0, samples, S)
    ]


class Products:
    """Runs the products of `layers` on fixed random operands; backward only where `training`."""

    def __init__(
        self,
        layers: Iterable[Layer],
        device: torch.device,
        dtype: torch.dtype,
        training: bool = True,
    ) -> None:
        self.layers = list(layers)

        def operands(*fields: str) -> list[Tensor]:
            shapes = ([getattr(layer, f) for f in ("lanes", *fields)] for layer in self.layers)
            return [torch.randn(shape, device=device, dtype=dtype) for shape in shapes]

        self.y, self.W = operands("rows", "inner"), operands("inner", "columns")
        self.to_h = operands("rows", "columns")
        self.g = operands("rows", "columns") if training else []
        self.to_y, self.to_W = ([torch.empty_like(t) for t in ts] for ts in (self.y, self.W))

    def forward(self) -> None:
        for y, W, h in zip(self.y, self.W, self.to_h, strict=True):
            torch.bmm(y, W, out=h)

    def backward(self) -> None:
        """g W^T where the input needs a gradient, and y^T g; last layer first."""
        for i in reversed(range(len(self.layers))):
            if not self.layers[i].reads_data:
                torch.bmm(self.g[i], self.W[i].transpose(1, 2), out=self.to_y[i])
            torch.bmm(self.y[i].transpose(1, 2), self.g[i], out=self.to_W[i])

    def both(self) -> None:
        self.forward()
        self.backward()
