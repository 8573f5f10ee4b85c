"""Trained models at hand: encode, reconstruct, sample, score and classify images of your own.

numpy in, numpy out. Shapes: N images, X pixels, Z_i units of layer i, L layers; z[0] is the paper's
z_1, nearest the data. Bounds are in nats per example. The same images in the same order meet the
same draws for the same `seed`, on the same kind of device. What is wrong is said by an error of
`repro.errors`: UsageError for what was asked, RecordError for what is saved, MachineError for a
device that is not there or too little memory.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.data.images import MOST, array_of, binarise, flattened, found, to_binary, whole
from repro.errors import MachineError, RecordError, UsageError
from repro.machine.saved.weights import Statistics, find_weights, load_statistics, load_weights
from repro.model import streams
from repro.model.ladder_network import LadderNet, predict
from repro.model.layers import Moments, Net, Params, fold
from repro.model.stack import Stack
from repro.plan.run import Ladder, RealData, Run
from repro.store import Record, open_store
from repro.train import evaluate
from repro.train.annealing import chains as ais
from repro.train.annealing.chains import CHAINS, TEMPERATURES, Annealed, Sandwich

__all__ = ["Annealed", "Sandwich", "Scores", "TrainedHierarchy", "TrainedLadder"]
__all__ += ["binarise", "load_model", "load_record"]

BRIGHTEST = 2  # that a pixel may be, where the largest of the training set is 1


class Scores(NamedTuple):
    """Bounds on log p(x) of each image, [N]; mc_error: Monte-Carlo error of the mean of LK,
    by the jackknife.

    NaN where K = 1, as one sample shows no spread.
    """

    L1: evaluate.Floats
    LK: evaluate.Floats
    K: int
    mc_error: float


@dataclass(frozen=True)
class TrainedHierarchy:
    """A VAE or LVAE with its final weights, into which its batch norm is folded.

    Images are [N, X] or [N, height, width]. Where p(x|z_1) is Bernoulli: 0 and 1, of any real type
    (`binarise` draws them from bytes). Where it is Gaussian: real values of a floating type in the
    units of its training set, (byte + u) / 256 with u drawn from [0, 1), so from 0 to 1. Methods
    raise UsageError for any others, and MachineError where memory does not hold them.
    """

    run: Run
    net: Net  # one lane

    @property
    def pixels(self) -> int:
        heads = 2 if self.run.hierarchy.observation == "gaussian" else 1
        return self.net.params["x.out.W"].shape[-1] // heads

    def encode(self, images: NDArray[Any], seed: int | None = 0) -> list[evaluate.Floats]:
        """One draw z_i ~ q for each image and layer, [N, Z_i] from the data upward.

        seed None: no draw but the mean, given the means of the layers that it depends on.
        """
        with _fitting():
            z = evaluate.latents(self.net, self._input(images), self._noise(seed))
            return [evaluate.numpy_of(layer[0]) for layer in z]

    def reconstruct(self, images: NDArray[Any], seed: int | None = 0) -> evaluate.Floats:
        """Mean of p(x | z_1) for the z of one encoding, [N, X]."""
        with _fitting():
            x = self._input(images)
            return evaluate.numpy_of(evaluate.reconstruct(self.net, x, self._noise(seed))[0])

    def sample(self, n: int, seed: int = 0) -> evaluate.Floats:
        """n images from the prior down, eqs. (1)-(3), each the mean of p(x | z_1): [n, X]."""
        n = whole(n, "sample of {} images", 1, MOST)
        noise = self._noise(whole(seed, "seed {}"))
        with _fitting():
            return evaluate.numpy_of(evaluate.sample(self.net, noise, n)[0])

    def score(self, images: NDArray[Any], samples: int = 500, seed: int = 0) -> Scores:
        """L_1 and L_K of each image, eqs. (4) and (6), with K = `samples`.

        The noise is not that of a record, so a mean differs from the published one by chance.
        """
        K = whole(samples, "{} importance samples", 1, MOST)
        noise = self._noise(whole(seed, "seed {}"))
        with _fitting():
            x = self._input(images)
            L1 = evaluate.bounds(self.net, x, noise, "test").L1[0]
            sums = evaluate.importance_bound(self.net, x, noise, K)
        return Scores(evaluate.numpy_of(L1), evaluate.numpy_of(sums.LK[0].float()), K, sums.error())

    def annealed(
        self,
        images: NDArray[Any],
        chains: int = CHAINS,
        temperatures: int = TEMPERATURES,
        seed: int = 0,
    ) -> Annealed:
        """log p(x) of each image: in expectation a lower bound, hardly touched by q."""
        S, noise = whole(chains, "{} chains", 1, MOST), self._noise(whole(seed, "seed {}"))
        T = whole(temperatures, "{} temperatures", 1, MOST)
        with _fitting():
            x = self._input(images)
            return ais.annealed(self.net, x, noise, ais.tuned_path(self.net, noise, T, S), S)

    def sandwich(
        self, n: int, chains: int = CHAINS, temperatures: int = TEMPERATURES, seed: int = 0
    ) -> Sandwich:
        """Bounds from both sides, in expectation, on log p(x) of n images that the model draws.

        Raises UsageError for a model with flows.
        """
        if self.run.hierarchy.flows:
            raise UsageError(
                f"sandwich: {self.run.id} has planar flows, whose inverse has no closed form:"
                " annealed() bounds log p(x) from below"
            )
        S, noise = whole(chains, "{} chains", 1, MOST), self._noise(whole(seed, "seed {}"))
        T = whole(temperatures, "{} temperatures", 1, MOST)
        n = whole(n, "sandwich of {} images", 1, MOST)
        with _fitting():
            return ais.sandwich(self.net, noise, ais.tuned_path(self.net, noise, T, S), S, n)

    @property
    def _device(self) -> torch.device:
        return self.net.params["x.out.W"].device

    def _input(self, images: NDArray[Any]) -> Tensor:
        """[1, N, X] float32."""
        flat, array = flattened(images, self.pixels), array_of(images)
        if isinstance(self.run.data, RealData):
            self._refuse_other_units(array, self.run.data)
        elif not np.isin(flat, (0, 1)).all():
            raise UsageError(
                f"images of {found(array)}, and {self.run.id} models binary ones:"
                f" {to_binary(array)}"
            )
        return torch.from_numpy(flat).unsqueeze(0).to(self._device)

    def _refuse_other_units(self, array: NDArray[Any], data: RealData) -> None:
        """Integers are bytes or bits, which no density in these units is one of."""
        most = 1 if data.divide_by == "grey_scale" else BRIGHTEST
        if array.dtype.kind != "f" or array.min() < 0 or array.max() > most:
            raise UsageError(
                f"images of {found(array)}, and {self.run.id} models real values from 0 to 1: give"
                f" (byte + u) / {data.grey_scale}, with u drawn from [0, 1)"
            )

    def _noise(self, seed: int | None) -> evaluate.Noise:
        """Standard normal draws of a user's own seed, or their mean."""
        own = None if seed is None else whole(seed, "seed {}")

        def draw(purpose: str, i: int, shape: tuple[int, ...]) -> Tensor:
            if own is None:
                return torch.zeros(shape, device=self._device)
            return streams.normal(own, f"api/{purpose}", i, shape=shape, device=self._device)

        return draw


@dataclass(frozen=True)
class TrainedLadder:
    """A Ladder network with its final weights, and the statistics of its labelled images."""

    run: Run
    net: LadderNet  # one lane
    seen: tuple[Moments, ...]

    def classify(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        """The class of each image by the clean path, [N].

        Images are [N, X] or [N, height, width] of real numbers from 0 to 1: bytes divided by
        `run.data.grey_scale`. Raises UsageError for any others, MachineError as above.
        """
        with _fitting():
            flat = flattened(images, self.run.ladder.sizes[0])
            if flat.min() < 0 or flat.max() > 1:
                raise UsageError(
                    f"images of {found(array_of(images))}, not in [0, 1]: divide bytes by"
                    f" {self.run.data.grey_scale}"
                )
            x = torch.from_numpy(flat).unsqueeze(0).to(self.net.params["f1.W"].device)
            chunks = torch.split(x, evaluate.ROWS, 1)
            parts = [predict(self.net, part, self.seen)[0] for part in chunks]
            classes: NDArray[np.uint8] = torch.cat(parts).argmax(-1).byte().cpu().numpy()
        return classes


def load_record(run_id: str, profile: str, store: str | Path | None = None) -> Record:
    """What is saved of a Run: configuration, metrics, provenance, curve and arrays.

    store: "runs", "results" or a folder; None: `runs` where it holds the profile, else `results`.
    Raises UsageError where there is no such Run or profile, RecordError.
    """
    with _readable(run_id, profile):
        return open_store(store, profile).record(profile, run_id)


def load_model(
    run_id: str, profile: str, store: str | Path | None = None, device: str = "cpu"
) -> TrainedHierarchy | TrainedLadder:
    """The trained model of a finished Run; `store` as in `load_record`.

    Weights stay where a Run was trained, except for the few that `results/weights/` holds. Raises
    RecordError where the Run diverged, and where its record or weights are missing, damaged or of
    another Run; UsageError for what is no Run, profile or device; MachineError for a device that
    does not work here.
    """
    place = _device(device)
    with _readable(run_id, profile):
        opened = open_store(store, profile)
        path = find_weights(opened, opened.record(profile, run_id))
        run, params = load_weights(path)
        statistics = load_statistics(path, run)
        _refuse_incomplete(path, run, params, statistics)
    with _fitting():
        params = {name: value.to(place) for name, value in params.items()}
        seen = {n: Moments(mean.to(place), var.to(place)) for n, (mean, var) in statistics.items()}
    if isinstance(run.model, Ladder):
        each = tuple(seen[str(i)] for i in range(1, run.model.depth + 1))
        return TrainedLadder(run, LadderNet(run.model, params), each)
    return TrainedHierarchy(run, fold(Stack((run,)).lane(params, 0), seen))


def _device(name: str) -> torch.device:
    """Raises UsageError for what is no device, MachineError for one that does not work here."""
    remedy = "use cpu" + (" or cuda" if torch.cuda.is_available() else "")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as e:
        raise UsageError(f"device {name!r}: unknown: {remedy}") from e
    try:
        torch.zeros(1, device=device).item()
    except (AssertionError, RuntimeError, ImportError) as e:  # as each kind of device says it
        why = _first_line(e).partition(". ")[0]
        raise MachineError(f"device {name!r}: {why}: {remedy}") from e
    return device


def _refuse_incomplete(path: Path, run: Run, params: Params, seen: Statistics) -> None:
    """Raises RecordError. Of a hierarchy, only what is normalised has a gamma."""
    needed = Stack((run,)).names
    if not isinstance(run.model, Ladder):
        needed = [n for n in needed if not n.endswith(".gamma")] + [f"{n}.gamma" for n in seen]
    if lacking := [name for name in needed if name not in params]:
        raise RecordError(f"{path}: holds no {lacking[0]}: move its record away to train it again")


@contextlib.contextmanager
def _readable(run_id: str, profile: str) -> Iterator[None]:
    """What the file system says of a path becomes a RecordError."""
    for name in (run_id, profile):
        if not isinstance(name, str):
            raise UsageError(f"Run {run_id!r} of profile {profile!r}: give both names as text")
    try:
        yield
    except (OSError, ValueError, TypeError) as e:
        where = getattr(e, "filename", None) or f"{run_id}, {profile}"
        why = getattr(e, "strerror", None) or _first_line(e)
        raise RecordError(f"{where}: cannot read ({why}): name a readable store and Run") from e


@contextlib.contextmanager
def _fitting() -> Iterator[None]:
    """Too little memory, as numpy and torch say it, becomes a MachineError."""
    try:
        yield
    except (MemoryError, RuntimeError) as e:
        if not isinstance(e, MemoryError | torch.OutOfMemoryError) and "alloc" not in str(e):
            raise
        raise MachineError(f"too little memory ({_first_line(e)}): give fewer at a time") from e


def _first_line(e: Exception) -> str:
    return next(iter(str(e).splitlines()), "") or type(e).__name__
