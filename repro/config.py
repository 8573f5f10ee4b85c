"""`Run` and its parts: one training configuration, frozen, hashable, JSON both ways.

Every choice that the paper leaves open or that the released code made differently is a
field here, with this project's default. Sizes are ordered from the data upward. No torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from repro.errors import RecordError, UsageError

LATENTS = (64, 32, 16, 8, 4)
WIDTHS = (512, 256, 128, 64, 32)
LADDER_SIZES = (784, 1000, 500, 250, 250, 250, 10)


@dataclass(frozen=True)
class Data:
    """What is modelled. Grey value of a pixel = byte / `grey_scale`."""

    name: str = "mnist"
    grey_scale: Literal[255, 256] = 256  # the released data file holds byte/256, IWAE's /255
    test_seed: int = 0  # the one binarisation of the test set that scores every Run


@dataclass(frozen=True)
class Model:
    """A hierarchy of stochastic layers z_1..z_L and the MLPs between them."""

    family: Literal["vae", "lvae"] = "vae"
    latents: tuple[int, ...] = LATENTS
    widths: tuple[int, ...] = WIDTHS
    observation: Literal["bernoulli"] = "bernoulli"
    batch_norm: bool = False
    head_batch_norm: bool = True  # also on the linear mu and variance heads, as the code
    batch_norm_eps: float = 1e-10
    upward: Literal["d", "mu"] = "d"  # LVAE eq. (13) reads d_{n-1}; the code reads mu_hat_{n-1}
    shared: bool = True  # LVAE: p(z_i|z_{i+1}) serves inference too, as the paper
    leaky_slope: float = 0.1  # the released code: 0.01
    var_floor: float = 1e-5  # added to variances inside log densities only
    mean_clip: float = 1e-5  # Bernoulli mean kept in [clip, 1 - clip]
    head_init: Literal["normal", "uniform"] = "normal"  # the released LVAE draws heads uniformly

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
    combinator_init: Literal["ones", "swapped", "random"] = "ones"  # Pezeshki: published, Rev, Rand
    combinator_std: float = (
        0.025  # of a random beginning; a value that was tried, not the tuned one
    )
    combinator_shared: bool = False  # one for all units of a layer; the paper has one a unit
    lateral: bool = True  # whether combinators are given z; Pezeshki's NoLateral: 0 instead
    top_input: Literal["softmax", "logits"] = "softmax"  # what u_L is made of; kzky: logits
    estimate_norm: bool = True  # estimates on the scale of the clean z; never at layer 0
    weight_init: Literal["normal", "uniform"] = "normal"  # variance 1 / fan-in; kzky: uniform
    beta_init: float = 0.0  # kzky: 1
    gamma_init: Literal["one", "uniform"] = "one"  # kzky: uniform of unit variance
    batch_norm_eps: float = 1e-10
    dead_var: float = 1e-10  # a unit of less clean variance keeps its scale in the cost
    test_var: Literal["unbiased", "biased"] = "unbiased"  # of the statistics that predict

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
class Schedule:
    """How long to train, and the warm-up of beta, eq. (20)."""

    epochs: int = 2000
    warmup_epochs: int = 0  # N_t; 0: beta = 1 throughout
    steps_per_epoch: int | None = None  # None: all full minibatches


@dataclass(frozen=True)
class Evaluation:
    """When the bounds are measured, and how well. None means every image."""

    epochs: tuple[int, ...] = (2000,)
    importance_samples: int = 5000  # the K of L_K
    lk_images: int | None = None
    train_images: int | None = None
    test_images: int | None = None


@dataclass(frozen=True)
class Run:
    """One training configuration with its seed. `id` names it, `hash` identifies it."""

    variant: str
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    evaluation: Evaluation = field(default_factory=Evaluation)
    seed: int = 1

    def __post_init__(self) -> None:
        for ok, problem in _conditions(self):
            if not ok:
                raise UsageError(f"run {self.id}: {problem}")

    @property
    def id(self) -> str:
        return f"{self.data.name}-{self.variant}-L{self.model.depth}-s{self.seed}"

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON: two Runs with one hash train the same thing."""
        return hashlib.sha256(json.dumps(to_dict(self), sort_keys=True).encode()).hexdigest()

    def beta(self, epoch: int) -> float:
        """Warm-up weight of the KL in epoch 1, 2, ...: beta_e = min(1, (e - 1)/N_t), eq. (20)."""
        n_t = self.schedule.warmup_epochs
        return min(1.0, (epoch - 1) / n_t) if n_t else 1.0


def _conditions(run: Run) -> list[tuple[bool, str]]:
    m, o, s, e = run.model, run.optim, run.schedule, run.evaluation
    return [
        (m.depth >= 1, "model.latents is empty: give at least one layer"),
        (len(m.widths) >= m.depth, f"{len(m.widths)} widths for {m.depth} layers: give one each"),
        (min((*m.latents, *m.widths), default=0) > 0, "latents and widths must be positive"),
        (
            m.family == "lvae" or o.kl == "mc",
            "optim.kl 'closed' is wrong for a bottom-up VAE (z_{i+1} was drawn from z_i): use 'mc'",
        ),
        (
            m.family == "lvae" or (m.shared and m.upward == "d"),
            "model.shared and model.upward are choices of the LVAE: leave their defaults",
        ),
        (s.epochs >= 1, f"schedule.epochs is {s.epochs}: train at least one"),
        (s.warmup_epochs >= 0, f"schedule.warmup_epochs is {s.warmup_epochs}: use 0 for none"),
        (
            bool(e.epochs) and max(e.epochs) == s.epochs and min(e.epochs) >= 1,
            f"evaluation.epochs must lie in 1..{s.epochs} and end with the last epoch",
        ),
        (
            min(o.batch, o.mc_samples, o.importance_samples, e.importance_samples) >= 1,
            "batch and sample counts must be at least 1",
        ),
    ]


def to_dict(part: Any) -> dict[str, Any]:
    """A Run, or a part of one, as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(part)))
    return plain


def from_dict(raw: Any, where: str = "run") -> Run:
    """The Run that `to_dict` wrote; fields added since take their default.

    Raises RecordError for anything that is not one.
    """
    run: Run = _build(Run, raw, where)
    return run


def _build(cls: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise RecordError(f"{where}: expected an object, found {type(raw).__name__}")
    types_of = typing.get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls)}
    for name in raw:
        if name not in known:
            raise RecordError(f"{where}.{name}: unknown field; is it from a newer version?")
    for name, f in known.items():
        no_default = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if no_default and name not in raw:
            raise RecordError(f"{where}.{name}: missing")
    return cls(**{n: _value(types_of[n], v, f"{where}.{n}") for n, v in raw.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        ok = value in args
    elif origin is tuple:
        ok = isinstance(value, list | tuple)
        return (
            tuple(_value(args[0], v, where) for v in value) if ok else _reject(kind, value, where)
        )
    elif origin in (typing.Union, types.UnionType):
        inner = next(a for a in args if a is not type(None))
        return None if value is None else _value(inner, value, where)
    elif kind is float:
        ok = isinstance(value, int | float) and not isinstance(value, bool)
        value = float(value) if ok else value
    else:
        ok = type(value) is kind
    return value if ok else _reject(kind, value, where)


def _reject(kind: Any, value: Any, where: str) -> None:
    raise RecordError(f"{where}: {value!r} is not a valid {getattr(kind, '__name__', kind)}")
