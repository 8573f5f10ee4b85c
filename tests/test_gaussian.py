"""Real-valued images: the Gaussian p(x | z_1), tanh, and that binary Runs keep their identity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import small
import torch
from reference import Reference
from scipy.stats import norm
from torch import Tensor

from repro.model.distributions import Normal
from repro.model.hierarchy import generate, log_observation, observation
from repro.model.layers import Net
from repro.model.stack import Stack
from repro.plan.run import Model

NORB: dict[str, Any] = {"observation": "gaussian", "nonlinearity": "tanh"}
S = 3


def net_of(family: str = "lvae", **fields: Any) -> Net:
    return small.net(small.run(family, **{**NORB, **fields}))


@pytest.mark.parametrize("norm", [True, False], ids=["bn", "plain"])
@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_a_pass_over_real_images_is_the_oracle_s(family: str, norm: bool) -> None:
    net = net_of(family, batch_norm=norm)
    x, eps = small.real(), small.eps(net, S)
    out = small.infer(net, x, eps)
    reference = Reference.of(net.model, net.params)
    log_px, kl = reference.terms(x[0].numpy(), [e[0].numpy() for e in eps])
    np.testing.assert_allclose(out.log_px[0].flatten().numpy(), log_px, rtol=1e-9)
    for log_q, log_p, term in zip(out.log_q, out.log_p, kl, strict=True):
        ours = (log_q - log_p)[0].flatten(0, 1).numpy()
        np.testing.assert_allclose(ours, term, rtol=1e-8, atol=1e-10)


def test_the_density_is_scipy_s_with_the_floor_added_to_the_variance() -> None:
    net = net_of(var_floor=0.25)
    x, px = small.real(), Normal(small.real(seed=1), small.real(seed=2) + 0.1)
    expected = norm.logpdf(x.numpy(), px.mu.numpy(), np.sqrt(px.var.numpy() + 0.25)).sum(-1)
    ours = log_observation(net, x, px, 1).squeeze(1)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)


def test_the_mean_is_linear_and_the_variance_softplus() -> None:
    net, z = net_of(), torch.randn(1, small.BATCH, 5, dtype=torch.float64)
    out = net.dense("x.out", net.mlp("x", z), norm=False)
    px = observation(net, z)
    torch.testing.assert_close(px.mean, out[..., : small.PIXELS])
    assert isinstance(px, Normal)
    torch.testing.assert_close(px.var, torch.log1p(out[..., small.PIXELS :].exp()))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_output_variance_starts_at_bias_one(batch_norm: bool) -> None:
    stack = Stack((small.run(**NORB, batch_norm=batch_norm),))
    shift = stack.initial(small.PIXELS)["x.out.beta"][0]
    assert shift.tolist() == [0] * small.PIXELS + [1] * small.PIXELS


def test_the_output_s_mean_and_variance_are_initialised_as_layers_of_their_own() -> None:
    latents, widths = (64,), (512,)
    stack = Stack((small.run(depth=1, **NORB, latents=latents, widths=widths),))
    W = stack.initial(1024)["x.out.W"]
    assert float(W.std()) == pytest.approx((2 / (512 + 1024)) ** 0.5, rel=0.01)


def test_the_output_is_not_normalised() -> None:
    net = net_of()
    small.infer(net, small.real(), small.eps(net))
    assert "x.out" not in net.seen


def test_generated_images_are_the_mean_of_the_gaussian() -> None:
    net = net_of()
    eps = [e.flatten(1, 2) for e in small.eps(net)]
    reference = Reference.of(net.model, net.params)
    z = eps[2][0].numpy()
    for i in (2, 1):
        mu, var = reference.normal(f"p{i}", z)
        z = mu + np.sqrt(var) * eps[i - 1][0].numpy()
    np.testing.assert_allclose(generate(net, eps)[0].numpy(), reference.mean(z), rtol=1e-9)


def test_tanh_bounds_every_hidden_unit() -> None:
    net = net_of()
    h: Tensor = net.mlp("d1", 1e3 * small.real())
    assert h.abs().max() <= 1
    assert h.min() < -0.5


@pytest.mark.parametrize("fields", [{"nonlinearity": "tanh"}, {"observation": "gaussian"}])
def test_a_model_field_counts_where_it_is_used(fields: dict[str, Any]) -> None:
    assert small.run(**fields).hash != small.run().hash


def test_leaky_units_and_binary_images_are_the_default() -> None:
    assert (Model().nonlinearity, Model().observation) == ("leaky_relu", "bernoulli")
