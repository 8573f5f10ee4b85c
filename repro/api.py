"""Trained models at hand: encode, reconstruct, sample, score and classify images of your own.

numpy in, numpy out. Shapes: N images, X pixels, Z_i units of layer i, L layers; z[0] is the paper's
z_1, nearest the data. Bounds are in nats per example. The same images in the same order meet the
same draws for the same `seed`, on the same kind of device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro import streams
from repro.config import Ladder, Run
from repro.data import binarise
from repro.engine.weights import find_weights, load_statistics, load_weights
from repro.errors import UsageError
from repro.evaluate import ROWS, Noise, bounds, importance_bound, latents, reconstruct
from repro.hierarchy import generate
from repro.layers import Moments, Net, fold
from repro.models.ladder_network import LadderNet, predict
from repro.stack import Stack
from repro.store import Record, open_store

__all__ = ["Scores", "TrainedHierarchy", "TrainedLadder", "binarise", "load_model", "load_record"]

Floats = NDArray[np.float32]


class Scores(NamedTuple):
    """Bounds on log p(x) of each image, [N]; mc_error: Monte-Carlo error of the mean of LK.

    NaN where K = 1, as one sample shows no spread.
    """

    L1: Floats
    LK: Floats
    K: int
    mc_error: float


@dataclass(frozen=True)
class TrainedHierarchy:
    """A VAE or LVAE with its final weights, into which its batch norm is folded.

    Images are [N, X] or [N, height, width]: values 0 and 1 where p(x|z_1) is Bernoulli (`binarise`
    draws them from bytes), and real values in the units of its training set where it is Gaussian.
    Methods raise UsageError for any others.
    """

    run: Run
    net: Net  # one lane

    @property
    def pixels(self) -> int:
        heads = 2 if self.run.hierarchy.observation == "gaussian" else 1
        return self.net.params["x.out.W"].shape[-1] // heads

    def encode(self, images: NDArray[Any], seed: int | None = 0) -> list[Floats]:
        """One draw z_i ~ q for each image and layer, [N, Z_i] from the data upward.

        seed None: no draw but the mean, given the means of the layers that it depends on.
        """
        z = latents(self.net, self._input(images), self._noise(seed))
        return [_numpy(layer[0]) for layer in z]

    def reconstruct(self, images: NDArray[Any], seed: int | None = 0) -> Floats:
        """Mean of p(x | z_1) for the z of one encoding, [N, X]."""
        return _numpy(reconstruct(self.net, self._input(images), self._noise(seed))[0])

    def sample(self, n: int, seed: int = 0) -> Floats:
        """n images from the prior down, eqs. (1)-(3), each the mean of p(x | z_1): [n, X]."""
        if n < 1:
            raise UsageError(f"sample of {n} images: ask for at least 1")
        Z = self.run.hierarchy.latents
        eps = self._noise(seed)("prior", 0, (1, n, sum(Z)))
        parts = (torch.split(part, list(Z), -1) for part in torch.split(eps, ROWS, 1))
        return _numpy(torch.cat([generate(self.net, part)[0] for part in parts]))

    def score(self, images: NDArray[Any], samples: int = 500, seed: int = 0) -> Scores:
        """L_1 and L_K of each image, eqs. (4) and (6), with K = `samples`.

        The noise is not that of a record, so a mean differs from the published one by chance.
        """
        if samples < 1:
            raise UsageError(f"{samples} importance samples: ask for at least 1")
        x, noise = self._input(images), self._noise(seed)
        L1 = bounds(self.net, x, noise, "test").L1[0]
        sums = importance_bound(self.net, x, noise, samples)
        error = float(sums.mc_variance()[0].double().sum().sqrt()) / x.shape[1]
        mc_error = error if samples > 1 else math.nan
        return Scores(_numpy(L1), _numpy(sums.bound()[0]), samples, mc_error)

    @property
    def _device(self) -> torch.device:
        return self.net.params["x.out.W"].device

    def _input(self, images: NDArray[Any]) -> Tensor:
        """[1, N, X] float32."""
        flat = flattened(images, self.pixels)
        if self.run.hierarchy.observation == "bernoulli" and not np.isin(flat, (0, 1)).all():
            raise UsageError(
                f"images hold values from {flat.min():g} to {flat.max():g}, and {self.run.id}"
                " models binary ones: `--binarise` or `repro.api.binarise` draws them from bytes"
            )
        return torch.from_numpy(flat).unsqueeze(0).to(self._device)

    def _noise(self, seed: int | None) -> Noise:
        """Standard normal draws of a user's own seed, or their mean."""

        def draw(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
            if seed is None:
                return torch.zeros(shape, device=self._device)
            return streams.normal(seed, f"api/{purpose}", i, shape=shape, device=self._device)

        return draw


@dataclass(frozen=True)
class TrainedLadder:
    """A Ladder network with its final weights, and the statistics of its labelled images."""

    run: Run
    net: LadderNet  # one lane
    seen: tuple[Moments, ...]

    def classify(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        """The class of each image by the clean path, [N].

        Images are [N, X] or [N, height, width] with pixels in [0, 1]. Raises UsageError.
        """
        flat = flattened(images, self.run.ladder.sizes[0])
        if flat.min() < 0 or flat.max() > 1:
            raise UsageError(
                f"pixels lie in [{flat.min():g}, {flat.max():g}], not in [0, 1]: divide bytes by"
                f" {self.run.data.grey_scale}"
            )
        x = torch.from_numpy(flat).unsqueeze(0).to(self.net.params["f1.W"].device)
        parts = [predict(self.net, part, self.seen)[0] for part in torch.split(x, ROWS, 1)]
        classes: NDArray[np.uint8] = torch.cat(parts).argmax(-1).byte().cpu().numpy()
        return classes


def load_record(run_id: str, profile: str, store: str | Path | None = None) -> Record:
    """What is saved of a Run: configuration, metrics, provenance, curve and arrays.

    store: "runs", "results" or a folder; None: `runs` where it holds the profile, else `results`.
    Raises RecordError.
    """
    return open_store(store, profile).record(profile, run_id)


def load_model(
    run_id: str, profile: str, store: str | Path | None = None, device: str = "cpu"
) -> TrainedHierarchy | TrainedLadder:
    """The trained model of a finished Run; `store` as in `load_record`.

    Weights stay where a Run was trained, except for the few that `results/weights/` holds. Raises
    RecordError where the Run diverged, and where its record or weights are missing, damaged or of
    another Run.
    """
    opened = open_store(store, profile)
    path = find_weights(opened, opened.record(profile, run_id))
    run, params = load_weights(path)
    params = {name: value.to(device) for name, value in params.items()}
    seen = {
        name: Moments(mean.to(device), var.to(device))
        for name, (mean, var) in load_statistics(path, run).items()
    }
    if isinstance(run.model, Ladder):
        layers = range(1, run.model.depth + 1)
        return TrainedLadder(run, LadderNet(run.model, params), tuple(seen[str(i)] for i in layers))
    return TrainedHierarchy(run, fold(Stack((run,)).lane(params, 0), seen))


def flattened(images: NDArray[Any], pixels: int) -> Floats:
    """[N, X] or [N, height, width] as finite float32 [N, X]. Raises UsageError."""
    array = np.asarray(images)
    refuse_other_images(array, pixels)
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinite
        flat = array.reshape(len(array), pixels).astype(np.float32, order="C")
    if not np.isfinite(flat).all():
        raise UsageError("images hold values that are not finite: remove those images")
    return flat


def refuse_other_images(array: NDArray[Any], pixels: int) -> None:
    """Before any value is read. Raises UsageError for another shape or type."""
    if array.ndim not in (2, 3) or not len(array) or math.prod(array.shape[1:]) != pixels:
        raise UsageError(
            f"images of shape {array.shape}: give [N, {pixels}], or [N, height, width] of as many"
        )
    if array.dtype.kind not in "biuf":
        raise UsageError(f"images of type {array.dtype}: give real numbers")


def _numpy(values: Tensor) -> Floats:
    array: Floats = values.float().cpu().numpy()
    return array
