"""`Run` and its parts: one training configuration, frozen, hashable, JSON both ways.

Every choice that the paper leaves open or that the released code made differently is a
field here, with this project's default. A default never changes, because saved Runs are written
without the fields that have it. Sizes are ordered from the data upward. No torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby
from typing import Any, Literal

from repro.errors import RecordError, UsageError
from repro.plan.conditions import problems
from repro.plan.from_json import build, read, sparse

LATENTS = (64, 32, 16, 8, 4)
WIDTHS = (512, 256, 128, 64, 32)
LADDER_SIZES = (784, 1000, 500, 250, 250, 250, 10)


@dataclass(frozen=True)
class Data:
    """What is modelled: binary pixels. Grey value of a pixel = byte / `grey_scale`."""

    name: str = "mnist"
    grey_scale: Literal[255, 256] = 256  # the released data file holds byte/256, IWAE's /255
    test_seed: int = 0  # the one draw of the test set that scores all; of real values, of both sets


@dataclass(frozen=True)
class LabelledData(Data):
    """Grey values for a Ladder network, which is told the class of some training images."""

    labels: int = field(kw_only=True)  # how many
    balanced: bool = True  # equally many of each class, unless every image is labelled
    pool: Literal["all", "rest"] = "all"  # unlabelled images: all of them; kzky: the others
    label_order: Literal["random", "file"] = "random"  # parmesan: the file's first are labelled
    first_images: int | None = None  # of the file, the others are unused; parmesan: 50,000


@dataclass(frozen=True)
class RealData(Data):
    """Real values for a Gaussian p(x|z_1); the defaults are the code's at the time of the paper."""

    resample: Literal["bicubic", "box"] = "bicubic"  # small NORB: 96x96 to 32x32
    copies: Literal[1, 2] = 2  # training images, each with its own dequantisation
    test_copies: Literal[1, 2] = 2
    dequantise: bool = True  # uniform [0, 1) added to every byte, once
    divide_by: Literal["grey_scale", "maximum"] = "grey_scale"  # later code: training maximum


@dataclass(frozen=True)
class Model:
    """A hierarchy of stochastic layers z_1..z_L and the MLPs between them."""

    family: Literal["vae", "lvae"] = "vae"
    latents: tuple[int, ...] = LATENTS
    widths: tuple[int, ...] = WIDTHS
    observation: Literal["bernoulli", "gaussian"] = "bernoulli"  # p(x|z_1), eq. (3)
    batch_norm: bool = False
    head_batch_norm: bool = True  # also on the linear mu and variance heads, as the code
    batch_norm_eps: float = 1e-10
    upward: Literal["d", "mu"] = "d"  # LVAE eq. (13) reads d_{n-1}; the code reads mu_hat_{n-1}
    shared: bool = True  # LVAE: p(z_i|z_{i+1}) serves inference too, as the paper
    nonlinearity: Literal["leaky_relu", "tanh"] = "leaky_relu"  # of the MLPs
    leaky_slope: float = 0.1  # the released code: 0.01
    var_floor: float = 1e-5  # added to variances inside log densities only
    mean_clip: float = 1e-5  # Bernoulli mean kept in [clip, 1 - clip]
    head_init: Literal["normal", "uniform"] = "normal"  # the released LVAE draws heads uniformly
    variance: Literal["softplus", "exp"] = "softplus"  # eq. (12); IWAE: sigma = exp(linear)
    init: Literal["code", "glorot"] = "code"  # of all weights; IWAE: Glorot uniform
    output_bias: Literal["zero", "data"] = "zero"  # IWAE: the logit of the training mean
    flows: int = 0  # planar ones after q(z_1|x), of a VAE of one layer

    @property
    def depth(self) -> int:
        return len(self.latents)


@dataclass(frozen=True)
class Ladder:
    """A Ladder network (Rasmus et al. 2015), layers i = 0..L from the data upward.

    The defaults are the full model with 100 labels, as the released code trained it.
    """

    family: Literal["ladder"] = "ladder"
    sizes: tuple[int, ...] = LADDER_SIZES  # m_0..m_L: pixels, hidden layers, classes
    noise: tuple[float, ...] = (0.3,) * 7  # standard deviation at each layer, the input first
    cost_weights: tuple[float, ...] = (1000.0, 10.0, *(0.1,) * 5)  # lambda_0..lambda_L
    cost_rows: Literal["unlabelled", "both"] = "unlabelled"  # kzky: both, each at full weight
    decoder: Literal["full", "top", "none"] = "full"  # the Gamma model estimates the top alone
    combinator: Literal["gauss", "sig", "g2", "g3", "g4", "linear", "mlp", "amlp"] = "gauss"
    combinator_hidden: tuple[int, ...] = ()  # widths of an MLP combinator
    # Published, Pezeshki's RevInit and RandInit; parmesan's, whose z_hat begins as z.
    combinator_init: Literal["ones", "swapped", "random", "lateral"] = "ones"
    combinator_std: float = 0.025  # of a random beginning; a value that was tried, not the tuned
    combinator_shared: bool = False  # one for all units of a layer; recalled: theirs is one a unit
    lateral: bool = True  # whether combinators are given z; Pezeshki's NoLateral: 0 instead
    top_input: Literal["softmax", "logits"] = "softmax"  # what u_L is made of; kzky: logits
    estimate_norm: bool = True  # estimates on the scale of the clean z; never at layer 0
    # Variance 1 / fan-in; kzky: uniform; Lasagne: uniform of variance 2 / (fan-in + fan-out).
    weight_init: Literal["normal", "uniform", "glorot"] = "normal"
    beta_init: float = 0.0  # kzky: 1
    gamma_init: Literal["one", "uniform"] = "one"  # kzky: uniform of unit variance
    batch_norm_eps: float = 1e-10
    dead_var: float = 1e-10  # a unit of less clean variance keeps its scale in the cost
    test_var: Literal["unbiased", "biased"] = "unbiased"  # of the statistics that predict
    leaky_slope: float = 0.0  # of the hidden layers; 0: ReLU; parmesan: 0.01
    gammas: Literal["top", "all", "none"] = "top"  # parmesan: all layers; Lasagne: none
    affine: Literal["shift_first", "scale_first"] = "shift_first"  # parmesan: gamma z + beta
    vertical_affine: bool = False  # parmesan: each u is scaled and shifted once normalised
    joined: bool = False  # both halves normalised together; parmesan, Lasagne, Pezeshki's code
    estimate_scale: Literal["clean", "noisy"] = "clean"  # path of the statistics; parmesan: noisy
    passed_down: Literal["raw", "normalised"] = "raw"  # z_hat as V sees it; Lasagne: normalised

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @property
    def estimated(self) -> tuple[int, ...]:
        """Layers whose z the decoder estimates."""
        lowest = {"full": 0, "top": self.depth, "none": len(self.sizes)}[self.decoder]
        return tuple(range(lowest, len(self.sizes)))

    @property
    def costly(self) -> tuple[int, ...]:
        """Layers whose denoising cost is trained."""
        return tuple(i for i, weight in enumerate(self.cost_weights) if weight)


def kind_of_data(model: Model | Ladder) -> type[Data]:
    """What a model trains on."""
    if isinstance(model, Ladder):
        return LabelledData
    return Data if model.observation == "bernoulli" else RealData


@dataclass(frozen=True)
class Optim:
    """Adam on the mean bound of a minibatch, gradients clipped per lane."""

    lr: float = 1e-3
    batch: int = 256
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-4
    eps_form: Literal["usual", "code"] = "usual"  # "code": eps beside the uncorrected sqrt(v)
    clip_norm: float | None = 4.0  # total gradient norm, then ...
    clip_value: float | None = 0.9  # ... each element
    kl: Literal["mc", "closed"] = "mc"  # "closed" is valid for the LVAE only
    mc_samples: int = 1
    importance_samples: int = 1


@dataclass(frozen=True)
class Stage:
    """Part of a schedule: so many epochs at `factor` times the learning rate."""

    epochs: int
    factor: float


def staged(factors: Iterable[float]) -> tuple[Stage, ...]:
    """The stages of a schedule, given the factor of each epoch."""
    return tuple(Stage(len(list(same)), factor) for factor, same in groupby(factors))


@dataclass(frozen=True)
class Schedule:
    """How long to train, and the warm-up of beta, eq. (20)."""

    epochs: int = 2000
    warmup_epochs: int = 0  # N_t; 0: beta = 1 throughout
    steps_per_epoch: int | None = None  # None: all full minibatches
    decay_from: float | None = None  # share of the epochs after which lr falls linearly to 0
    stages: tuple[Stage, ...] = ()  # of lr, one after the other through all epochs; or just one


@dataclass(frozen=True)
class Evaluation:
    """When the bounds are measured, and how well. None means every image."""

    epochs: tuple[int, ...] = (2000,)
    importance_samples: int = 5000  # the K of L_K
    lk_images: int | None = None
    train_images: int | None = None
    test_images: int | None = None
    # Batch-norm statistics that score: of one pass over the training set, or the mean of those
    # of its minibatches, which running averages would come to.
    statistics: Literal["full", "minibatches"] = "full"


NO_CHOICE = {f.name: f.default for f in dataclasses.fields(RealData)}
NO_CHOICE.update({f.name: f.default for f in dataclasses.fields(LabelledData)}, labels=None)


@dataclass(frozen=True)
class Run:
    """One training configuration with its seed. `id` names it, `hash` identifies it."""

    variant: str
    data: Data = field(default_factory=Data)
    model: Model | Ladder = field(default_factory=Model)
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    evaluation: Evaluation = field(default_factory=Evaluation)
    seed: int = 1
    start: Run | None = None  # whose weights and Adam moments it begins with; of the same seed

    @classmethod
    def as_saved(cls, raw: dict[str, Any], where: str) -> tuple[dict[str, Any], dict[str, type]]:
        """What was saved, and the kind of data that its model tells: the file does not say it.

        At first every Run had the fields of all kinds; those that are not its own are left out
        where they say nothing.
        """
        kind = kind_of_data(read(cls, "model", raw, where) if "model" in raw else Model())
        if isinstance(data := raw.get("data"), dict):
            known = {f.name for f in dataclasses.fields(kind)}
            own = {n: v for n, v in data.items() if n in known or v != NO_CHOICE.get(n, ...)}
            raw = {**raw, "data": own}
        return raw, {"data": kind}

    def __post_init__(self) -> None:
        given, kind = type(self.data), kind_of_data(self.model)
        if given is not kind:
            raise UsageError(
                f"run {self.id}: data is {given.__name__}: its model needs {kind.__name__}"
            )
        for problem in problems(self):
            raise UsageError(f"run {self.id}: {problem}")

    @property
    def id(self) -> str:
        if isinstance(self.model, Ladder):
            return f"ladder-{self.variant}-{self.labels}-s{self.seed}"
        return f"{self.data.name}-{self.variant}-L{self.model.depth}-s{self.seed}"

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON: two Runs with one hash train the same thing.

        Neither a Run's name counts nor a field at its default, so that it keeps its hash when it
        is renamed and when fields are added; what it starts from counts by its own hash.
        """
        content = saved(self)
        del content["variant"]
        if self.start is not None:
            content["start"] = self.start.hash
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def hierarchy(self) -> Model:
        """The model of a Run that trains a VAE or LVAE."""
        assert isinstance(self.model, Model), f"{self.id} is no hierarchy of stochastic layers"
        return self.model

    @property
    def ladder(self) -> Ladder:
        """The model of a Run that trains a Ladder network."""
        assert isinstance(self.model, Ladder), f"{self.id} is no Ladder network"
        return self.model

    @property
    def labelled(self) -> LabelledData:
        """The data of a Run that trains a Ladder network."""
        assert isinstance(self.data, LabelledData), f"{self.id} is no Ladder network"
        return self.data

    @property
    def labels(self) -> int:
        """Training images whose class it is told: none, 0, for a hierarchy."""
        return self.data.labels if isinstance(self.data, LabelledData) else 0

    @property
    def labelled_batch(self) -> int:
        """Labelled images of a minibatch: as many as unlabelled ones, where there are so many."""
        return min(self.optim.batch, self.labels)

    @property
    def epochs_before(self) -> int:
        """Epochs that its weights were trained for before its first: draws go on from there."""
        return 0 if self.start is None else self.start.epochs_before + self.start.schedule.epochs

    def with_seed(self, seed: int) -> Run:
        """The same Run with another seed, and so is what it starts from."""
        start = None if self.start is None else self.start.with_seed(seed)
        return replace(self, seed=seed, start=start)

    def beta(self, epoch: int) -> float:
        """Warm-up weight of the KL in epoch 1, 2, ...: beta_e = min(1, (e - 1)/N_t), eq. (20)."""
        n_t = self.schedule.warmup_epochs
        return min(1.0, (epoch - 1) / n_t) if n_t else 1.0

    def lr(self, epoch: int) -> float:
        """Learning rate of epoch 1, 2, ... of E: by stages, or constant, then linear to 0.

        Once k epochs are done and k > d E, it is lr (E - k)/(E - d E), d being `decay_from`.
        """
        E, d, done = self.schedule.epochs, self.schedule.decay_from, epoch - 1
        if stages := self.schedule.stages:
            ends = accumulate(stage.epochs for stage in stages)
            factors = (s.factor for s, end in zip(stages, ends, strict=True) if done < end)
            return self.optim.lr * next(factors)
        if d is None or done <= d * E:
            return self.optim.lr
        return self.optim.lr * (E - done) / (E - d * E)


def to_dict(part: Any) -> dict[str, Any]:
    """A Run, or a part of one, as plain JSON values: every field, for people."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(part)))
    return plain


def saved(run: Run) -> dict[str, Any]:
    """A Run as records, weights and checkpoints hold it: without fields at their default."""
    return sparse(run)


def from_dict(raw: Any, where: str = "run") -> Run:
    """The Run that `saved` or `to_dict` wrote; fields that are not there take their default.

    Raises RecordError for anything that is not one.
    """
    try:
        run: Run = build(Run, raw, where)
    except UsageError as e:
        raise RecordError(f"{where}: {e}") from e
    return run
