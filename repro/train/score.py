"""What is measured of one trained lane: at evaluation epochs, and in full at the end."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repro.data import DATA_SETS
from repro.model import streams
from repro.model.layers import Moments, Net, fold
from repro.plan.run import Run
from repro.store.sealed import ACTIVE_NATS, PCA_STEPS, Arrays
from repro.train import evaluate
from repro.train.annealing.chains import CHAINS, TEMPERATURES, annealed, tuned_path
from repro.train.evaluate import Bounds, Noise, Room, bounds, importance_bound, latents, reconstruct
from repro.train.importance import TRUSTED, Weights, counts
from repro.train.log import LaneLog
from repro.train.minibatch import binarised

SHOWN = 100  # images of Figs. 9 and 10
PROJECTED = 10_000  # images of Fig. 6: all that MNIST has; more would only swell a record
AIS = "AIS_"  # begins what a record says of an annealed estimate
RIDGE = 1.0  # of least squares on them: nothing beside thousands of draws of about unit variance


@dataclass
class Images:
    """What training and scoring read of a data set.

    train [N, X]: grey values as bytes. test [M, X]: the one binarised test set; grey values for
    Ladder networks. For a Gaussian p(x|z_1) both are real values. Their classes: test_labels [M],
    train_labels [N]. room: how many rows of them are scored at once.
    """

    train: Tensor
    test: Tensor
    test_labels: np.ndarray
    train_labels: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))
    room: Room = field(default_factory=Room)


@dataclass
class EpochScore:
    """L_1 means, KL per unit [ΣZ] of both sets; the scored network, and what is folded into it."""

    L1_train: float
    L1_test: Tensor  # [M]
    kl_train: np.ndarray
    kl_test: np.ndarray
    net: Net
    seen: dict[str, Moments] = field(default_factory=dict)

    @property
    def finite(self) -> bool:
        return math.isfinite(self.L1_train) and bool(self.L1_test.isfinite().all())

    def write(self, lane: LaneLog, epoch: int) -> None:
        """Into the epoch's row of the curve, and the KL of every unit beside it."""
        layers = np.split(self.kl_test, np.cumsum(self.net.model.latents)[:-1])
        kl = {n: float(v.sum()) for n, v in zip(kl_names(len(layers)), layers, strict=True)}
        L1_test = float(self.L1_test.double().mean())
        lane.rows[-1].update(L1_train=self.L1_train, L1_test=L1_test, **kl)
        lane.kl_epochs.append(epoch)
        lane.kl_train.append(self.kl_train)
        lane.kl_test.append(self.kl_test)


def kl_names(depth: int) -> list[str]:
    """Curve columns of the KL per layer, from the data upward."""
    return [f"KL_{i}" for i in range(1, depth + 1)]


def noise_of(run: Run, epoch: int, device: torch.device) -> Noise:
    """Evaluation noise: its own streams, so that measuring never changes training."""

    def noise(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
        return streams.normal(run.seed, f"score/{purpose}", epoch, i, shape=shape, device=device)

    return noise


@torch.no_grad()
def score_epoch(net: Net, run: Run, images: Images, epoch: int) -> EpochScore:
    """L_1 on both sets with statistics as `evaluation.statistics` has them. net: one lane."""
    noise, room = noise_of(run, epoch, images.train.device), images.room
    x = _training_set(run, images.train, epoch)
    seen: dict[str, Moments] = {}
    train: Bounds | None = None
    if run.hierarchy.batch_norm:
        if run.evaluation.statistics == "full":
            seen, train = evaluate.statistics_pass(net, x, noise)
        else:
            seen = evaluate.minibatch_statistics(net, x, noise, run.optim.batch)
        net = fold(net, seen)
    train = train or room.fitting(lambda rows: bounds(net, x, noise, "train", rows))
    x_test = images.test[: run.evaluation.test_images].float().unsqueeze(0)
    test = room.fitting(lambda rows: bounds(net, x_test, noise, "test", rows))
    kl_train, kl_test = (torch.cat([k[0] for k in b.kl]).cpu().numpy() for b in (train, test))
    L1_train = float(train.L1.mean(dtype=torch.float64))
    return EpochScore(L1_train, test.L1[0], kl_train, kl_test, net, seen)


def _training_set(run: Run, train: Tensor, epoch: int) -> Tensor:
    """The training set as it is modelled, [1, N, X] float: one Bernoulli draw, or real values."""
    train = train[: run.evaluation.train_images]
    if run.hierarchy.observation == "bernoulli":
        train = binarised(train, run, "score/binarise", epoch)
    return train.float().unsqueeze(0)


@torch.no_grad()
def score_final(
    run: Run, images: Images, last: EpochScore
) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """`final.json` and the arrays of a finished Run, from its last epoch's score."""
    noise = noise_of(run, run.schedule.epochs, images.train.device)
    x = images.test.float().unsqueeze(0)
    K, n = run.evaluation.importance_samples, run.evaluation.lk_images
    w = images.room.fitting(lambda rows: importance_bound(last.net, x[:, :n], noise, K, rows))
    LK = w.LK[0]
    layers = np.split(last.kl_test, np.cumsum(run.hierarchy.latents)[:-1])
    z, labels = latents(last.net, x[:, :PROJECTED], noise), images.test_labels[:PROJECTED]
    final = {
        "L1_train": last.L1_train,
        "L1_test": float(last.L1_test.double().mean()),
        "L1_se": standard_error(last.L1_test),
        "LK_test": float(LK.mean()),
        "K": K,
        "LK_images": len(LK),
        "LK_se": standard_error(LK),
        "LK_mc_error": w.delta_error(K),
        **trust(w, K),
        "kl_layers": [float(k.sum()) for k in layers],
        "active_units": [int((k > ACTIVE_NATS).sum()) for k in layers],
        "negative_units": [int((k < 0).sum()) for k in layers],
        "probe": [linear_probe(layer[0], labels) for layer in z],
        "class_share": [class_share(layer[0], labels) for layer in z],
    }
    arrays = {
        "per_image": {"L1": last.L1_test.cpu().numpy(), **of_images(w)},
        "pca": _pca(z, labels),
        "samples": _samples(run, last.net, x[:, :SHOWN], noise),
    }
    return known(final), arrays


def annealed_scores(run: Run, images: Images, net: Net, n: int) -> dict[str, Any]:
    """Mean of log p(x) over the first n test images, with its error over images and chains.

    net: folded. Nats per example; in expectation a lower bound: of test images there is no upper
    one. None where a number is not finite.
    """
    noise = noise_of(run, run.schedule.epochs, images.test.device)
    x = images.test[:n].float().unsqueeze(0)
    found = annealed(net, x, noise, tuned_path(net, noise, TEMPERATURES, CHAINS), CHAINS)
    log_p = found.log_p.astype(float)
    said = {
        "test": float(log_p.mean()),
        "se": float(log_p.std(ddof=1)) / math.sqrt(len(log_p)) if len(log_p) > 1 else math.nan,
        "mc_error": float(found.mc_error),
        "accepted": float(np.mean(found.accepted)),
        "images": len(log_p),
        "chains": CHAINS,
        "temperatures": TEMPERATURES,
    }
    return {f"{AIS}{name}": known(value) for name, value in said.items()}


def known(value: Any) -> Any:
    """What JSON can hold: None where a number is not finite, as one weight of -inf makes it."""
    if isinstance(value, dict):
        return {name: known(v) for name, v in value.items()}
    if isinstance(value, list):
        return [known(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def trust(w: Weights, K: int) -> dict[str, Any]:
    """What is said of L_K beside its value; nan where it is not known."""
    shape = w.shape[0][w.shape[0].isfinite()]
    return {
        "LK_jackknife_error": w.error(),
        "LK_corrected": float(w.corrected[0].mean()),
        "L1_of_LK": float(w.L1[0].mean()),
        "LK_effective": float(w.effective[0].median()),
        "LK_largest": float(w.largest[0].median()),
        "LK_khat": float(shape.median()) if len(shape) else math.nan,
        "LK_untrusted": float((shape > TRUSTED).double().mean()) if len(shape) else math.nan,
        "LK_curve": {
            "k": counts(K),
            "bound": w.curve[0].mean(1).tolist(),
            "se": [standard_error(of_k) for of_k in w.curve[0]],
        },
    }


def of_images(w: Weights) -> Arrays:
    """Bounds of each image, and of what its weights say as much as a table needs."""
    single = {"LK": w.LK, "L1_of_LK": w.L1}
    half = {"LK_error": w.var.sqrt(), "effective": w.effective, "largest": w.largest}
    found = {name: x[0].float() for name, x in single.items()}
    found |= {name: x[0].half() for name, x in {**half, "khat": w.shape}.items()}
    return {name: x.cpu().numpy() for name, x in found.items()}


def standard_error(per_image: Tensor) -> float:
    """Of the mean over images."""
    return float(per_image.double().std()) / math.sqrt(len(per_image))


def _samples(run: Run, net: Net, x: Tensor, noise: Noise) -> Arrays:
    prior = evaluate.sample(net, noise, x.shape[1])
    shown = {"true": x, "reconstruction": reconstruct(net, x, noise), "prior": prior}
    pixels = {n: (v[0] * 255).round().clamp(0, 255).byte().cpu().numpy() for n, v in shown.items()}
    return {**pixels, "shape": np.array(DATA_SETS[run.data.name].shape)}


def _pca(z: list[Tensor], labels: np.ndarray) -> Arrays:
    """Two principal components of each layer's draws, on a grid of PCA_STEPS + 1 values."""
    arrays: Arrays = {"labels": labels}
    for i, layer in enumerate(z, start=1):
        points = principal_components(layer[0].double()).cpu().numpy()
        low, high = points.min(0), points.max(0)
        width = np.where(high > low, high - low, 1)
        arrays[f"z{i}"] = np.rint((points - low) / width * PCA_STEPS).astype(np.uint16)
        arrays[f"low{i}"], arrays[f"high{i}"] = low, high
    return arrays


def linear_probe(z: Tensor, labels: np.ndarray) -> float:
    """How well a layer's draws [N, Z] tell the classes [N] apart, by least squares on all units.

    Accuracy on every second image of a ridge regression to one-hot classes, with an intercept,
    fitted to the others. Nothing is drawn: equal draws have equal accuracy.
    """
    z, y = z.double().cpu(), one_hot(labels)
    fitted, scored = slice(0, None, 2), slice(1, None, 2)
    at, shares = z[fitted].mean(0), y[fitted].mean(0)
    Z = z[fitted] - at
    W = torch.linalg.solve(gram(Z), Z.T @ (y[fitted] - shares))
    predicted = ((z[scored] - at) @ W + shares).argmax(1)
    return float((predicted == y[scored].argmax(1)).double().mean())


def class_share(z: Tensor, labels: np.ndarray) -> float:
    """Share of the variance of a layer's draws [N, Z] that lies between the classes [N].

    The mean over all directions, each scaled to unit variance: neither the choice of axes nor the
    number of units matters.
    """
    z, y = z.double().cpu(), one_hot(labels)
    z = z - z.mean(0)
    sums = y.T @ z
    between = sums.T @ (sums / y.sum(0).unsqueeze(1))
    return float(torch.linalg.solve(gram(z), between).trace()) / z.shape[1]


def one_hot(labels: np.ndarray) -> Tensor:
    """[N] -> [N, classes], of the classes that occur."""
    classes, of_image = np.unique(labels, return_inverse=True)
    return torch.eye(len(classes), dtype=torch.float64)[torch.from_numpy(of_image)]


def gram(z: Tensor) -> Tensor:
    """[Z, Z] of centred draws [N, Z], with RIDGE: a unit that never varies leaves it solvable."""
    return z.T @ z + RIDGE * torch.eye(z.shape[1], dtype=z.dtype)


def principal_components(z: Tensor) -> Tensor:
    """Projections on the two directions of largest variance, [N, Z] -> [N, 2].

    Each direction's largest loading is positive; a single unit leaves the second axis at 0.
    """
    centred = z - z.mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    top = directions.flip(-1)[:, :2]
    at = top.abs().argmax(0, keepdim=True)
    points = centred @ (top * top.gather(0, at).sign())
    return torch.nn.functional.pad(points, (0, 2 - points.shape[1]))
