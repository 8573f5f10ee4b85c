"""Both models against a plain numpy oracle."""

from typing import Any

import numpy as np
import pytest
import small
import torch
from reference import Reference
from torch import Tensor

from repro.model.families import MODELS
from repro.model.hierarchy import generate
from repro.model.layers import Net
from repro.model.stack import Stack
from repro.plan.run import Model

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
    B, X = small.BATCH, small.PIXELS
    assert out.log_px.shape == (2, S, B)
    assert [tuple(t.shape) for t in out.log_q] == [(2, S, B, 5), (2, S, B, 3), (1, S, B, 2)]
    assert [tuple(t.shape) for t in out.log_p] == [tuple(t.shape) for t in out.log_q]
    assert [tuple(t.shape) for t in out.z] == [(2, S * B, 5), (2, S * B, 3), (1, S * B, 2)]
    assert out.px.mean.shape == (2, S * B, X)


def test_a_constant_before_batch_norm_changes_nothing() -> None:
    net = small.net(small.run("lvae"))
    y = small.bits()
    W = net.params["d1.a.W"]
    shifted = net.params | {"d1.a.W": torch.cat([W, torch.linspace(-9, 9, 13).view(1, 1, 13)], 1)}
    with_one = torch.cat([y, torch.ones_like(y[..., :1])], -1)
    ours = Net(net.model, net.lanes, shifted).dense("d1.a", with_one)
    torch.testing.assert_close(ours, net.dense("d1.a", y), rtol=1e-9, atol=1e-9)


def test_batch_norm_epsilon_stands_inside_the_root() -> None:
    net = small.net(small.run("lvae", batch_norm_eps=0.25))
    h = small.bits() @ net.params["d1.a.W"]
    expected = (h - h.mean(1, keepdim=True)) / (h.var(1, correction=0, keepdim=True) + 0.25).sqrt()
    expected = expected * net.params["d1.a.gamma"] + net.params["d1.a.beta"]
    torch.testing.assert_close(net.dense("d1.a", small.bits()), expected)
    assert Model().batch_norm_eps == 1e-10


@pytest.mark.parametrize("batch_norm", [True, False])
def test_a_real_valued_output_s_variance_starts_at_bias_one(batch_norm: bool) -> None:
    stack = Stack((small.run(**NORB, batch_norm=batch_norm),))
    shift = stack.initial(small.PIXELS)["x.out.beta"][0]
    assert shift.tolist() == [0] * small.PIXELS + [1] * small.PIXELS


def test_its_mean_and_variance_are_initialised_as_layers_of_their_own() -> None:
    stack = Stack((small.run(depth=1, **NORB, latents=(64,), widths=(512,)),))
    W = stack.initial(1024)["x.out.W"]
    assert float(W.std()) == pytest.approx((2 / (512 + 1024)) ** 0.5, rel=0.01)


@pytest.mark.parametrize("fields", [{"nonlinearity": "tanh"}, {"observation": "gaussian"}])
def test_a_model_field_counts_where_it_is_used(fields: dict[str, Any]) -> None:
    assert small.run(**fields).hash != small.run().hash
