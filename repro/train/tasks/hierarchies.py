"""VAEs and LVAEs: bounds go up, L_1 and L_K are measured."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from repro.model import families, objectives
from repro.model.layers import Params
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.store.sealed import Arrays
from repro.train.feed import Feed
from repro.train.log import LaneLog, Row, latest
from repro.train.minibatch import Minibatch
from repro.train.score import kl_names, score_epoch, score_final
from repro.train.tasks import again, inputs
from repro.train.tasks.task import Objective, Task


def objective(stack: Stack) -> Objective:
    """Each lane's training bound, [K]."""
    infer, optim = families.MODELS[stack.hierarchy.family], stack.runs[0].optim

    def of(params: Params, batch: Minibatch) -> Tensor:
        net, x = stack.net(params), batch.x.to(batch.beta.dtype)
        return objectives.bound(net, infer(net, x, batch.eps), batch.beta, optim)

    return of


def row(run: Run, epoch: int, mean: float) -> Row:
    """epoch, beta, lr, the running training bound; L_1 of both sets and KL_1..KL_L when scored."""
    empty = dict.fromkeys(["L1_train", "L1_test", *kl_names(run.model.depth)])
    now: Row = {"epoch": epoch, "beta": run.beta(epoch), "lr": run.lr(epoch)}
    return {**now, "L1_train_running": mean, **empty}


def history(run: Run, lane: LaneLog) -> dict[str, Arrays]:
    """The KL of every unit at evaluation epochs."""
    layer = np.repeat(np.arange(1, run.model.depth + 1), run.hierarchy.latents)
    units = {
        "epochs": np.array(lane.kl_epochs),
        "train": np.array(lane.kl_train, np.float32).reshape(-1, len(layer)),
        "test": np.array(lane.kl_test, np.float32).reshape(-1, len(layer)),
        "layer": layer.astype(np.uint8),
    }
    return {"kl_units": units}


def progress(rows: Sequence[Row]) -> str:
    L1 = latest(rows, "L1_test")
    measured = "" if L1 is None else f", L_1 {L1:.2f}"
    return f"bound {rows[-1]['L1_train_running']:.2f}{measured}"


METRICS = ("L1_train", "L1_test", "L1_se", "LK_test", "K", "LK_images", "LK_se", "LK_mc_error")
LAYERS = ("kl_layers", "active_units", "negative_units")

HIERARCHIES = Task(
    feed=lambda stack, images: Feed(stack, images.train),
    objective=objective,
    row=row,
    images=inputs.observed,
    score=lambda stack, params, k, images, epoch: score_epoch(
        stack.lane(params, k), stack.runs[k], images, epoch
    ),
    final=score_final,
    history=history,
    compared=again.bounds_again,
    unmeasured={**dict.fromkeys(METRICS), **{name: [] for name in LAYERS}},
    progress=progress,
    scoring=lambda run: f"scoring L_{run.evaluation.importance_samples}",
)
