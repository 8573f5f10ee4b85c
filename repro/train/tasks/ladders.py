"""Ladder networks: costs go down, the test error is measured."""

from collections.abc import Sequence

from torch import Tensor

from repro.model.ladder_network import LadderNet, cost
from repro.model.layers import Params
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.train.ladder_feed import LadderFeed
from repro.train.ladder_score import cost_names, score_epoch, score_final
from repro.train.log import Row, latest
from repro.train.minibatch import LadderBatch
from repro.train.tasks.again import errors_again
from repro.train.tasks.inputs import grey
from repro.train.tasks.task import Objective, Task


def objective(stack: Stack) -> Objective:
    """Minus each lane's total cost, [K]: what is trained goes up."""
    model, scale = stack.runs[0].ladder, stack.runs[0].data.grey_scale

    def of(params: Params, batch: LadderBatch) -> Tensor:
        x = batch.x.to(batch.lr.dtype) / scale
        return -cost(LadderNet(model, params), x, batch.y, batch.eps).total(model)

    return of


def row(run: Run, epoch: int, mean: float) -> Row:
    """epoch, lr, the running training cost; test error and costs before their lambda when scored.

    A cost that is not estimated stays empty.
    """
    measured = ("error_percent", "cross_entropy", *cost_names(run.model.depth))
    now: Row = {"epoch": epoch, "lr": run.lr(epoch), "cost_running": -mean}
    return {**now, **dict.fromkeys(measured)}


def progress(rows: Sequence[Row]) -> str:
    error = latest(rows, "error_percent")
    measured = "" if error is None else f", test error {error:.2f}%"
    return f"cost {rows[-1]['cost_running']:.3f}{measured}"


METRICS = ("error_percent", "errors", "test_images", "error_se", "cross_entropy", "labels")

LADDERS = Task(
    feed=LadderFeed,
    objective=objective,
    row=row,
    images=grey,
    score=lambda stack, params, k, images, epoch: score_epoch(
        LadderNet(stack.runs[k].ladder, stack.own(params, k)), stack.runs[k], images, epoch
    ),
    final=score_final,
    history=lambda run, lane: {},
    compared=errors_again,
    unmeasured={**dict.fromkeys(METRICS), "denoising": []},
    progress=progress,
    scoring=lambda run: "classifying",
)
