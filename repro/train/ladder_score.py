"""What is measured of a trained Ladder network: its test error, and its costs on training images.

Shapes: N training, M test images, B labelled rows of a minibatch, X pixels.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repro.model import streams
from repro.model.combinators import combinator
from repro.model.ladder_network import LadderNet, cost, predict, statistics
from repro.model.layers import Moments
from repro.plan.run import Run
from repro.store.sealed import Arrays
from repro.train.ladder_feed import shuffled, split_of
from repro.train.log import LaneLog
from repro.train.score import Images

PERCENT = 100.0
VERTICAL = (-2.0, 0.0, 2.0)  # values of u for which combinators are saved
PIXEL_RANGE, LATENT_RANGE, POINTS = (-0.5, 1.5), (-3.0, 3.0), 61


@dataclass
class LadderScore:
    """Predicted classes [M] and true ones; costs before their lambda, by layer.

    margin [M]: how far the largest logit lies above the next. seen: what the predictions were
    normalised by, by layer "1".."L".
    """

    predicted: np.ndarray
    margin: np.ndarray
    classes: np.ndarray
    cross_entropy: float
    denoising: dict[int, float]
    finite: bool  # every logit and cost
    net: LadderNet
    seen: dict[str, Moments]

    @property
    def errors(self) -> int:
        return int((self.predicted != self.classes).sum())

    @property
    def error_percent(self) -> float:
        return PERCENT * self.errors / len(self.classes)

    def write(self, lane: LaneLog, epoch: int) -> None:
        """Into the epoch's row of the curve."""
        costs = {f"C_{i}": c for i, c in self.denoising.items()}
        now = {"error_percent": self.error_percent, "cross_entropy": self.cross_entropy}
        lane.rows[-1].update(now | costs)


def cost_names(depth: int) -> list[str]:
    """Curve columns of the denoising costs, from the pixels upward."""
    return [f"C_{i}" for i in range(depth + 1)]


@torch.no_grad()
def score_epoch(net: LadderNet, run: Run, images: Images, epoch: int) -> LadderScore:
    """Classify test images with the statistics of the labelled ones under the weights of now.

    net: one lane. Costs are those of training, on `evaluation.train_images` images of the pool with
    fresh noise. The released code also averages the statistics anew before its final evaluation.
    """
    told, pool = (
        shuffled(rows, run.seed, "score/order", epoch)
        for rows in split_of(run, images.train_labels)
    )
    logits, seen = images.room.fitting(lambda rows: _logits(net, run, images, told, rows))
    costs = _costs(net, run, images, told, pool, epoch)
    first, second = logits.topk(2).values.unbind(-1)
    return LadderScore(
        predicted=logits.argmax(-1).byte().cpu().numpy(),
        margin=(first - second).cpu().numpy(),
        classes=images.test_labels[: len(logits)],
        cross_entropy=costs[0],
        denoising=dict(zip(run.ladder.estimated, costs[1:], strict=True)),
        finite=bool(logits.isfinite().all()) and all(map(math.isfinite, costs)),
        net=net,
        seen={str(i): moments for i, moments in enumerate(seen, start=1)},
    )


def _logits(
    net: LadderNet, run: Run, images: Images, told: Tensor, rows: int
) -> tuple[Tensor, list[Moments]]:
    """Of test images, [M, M_L], in chunks of about `rows` images; and the statistics used."""
    B, device = run.labelled_batch, images.train.device
    parts = torch.split(told, B * max(1, rows // B))  # whole minibatches
    seen = statistics(net, (grey(images.train[part.to(device)], run) for part in parts), B)
    x = images.test[: run.evaluation.test_images]
    logits = [predict(net, grey(part, run), seen)[0] for part in torch.split(x, rows)]
    return torch.cat(logits), seen


def grey(images: Tensor, run: Run) -> Tensor:
    """Bytes [N, X] as one lane of pixels in [0, 1], [1, N, X]."""
    return images.float().unsqueeze(0) / run.data.grey_scale


def _costs(
    net: LadderNet, run: Run, images: Images, told: Tensor, pool: Tensor, epoch: int
) -> list[float]:
    """Cross-entropy of the corrupted path, then C_i of every estimated layer: over minibatches."""
    B, U, sizes = run.labelled_batch, run.optim.batch, list(run.ladder.sizes)
    device, layers, costs = images.train.device, run.ladder.estimated, []
    n = min(run.evaluation.train_images or len(pool), len(pool))
    for i in range(max(1, n // U)):
        labelled = told.view(-1, B)[i % (len(told) // B)]
        rows = torch.cat([labelled, pool[i * U : (i + 1) * U]])
        y = torch.from_numpy(images.train_labels[labelled.numpy()].astype(np.int64)).to(device)
        shape = (1, len(rows), sum(sizes))
        eps = streams.normal(run.seed, "score/noise", epoch, i, shape=shape, device=device)
        x = grey(images.train[rows.to(device)], run)
        c = cost(net, x, y.unsqueeze(0), torch.split(eps, sizes, -1), layers)
        costs.append(torch.cat([c.supervised, *(c.denoising[layer] for layer in layers)]))
    means: list[float] = torch.stack(costs).mean(0).tolist()
    return means


def score_final(
    run: Run, images: Images, last: LadderScore
) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """`final.json` and the arrays of a finished Run, from its last epoch's score."""
    M, p = len(last.classes), last.errors / len(last.classes)
    final = {
        "error_percent": last.error_percent,
        "errors": last.errors,
        "test_images": M,
        "error_se": PERCENT * math.sqrt(p * (1 - p) / M),
        "cross_entropy": last.cross_entropy,
        "denoising": [last.denoising.get(i) for i in range(run.model.depth + 1)],
        "labels": run.labels,
    }
    told = np.sort(split_of(run, images.train_labels).labelled)
    arrays = {
        "labels": {"row": told.astype(np.int32), "class": images.train_labels[told]},
        "predictions": {"predicted": last.predicted},
        "combinators": combinator_curves(last.net),
    }
    return final, arrays


@torch.no_grad()
def combinator_curves(net: LadderNet) -> Arrays:
    """What the learned combinators make of z for some u: quartiles over the units of a layer.

    u [3]; for every estimated layer i z{i} [Z] and g{i} [3, Z, 3], the last axis being the
    quartiles. Lane 0.
    """
    arrays: Arrays = {"u": np.array(VERTICAL, np.float32)}
    combine = combinator(net.model.combinator, net.model.combinator_hidden).combine
    for i in net.model.estimated:
        a = net.params[f"g{i}.a"][:1].cpu()
        low, high = PIXEL_RANGE if i == 0 else LATENT_RANGE
        z, u = torch.linspace(low, high, POINTS), torch.tensor(VERTICAL)
        rows = torch.cartesian_prod(u, z)
        lateral = rows[:, 1] * net.model.lateral
        spread = [c.view(1, -1, 1).expand(-1, -1, a.shape[-1]) for c in (lateral, rows[:, 0])]
        estimate = combine(spread[0], spread[1], a)[0]
        quartiles = torch.quantile(estimate, torch.tensor([0.25, 0.5, 0.75]), -1)
        arrays[f"z{i}"] = z.numpy()
        arrays[f"g{i}"] = quartiles.T.reshape(len(VERTICAL), POINTS, 3).numpy()
    return arrays
