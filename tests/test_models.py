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
from repro.model.stack import Stack

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


@pytest.mark.parametrize("fields", [{"nonlinearity": "tanh"}, {"observation": "gaussian"}])
def test_a_model_field_counts_where_it_is_used(fields: dict[str, Any]) -> None:
    assert small.run(**fields).hash != small.run().hash
