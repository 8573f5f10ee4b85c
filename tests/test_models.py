"""Both models against a plain numpy oracle, and the ways of passing samples that go wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import small
import torch
from reference import Reference
from torch import Tensor

from repro.model.distributions import precision_weighted
from repro.model.families import MODELS
from repro.model.hierarchy import generate, observation
from repro.model.layers import Net
from repro.model.stack import Stack
from repro.plan.layers import layers
from repro.plan.run import Model

VARIANTS = [
    pytest.param({"family": "vae", "batch_norm": False}, id="vae"),
    pytest.param({"family": "vae"}, id="vae_bn"),
    pytest.param({"family": "vae", "head_batch_norm": False}, id="vae_bn-plain_heads"),
    pytest.param({"family": "lvae", "batch_norm": False}, id="lvae"),
    pytest.param({"family": "lvae"}, id="lvae_bn"),
    pytest.param({"family": "lvae", "head_batch_norm": False}, id="lvae_bn-plain_heads"),
    pytest.param({"family": "lvae", "upward": "mu"}, id="lvae_bn-mu"),
    pytest.param({"family": "lvae", "shared": False}, id="lvae_bn-separate"),
    pytest.param({"family": "lvae", "leaky_slope": 0.01}, id="lvae_bn-code_slope"),
]
S = 4


def close(ours: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(ours[0].numpy(), expected, rtol=1e-9, atol=1e-11)


def noise_of(net: Net, samples: int = S) -> tuple[list[Tensor], list[np.ndarray]]:
    eps = small.eps(net, samples)
    return eps, [e[0].numpy() for e in eps]


@pytest.mark.parametrize("variant", VARIANTS)
def test_log_densities_are_the_oracle_s(variant: dict[str, Any]) -> None:
    net = small.net(small.run(**variant))
    x, (eps, e) = small.bits(), noise_of(net)
    out = small.infer(net, x, eps)
    log_px, kl = Reference.of(net.model, net.params).terms(x[0].numpy(), e)
    close(out.log_px.flatten(1), log_px)
    for log_q, log_p, term in zip(out.log_q, out.log_p, kl, strict=True):
        close((log_q - log_p).flatten(1, 2), term)


@pytest.mark.parametrize("variant", VARIANTS)
def test_latents_are_the_oracle_s(variant: dict[str, Any]) -> None:
    net = small.net(small.run(**variant))
    x, (eps, e) = small.bits(), noise_of(net)
    out = small.infer(net, x, eps)
    reference = Reference.of(net.model, net.params)
    _, _, z = getattr(reference, net.model.family)(x[0].numpy(), e)
    for ours, expected in zip(out.z, z, strict=True):
        close(ours, expected)


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


@pytest.mark.parametrize("family", MODELS)
def test_decoder_reads_the_returned_posterior_sample(family: str) -> None:
    net = small.net(small.run(family))
    out = small.infer(net, small.bits(), small.eps(net))
    torch.testing.assert_close(out.px, observation(net, out.z[0]))


@pytest.mark.parametrize("family", MODELS)
def test_decoder_does_not_read_the_prior_sample(family: str) -> None:
    net = small.net(small.run(family))
    eps = small.eps(net)
    out = small.infer(net, small.bits(), eps)
    assert out.p[0] is not None
    from_prior = observation(net, out.p[0].sample(eps[0].flatten(1, 2)))
    assert (out.px.mean - from_prior.mean).abs().max() > 0.1


@pytest.mark.parametrize("family", MODELS)
def test_noise_of_the_lowest_layer_changes_the_likelihood(family: str) -> None:
    net = small.net(small.run(family))
    eps = small.eps(net)
    before = small.infer(net, small.bits(), eps).log_px
    after = small.infer(net, small.bits(), [eps[0] + 1, *eps[1:]]).log_px
    assert ((after - before).abs() > 1e-3).all()


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("layer", range(3))
def test_z_is_q_with_its_own_noise(family: str, layer: int) -> None:
    net = small.net(small.run(family))
    eps = small.eps(net, S)
    out = small.infer(net, small.bits(), eps)
    q = out.q[layer]
    expected = q.mu + q.var.sqrt() * eps[layer].flatten(1, 2)
    torch.testing.assert_close(out.z[layer], expected)


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_softplus_of_the_head_is_the_variance(family: str) -> None:
    net = small.net(small.run(family, 1, batch_norm=False))
    name = "q1" if family == "vae" else "d1"
    x, zeros = small.bits(), [torch.zeros_like(e) for e in small.eps(net)]
    head = net.dense(f"{name}.head", net.mlp(name, x))[..., 5:]
    at_0, at_1 = (small.infer(net, x, [z + k for z in zeros]).z[0] for k in (0, 1))
    torch.testing.assert_close((at_1 - at_0).square(), torch.log1p(head.exp()))


def test_vae_conditions_the_second_layer_on_the_drawn_first() -> None:
    net = small.net(small.run("vae"))
    out = small.infer(net, small.bits(), small.eps(net))
    again = net.normal("q2", net.mlp("q2", out.z[0]))
    torch.testing.assert_close(out.q[1].mu, again.mu)
    torch.testing.assert_close(out.q[1].var, again.var)


def test_vae_inference_does_not_look_at_the_noise_above() -> None:
    net = small.net(small.run("vae"))
    eps = small.eps(net)
    before, after = (
        small.infer(net, small.bits(), [*eps[:1], *(e + shift for e in eps[1:])])
        for shift in (0, 1)
    )
    assert torch.equal(before.q[1].mu, after.q[1].mu)


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("family", MODELS)
def test_prior_is_conditioned_on_the_drawn_layer_above(family: str, layer: int) -> None:
    net = small.net(small.run(family))
    out = small.infer(net, small.bits(), small.eps(net))
    again = net.normal(f"p{layer}", net.mlp(f"p{layer}", out.z[layer]))
    ours = out.p[layer - 1]
    assert ours is not None
    torch.testing.assert_close(ours.mu, again.mu)
    torch.testing.assert_close(ours.var, again.var)


def test_lvae_top_layer_is_the_bottom_up_evidence_alone() -> None:
    net = small.net(small.run("lvae"))
    out = small.infer(net, small.bits(), small.eps(net))
    d = small.bits()
    for i in (1, 2, 3):
        d = net.mlp(f"d{i}", d)
    hat = net.normal("d3", d)
    torch.testing.assert_close(out.q[2].mu, hat.mu)
    torch.testing.assert_close(out.q[2].var, hat.var)


def test_lvae_merges_evidence_with_the_prior_at_the_drawn_layer_above() -> None:
    net = small.net(small.run("lvae"))
    out = small.infer(net, small.bits(), small.eps(net))
    hat = net.normal("d1", net.mlp("d1", small.bits()))
    merged = precision_weighted(hat, net.normal("p1", net.mlp("p1", out.z[1])))
    torch.testing.assert_close(out.q[0].mu, merged.mu)
    torch.testing.assert_close(out.q[0].var, merged.var)


def test_lvae_noise_reaches_every_layer_below() -> None:
    net = small.net(small.run("lvae"))
    eps = small.eps(net)
    before, after = (small.infer(net, small.bits(), [*eps[:2], eps[2] + shift]) for shift in (0, 1))
    for i in (0, 1):
        assert (before.q[i].mu - after.q[i].mu).abs().max() > 1e-3


def test_lvae_upward_pass_is_deterministic() -> None:
    net = small.net(small.run("lvae"))
    first, second = (small.infer(net, small.bits(), small.eps(net, seed=s)) for s in (1, 2))
    assert torch.equal(first.q[2].mu, second.q[2].mu)


@pytest.mark.parametrize("family", MODELS)
def test_generation_is_ancestral_sampling_from_the_top(family: str) -> None:
    net = small.net(small.run(family))
    eps = [e.flatten(1, 2) for e in small.eps(net)]
    reference = Reference.of(net.model, net.params)
    z = eps[2][0].numpy()
    for i in (2, 1):
        mu, var = reference.normal(f"p{i}", z)
        z = mu + np.sqrt(var) * eps[i - 1][0].numpy()
    close(generate(net, eps), reference.mean(z))


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


def test_default_batch_norm_epsilon_is_that_of_the_code() -> None:
    assert Model().batch_norm_eps == 1e-10


@pytest.mark.parametrize("family", MODELS)
def test_batch_norm_acts_on_every_layer_but_the_output(family: str) -> None:
    net = small.net(small.run(family))
    small.infer(net, small.bits(), small.eps(net))
    declared = {d.name for d in layers(net.model, small.PIXELS)}
    assert set(net.seen) == declared - {"x.out"}


@pytest.mark.parametrize("family", MODELS)
def test_plain_heads_are_not_normalised(family: str) -> None:
    net = small.net(small.run(family, head_batch_norm=False))
    small.infer(net, small.bits(), small.eps(net))
    assert not [name for name in net.seen if name.endswith(".head")]


def test_without_batch_norm_there_is_no_scale() -> None:
    stack = Stack((small.run("lvae", batch_norm=False),))
    assert not [name for name in stack.initial(small.PIXELS) if name.endswith(".gamma")]
