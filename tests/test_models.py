"""The models: layer sizes and initial values, a plain numpy oracle, the bound and its gradient."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import small
import torch
from fixture_data import refused
from reference import Reference
from scipy.special import logsumexp
from torch import Tensor

from repro.errors import UsageError
from repro.model.families import MODELS
from repro.model.hierarchy import generate
from repro.model.layers import Params
from repro.model.objectives import unit_kl
from repro.model.stack import Stack
from repro.plan.layers import layers
from repro.plan.layers import parameters as counted
from repro.plan.run import LATENTS, WIDTHS, Model, Run
from repro.train.minibatch import Minibatch
from repro.train.step import objective_of
from repro.train.tasks.task import Objective


def stage(name: str, below: int, width: int, units: int = 0) -> list[tuple[str, int, int]]:
    """Two hidden layers and, where there are units, both heads."""
    hidden = [(f"{name}.a", below, width), (f"{name}.b", width, width)]
    return hidden + ([(f"{name}.head", width, 2 * units)] if units else [])


def column(letter: str, *rows: tuple[int, int, int]) -> list[tuple[str, int, int]]:
    """A stage a layer, from the data upward: what lies below, width and units of each."""
    return [part for i, row in enumerate(rows, start=1) for part in stage(f"{letter}{i}", *row)]


OUTPUT = [*stage("x", 64, 512), ("x.out", 512, 784)]
GENERATIVE = OUTPUT + column("p", (32, 256, 64), (16, 128, 32), (8, 64, 16), (4, 32, 8))
WIDER_GENERATIVE = OUTPUT + column("p", (32, 512, 64), (16, 256, 32), (8, 128, 16), (4, 64, 8))
BOTTOM_UP = column("q", (784, 512, 64), (64, 256, 32), (32, 128, 16), (16, 64, 8), (8, 32, 4))
UPWARD = column("d", (784, 512, 64), (512, 256, 32), (256, 128, 16), (128, 64, 8), (64, 32, 4))
UPWARD_MU = [(n.replace("q", "d"), i, o) for n, i, o in BOTTOM_UP]
DOWNWARD = [(n.replace("p", "r"), i, o) for n, i, o in GENERATIVE if n.startswith("p")]

SIZES = {
    "vae": ({"family": "vae", "batch_norm": False}, [*BOTTOM_UP, *GENERATIVE], 1_702_648),
    "vae_bn": ({"family": "vae"}, [*BOTTOM_UP, *GENERATIVE], 1_707_104),
    "lvae": ({"family": "lvae"}, [*UPWARD, *GENERATIVE], 1_859_424),
    "lvae-mu": ({"family": "lvae", "upward": "mu"}, [*UPWARD_MU, *GENERATIVE], 1_707_104),
    "lvae-separate": (
        {"family": "lvae", "shared": False},
        [*UPWARD, *DOWNWARD, *WIDER_GENERATIVE],
        2_320_704,
    ),
}


@pytest.mark.parametrize(("fields", "expected", "parameters"), SIZES.values(), ids=SIZES)
def test_every_layer_has_the_paper_s_size(fields, expected, parameters):
    """As a training begins with them, and as claims count them."""
    model = small.run(latents=LATENTS, widths=WIDTHS, **fields).hierarchy
    declared = [(d.name, d.fan_in, d.fan_out) for d in layers(model, 784)]
    assert sorted(declared) == sorted(expected)
    assert sum(p.numel() for p in initial(**fields).values()) == counted(model, 784) == parameters


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_a_shallower_model_is_the_bottom_of_the_deepest(family: Any) -> None:
    models = [Model(family=family, latents=LATENTS[:d], widths=WIDTHS[:d]) for d in range(1, 6)]
    declared = [set(layers(m, 784)) for m in models]
    assert all(shallow < deep for shallow, deep in pairwise(declared))


def initial(**fields: Any) -> dict[str, Tensor]:
    run = small.run(latents=LATENTS, widths=WIDTHS, **fields)
    return Stack((run,)).initial(784)


@pytest.mark.parametrize(
    ("name", "gain", "fan_in", "fan_out"),
    [
        ("d1.a.W", math.sqrt(2), 784, 512),
        ("d1.b.W", math.sqrt(2), 512, 512),
        ("d1.head.W", 1, 512, 64),
        ("d2.a.W", math.sqrt(2), 512, 256),
        ("p1.head.W", 1, 256, 64),
        ("x.a.W", math.sqrt(2), 64, 512),
        ("x.out.W", 1, 512, 784),
    ],
)
def test_initial_weights_have_the_code_s_deviation(name, gain, fan_in, fan_out):
    W = initial()[name][0].double()
    std = gain * math.sqrt(2 / (fan_in + fan_out))
    n = W.numel()
    assert abs(float(W.mean())) < 5 * std / math.sqrt(n)
    assert float(W.std()) == pytest.approx(std, rel=5 / math.sqrt(2 * n))


def test_initial_weights_are_normal_and_uniform_heads_alone_fill_their_bounds() -> None:
    W = initial()["d1.head.W"].double()
    kurtosis = float((W**4).mean() / (W**2).mean() ** 2)
    assert kurtosis == pytest.approx(3, abs=5 * math.sqrt(24 / W.numel()))
    params, bound = initial(head_init="uniform"), math.sqrt(6 / (512 + 64))
    W, hidden = (params[f"d1.{name}.W"].double() for name in ("head", "a"))
    assert 0.999 * bound < W.abs().max() <= bound
    assert float(W.std()) == pytest.approx(math.sqrt(2 / (512 + 64)), rel=0.01)
    assert float(hidden.abs().max()) > 4 * float(hidden.std())


@pytest.mark.parametrize("plain", [{}, {"batch_norm": False}, {"head_batch_norm": False}], ids=str)
@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_scales_begin_at_one_shifts_at_zero_and_those_of_a_plain_variance_at_one(family, plain):
    for name, p in Stack((small.run(family, **plain),)).initial(small.PIXELS).items():
        if name.endswith(".head.beta") and plain:
            assert (p.unflatten(-1, (2, -1)) == torch.tensor([[0], [1]])).all(), name
        elif not name.endswith(".W"):
            assert (p == (1 if name.endswith(".gamma") else 0)).all(), name


def test_equal_shaped_layers_start_differently() -> None:
    params = Stack((small.run("lvae", latents=(5, 5), widths=(13, 13)),)).initial(13)
    hidden = [p for name, p in params.items() if name.endswith(".b.W")]
    assert not any(torch.equal(a, b) for a, b in pairwise(hidden))


NORB: dict[str, Any] = {"observation": "gaussian", "nonlinearity": "tanh"}
VARIANTS = {
    **small.HIERARCHIES,
    "lvae_bn-code_slope": {"family": "lvae", "leaky_slope": 0.01},
    **{
        f"{family}-{norm}-real": {"family": family, "batch_norm": norm, **NORB}
        for family in ("vae", "lvae")
        for norm in (True, False)
    },
}
S = 4


def close(ours: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(ours[0].numpy(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_densities_and_latents_of_a_pass_are_the_oracle_s(variant: dict[str, Any]) -> None:
    """So z is q with its own noise, and everything above and below sees the z that was drawn."""
    net = small.net(small.run(**variant))
    real = net.model.observation == "gaussian"
    x, eps = small.real() if real else small.bits(), small.eps(net, S)
    out = small.infer(net, x, eps)
    reference, e = Reference.of(net.model, net.params), [layer[0].numpy() for layer in eps]
    log_px, kl = reference.terms(x[0].numpy(), e)
    close(out.log_px.flatten(1), log_px)
    for log_q, log_p, term in zip(out.log_q, out.log_p, kl, strict=True):
        close((log_q - log_p).flatten(1, 2), term)
    _, _, z = getattr(reference, net.model.family)(x[0].numpy(), e)
    for ours, expected in zip(out.z, z, strict=True):
        close(ours, expected)
    assert set(net.seen) == set(reference.moments)


@pytest.mark.parametrize("fields", [{}, NORB], ids=["bernoulli", "gaussian"])
@pytest.mark.parametrize("family", MODELS)
def test_generation_is_ancestral_sampling_from_the_top(family: str, fields: dict[str, Any]) -> None:
    net = small.net(small.run(family, **fields))
    eps = [e.flatten(1, 2) for e in small.eps(net)]
    reference = Reference.of(net.model, net.params)
    z = eps[2][0].numpy()
    for i in (2, 1):
        mu, var = reference.normal(f"p{i}", z)
        z = mu + np.sqrt(var) * eps[i - 1][0].numpy()
    close(generate(net, eps), reference.mean(z))


@pytest.mark.parametrize("family", MODELS)
def test_a_pass_has_the_shapes_it_declares(family: str) -> None:
    net = small.net(small.run(family, 3), small.run(family, 2))
    out = small.infer(net, small.bits(2), small.eps(net, S))
    B = small.BATCH
    assert out.log_px.shape == (2, S, B)
    for densities in (out.log_q, out.log_p):
        assert [tuple(t.shape) for t in densities] == [(2, S, B, 5), (2, S, B, 3), (1, S, B, 2)]
    assert [tuple(t.shape) for t in out.z] == [(2, S * B, 5), (2, S * B, 3), (1, S * B, 2)]
    assert out.px.mean.shape == (2, S * B, small.PIXELS)


def test_batch_norm_epsilon_stands_inside_the_root() -> None:
    net = small.net(small.run("lvae", batch_norm_eps=0.25))
    h = small.bits() @ net.params["d1.a.W"]
    expected = (h - h.mean(1, keepdim=True)) / (h.var(1, correction=0, keepdim=True) + 0.25).sqrt()
    expected = expected * net.params["d1.a.gamma"] + net.params["d1.a.beta"]
    torch.testing.assert_close(net.dense("d1.a", small.bits()), expected)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_real_valued_output_s_mean_and_variance_begin_as_layers_of_their_own(batch_norm: bool):
    """The variance at bias one."""
    run = small.run(depth=1, **NORB, latents=(64,), widths=(512,), batch_norm=batch_norm)
    params = Stack((run,)).initial(1024)
    assert float(params["x.out.W"].std()) == pytest.approx((2 / (512 + 1024)) ** 0.5, rel=0.01)
    assert params["x.out.beta"][0].tolist() == [0] * 1024 + [1] * 1024


# The bound

SAMPLES = {"mc_samples": 2, "importance_samples": 3}
BETA = 0.37
IWAE = {"nonlinearity": "tanh", "variance": "exp", "batch_norm": False, "var_floor": 0.0}
BOUNDS = {"vae": {"family": "vae"}, "lvae": {"family": "lvae"}, "iwae": {"family": "vae", **IWAE}}


def minibatch(run: Run, beta: float = BETA) -> tuple[Objective, Params, Minibatch]:
    """The objective of one lane with parameters and a minibatch for it, in float64."""
    stack = Stack((run,))
    net = small.net(run)
    samples = run.optim.mc_samples * run.optim.importance_samples
    one = torch.ones(1, dtype=torch.float64)
    batch = Minibatch(small.bits(), small.eps(net, samples), beta * one, 1e-3 * one)
    return objective_of(stack), net.params, batch


@pytest.mark.parametrize("fields", BOUNDS.values(), ids=BOUNDS)
@pytest.mark.parametrize(
    ("beta", "optim"),
    [(0.0, {}), (BETA, {}), (1.0, {}), (BETA, SAMPLES), (BETA, {"mc_samples": 5})],
)
def test_the_bound_is_the_oracle_s(fields, beta, optim):
    """Reconstruction less beta KL; beta inside the importance weights, Monte-Carlo samples out."""
    run = small.run(**fields, optim=optim)
    objective, params, batch = minibatch(run, beta)
    e = [layer[0].numpy() for layer in batch.eps]
    log_px, kl = Reference.of(run.model, params).terms(batch.x[0].numpy(), e)
    log_w = log_px - beta * sum(term.sum(1) for term in kl)
    log_w = log_w.reshape(run.optim.mc_samples, run.optim.importance_samples, -1)
    expected = (logsumexp(log_w, axis=1) - math.log(log_w.shape[1])).mean()
    assert float(objective(params, batch)) == pytest.approx(expected, rel=1e-10)


GRADIENTS = {
    **small.HIERARCHIES,
    "lvae_bn-closed": {"family": "lvae", "optim": {"kl": "closed"}},
    "vae_bn-samples": {"family": "vae", "optim": SAMPLES},
    "lvae_bn-samples": {"family": "lvae", "optim": SAMPLES},
}


@pytest.mark.parametrize("fields", GRADIENTS.values(), ids=GRADIENTS)
def test_gradient_is_the_finite_difference(fields: dict[str, Any]) -> None:
    objective, params, batch = minibatch(small.run(**fields))
    leaves = {n: p.clone().requires_grad_() for n, p in params.items()}
    grads = torch.autograd.grad(objective(leaves, batch).sum(), list(leaves.values()))
    g, h = torch.Generator().manual_seed(2), 1e-6
    for (name, p), grad in zip(params.items(), grads, strict=True):
        along = torch.randn(p.shape, generator=g, dtype=p.dtype)
        up, down = (objective(params | {name: p + s * h * along}, batch) for s in (1, -1))
        slope = float(up - down) / (2 * h)
        rounding = 1e-6 * float(grad.norm() * along.norm())
        assert grad.any(), name
        assert float((grad * along).sum()) == pytest.approx(slope, abs=rounding), name


@pytest.mark.parametrize("fields", [{}, {"shared": False}, {"upward": "mu"}], ids=str)
def test_closed_form_kl_is_the_expectation_of_the_sampled_one(fields: dict[str, Any]) -> None:
    net = small.net(small.run("lvae", batch_norm=False, **fields))
    S = 4001
    out = small.infer(net, small.bits(B=3), small.eps(net, S, B=3))
    for sampled, closed in zip(unit_kl(net, out, "mc"), unit_kl(net, out, "closed"), strict=True):
        difference = (sampled - closed).mean(2)  # [1, S, Z_i]
        error = difference.std(1) / math.sqrt(S)
        assert (difference.mean(1).abs() < 5 * error).all()


def test_closed_form_is_refused_for_a_bottom_up_vae() -> None:
    with refused(UsageError, "closed", "VAE", "mc"):
        small.run("vae", optim={"kl": "closed"})


@pytest.mark.parametrize(
    ("warmup", "epoch", "beta"),
    [
        *((200, 1, 0), (200, 2, 0.005), (200, 101, 0.5), (200, 200, 0.995), (200, 201, 1)),
        *((200, 2000, 1), (0, 1, 1), (0, 2, 1)),
    ],
)
def test_beta_rises_linearly_to_one_after_the_warm_up_epochs(warmup, epoch, beta):
    assert small.run(warmup=warmup).beta(epoch) == pytest.approx(beta, abs=1e-15)
