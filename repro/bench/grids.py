"""The operations of `operations.py` for all configurations of MNIST, stacked as in training."""

from __future__ import annotations

import torch

from repro.bench.arms import Arm, Workload, run_for
from repro.bench.operations import (
    DTYPE,
    Operation,
    Operations,
    flops_of,
    minibatch,
    of_training,
    products_of,
)
from repro.machine.cuda.branches import Turn
from repro.machine.device import turns
from repro.model.stack import Stack, pack
from repro.plan.experiments.grid import grid
from repro.train.state import fresh


def stacks_of(depths: tuple[int, ...], work: Workload) -> list[Stack]:
    """Every cell of the grid whose depth is among those."""
    cells = [cell for cell in grid("mnist") if cell.depth in depths]
    return pack([run_for(cell, work) for cell in cells], len(cells))


def of_arm(arm: Arm, work: Workload, device: torch.device) -> Operations:
    """The operations of an arm; its stacks take turns within each, as they do in a training.

    On a CUDA device each has a stream of its own.
    """
    parts = [_of_stack(arm, stack, work, device) for stack in stacks_of(arm.depths, work)]
    on = turns(device, len(parts))
    return {name: _in_turn([part[name] for part in parts], on) for name in parts[0]}


def _of_stack(arm: Arm, stack: Stack, work: Workload, device: torch.device) -> Operations:
    state = fresh(stack, work.pixels, device, DTYPE)
    return of_training(arm, stack, state, minibatch(stack, work, device))


def _in_turn(ops: list[Operation], on: list[Turn]) -> Operation:
    def all_of_them() -> None:
        for op, turn in zip(ops, on, strict=True):
            with turn():
                op()

    return all_of_them


def of_products(depths: tuple[int, ...], work: Workload, device: torch.device) -> Operations:
    """The matrix products that the operations of the grid are made of, alone."""
    return products_of(stacks_of(depths, work), work, device)


def flops(depths: tuple[int, ...], work: Workload) -> dict[str, int]:
    """Operations counted in the products alone, a multiply-add as two."""
    return flops_of(stacks_of(depths, work), work)
