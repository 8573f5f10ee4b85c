"""Products of rounded operands: the closed-form batch norm, shadows of weights, whole steps."""

import functools
from typing import Any

import ladder_small
import pytest
import small
import torch
from small_steps import STACKS, assert_near, stepped
from torch import Tensor

from repro.machine import provenance
from repro.model.batch_norm import LINEAR, activated, normalised
from repro.model.layers import SMALL, is_rounded, product
from repro.model.stack import Stack
from repro.plan.run import Run

K, R, Z, EPS = 3, 11, 5, 1e-10
SLOPES = {"linear": LINEAR, "leaky": 0.1, "tanh": None}
MASKS = [None, torch.tensor([True, False, True]).view(-1, 1, 1)]


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """A product, gamma and beta; the second unit is nearly constant."""
    g = torch.Generator().manual_seed(3)
    shapes = ((K, R, Z), (K, Z), (K, Z))
    h, gamma, beta = (torch.randn(s, generator=g, dtype=torch.float64) for s in shapes)
    h[..., 1] *= 1e-4
    return tuple(t.to(dtype).requires_grad_() for t in (h, gamma, beta))  # type: ignore[return-value]


def closed(h: Tensor, gamma: Tensor, beta: Tensor, on: Any, slope: float | None) -> Tensor:
    with torch.no_grad():
        var, mean = torch.var_mean(h.to(gamma.dtype), 1, correction=0, keepdim=True)
    return normalised(h, mean, var, gamma, beta, on, EPS, slope)


def in_steps(h: Tensor, gamma: Tensor, beta: Tensor, on: Any, slope: float | None) -> Tensor:
    var, mean = torch.var_mean(h, 1, correction=0, keepdim=True)
    y = gamma.unsqueeze(1) * (h - mean) * torch.rsqrt(var + EPS)
    return activated((y if on is None else y.where(on, h)) + beta.unsqueeze(1), slope)


@pytest.mark.parametrize("slope", SLOPES.values(), ids=SLOPES)
@pytest.mark.parametrize("on", MASKS)
def test_the_closed_form_is_what_autograd_finds(on: Tensor | None, slope: float | None) -> None:
    for dtype, rtol in ((torch.float64, 1e-9), (torch.float32, 2e-3)):
        found = []
        for norm in (in_steps, closed):
            leaves = inputs(dtype)
            y = norm(*leaves, on, slope)
            weight = torch.linspace(-1, 2, y.numel(), dtype=dtype).view_as(y)
            found.append((y.detach(), *torch.autograd.grad((y * weight).sum(), leaves)))
        for ours, expected in zip(found[1], found[0], strict=True):
            near = rtol * float(expected.abs().max())
            torch.testing.assert_close(ours, expected, rtol=rtol, atol=near)


def test_a_head_is_not_rounded_again_and_a_hidden_layer_is() -> None:
    h, gamma, beta = inputs(torch.float32)
    h = h.detach().bfloat16().requires_grad_()
    assert closed(h, gamma, beta, None, LINEAR).dtype == torch.float32
    hidden = closed(h, gamma, beta, None, 0.1)
    assert hidden.dtype == torch.bfloat16
    hidden.sum().backward()
    assert h.grad is not None
    assert (h.grad.dtype, gamma.grad.dtype) == (torch.bfloat16, torch.float32)  # type: ignore[union-attr]


def test_a_product_rounds_its_operands_and_sums_in_float32() -> None:
    g = torch.Generator().manual_seed(5)
    y, W = torch.rand(2, 7, 4096, generator=g), torch.rand(2, 4096, 3, generator=g)
    exact = y.bfloat16().double() @ W.bfloat16().double()
    ours = product(y, W.bfloat16())
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.double(), exact, rtol=2**-8, atol=0)
    assert not torch.equal(exact, y.double() @ W.double())
    torch.testing.assert_close(product(y, W), y @ W)


def test_a_product_is_the_same_where_it_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.Generator().manual_seed(7)
    drawn = [torch.rand(s, generator=g).bfloat16() for s in ((2, 7, 96), (2, 96, 5))]
    found = []
    for units in (True, False):
        monkeypatch.setattr("repro.model.layers.CPU_MULTIPLIES", units)
        leaves = [t.clone().requires_grad_() for t in drawn]
        h = product(*leaves)
        found.append((h.detach(), *torch.autograd.grad(h.float().square().sum(), leaves)))
    for a, b in zip(*found, strict=True):
        assert a.dtype == b.dtype == torch.bfloat16
        torch.testing.assert_close(a, b, rtol=2**-7, atol=0)


def test_small_products_stay_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.model.layers.SMALL", SMALL)
    assert not is_rounded("d1.a.W", torch.empty(2, 64, SMALL // 64))
    assert is_rounded("d1.a.W", torch.empty(2, 64, SMALL // 64 + 1))
    assert not is_rounded("g0.a", torch.empty(2, 10, SMALL))


@pytest.fixture(autouse=True)
def _every_product_is_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of these tests are small."""
    monkeypatch.setattr("repro.model.layers.SMALL", 0)


after = functools.partial(stepped, dtype=torch.float32)


@pytest.mark.parametrize("runs", STACKS)
def test_ten_rounded_steps_are_near_ten_in_float32_and_captured_they_are_eager_ones(runs):
    rounded, full = after(*runs, rounded=True), after(*runs)
    torch.testing.assert_close(rounded.sums, full.sums, rtol=1e-2, atol=0)
    assert not torch.equal(rounded.sums, full.sums)
    assert {n for n in full.params if n.endswith((".W", ".V"))} == set(rounded.shadows)
    for name, shadow in rounded.shadows.items():
        assert torch.equal(shadow, rounded.params[name].bfloat16()), name
    for part in (rounded.params, rounded.m, rounded.v):
        assert {p.dtype for p in part.values()} == {torch.float32}
    assert_near(after(*runs, rounded=True, engine="captured"), rounded, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("runs", STACKS[1:])
@pytest.mark.parametrize(
    ("rounded", "bound", "moment"), [(True, 2**-9, 2**-6), (False, 1e-6, 1e-5)]
)
def test_a_lane_steps_in_its_stack_as_it_would_alone_but_for_rounding(runs, rounded, bound, moment):
    together, stack = after(*runs, rounded=rounded, steps=1), Stack(runs)
    for k, run in enumerate(runs):
        alone = after(run, rounded=rounded, steps=1)
        torch.testing.assert_close(together.sums[k], alone.sums[0], rtol=bound, atol=0)
        for name, m in stack.own(together.m, k).items():
            near = moment * float(alone.m[name].abs().max())
            torch.testing.assert_close(m, alone.m[name], rtol=0, atol=near, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "run", [small.run("lvae", 1), ladder_small.run(ladder=ladder_small.shallow())]
)
def test_ten_compiled_rounded_steps_are_ten_eager_ones(run: Run) -> None:
    compiled, eager = (after(run, rounded=True, engine=e) for e in ("compiled", "eager"))
    torch.testing.assert_close(compiled.sums, eager.sums, rtol=2e-3, atol=0)


@pytest.mark.parametrize(("uses", "units"), [("AVX2", False), ("AVX512", True)])
def test_a_record_names_the_instructions_that_rounded_its_sums(uses, units, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: uses)
    monkeypatch.setattr(provenance, "multiplies_in_bfloat16", lambda _: units)
    env = provenance.environment(torch.device("cpu"))
    assert (f"({uses}, bfloat16), " if units else f"({uses}), ") in env["device"]
    assert provenance.on_cpu(env)
    assert provenance.on_cpu({"device": "AMD EPYC, 2 cores"}), "of a record older than that"
    assert not provenance.on_cpu({"device": "NVIDIA H100 80GB HBM3"})
