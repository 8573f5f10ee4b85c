"""Benchmarks compute what they say: a fair single model, the products of a step, and no more."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from fixture_bench import GRID, LADDERS, LVAES, RAGGED, named, tiny  # noqa: F401
from small import CPU
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from repro.bench import plain, products
from repro.bench.arms import BOTH, FORWARD, PIXELS, SCORE, STEP, Arm, stacks_of
from repro.bench.operations import minibatch, of_arm
from repro.bench.products import of_products, roofline
from repro.model.layers import Params
from repro.model.stack import Stack
from repro.train.minibatch import LadderBatch, each
from repro.train.state import fresh
from repro.train.step import objective_of, step_function

SCORED = Arm("L_5000", "eager", (3,), scoring=True, images=73, samples=5)
pytestmark = pytest.mark.usefixtures("tiny")

# The single models.


def copied(params: Params, k: int, stack: Stack) -> Any:
    """The plain model with lane k's parameters, in float64."""
    own = {name: p[k] for name, p in params.items()}
    with torch.no_grad():
        return (lvae if stack.runs[0].model.family == "lvae" else ladder)(own, stack)


def ladder(own: Params, stack: Stack) -> Any:
    model: Any = plain.PlainLadder(stack.runs[0].ladder).double()
    for i, (W, V) in enumerate(zip(model.W, model.V, strict=True)):
        W.weight.copy_(own[f"f{i + 1}.W"].T)
        V.weight.copy_(own[f"g{i}.V"].T)
        model.beta[i].copy_(own[f"f{i + 1}.beta"])
        model.a[i].copy_(own[f"g{i}.a"])
    model.a[-1].copy_(own[f"g{len(model.W)}.a"])
    model.gamma.copy_(own[f"f{len(model.W)}.gamma"])
    return model


def lvae(own: Params, stack: Stack) -> Any:
    model: Any = plain.PlainLVAE(stack.hierarchy, PIXELS).double()

    def fill(name: str, linear: Any, norm: Any = None, head: int = 0) -> None:
        """head: which of two that lie side by side in a lane."""
        units = slice(head * linear.out_features, (head + 1) * linear.out_features)
        linear.weight.copy_(own[f"{name}.W"].T[units])
        (norm or linear).bias.copy_(own[f"{name}.beta"][units])
        if norm:
            norm.weight.copy_(own[f"{name}.gamma"][units])

    both = {"d": list(zip(model.up, model.hats, strict=True)), "p": model.priors}
    stages = {f"{n}{i}": of for n, parts in both.items() for i, of in enumerate(parts, start=1)}
    for name, (mlp, last) in {**stages, "x": model.x}.items():
        fill(f"{name}.a", *mlp[0:2])
        fill(f"{name}.b", *mlp[3:5])
        for i, head in enumerate((last.mu, last.var) if name != "x" else ()):
            fill(f"{name}.head", *head, head=i)
    fill("x.out", model.x[1])
    return model


def loss_of(model: Any, batch: Any, k: int) -> Any:
    """Of the plain model, in place of lane k."""
    if isinstance(batch, LadderBatch):
        return model(batch.x[k].double() / 255, batch.y[k], [e[k] for e in batch.eps])
    return -model(batch.x[k].double(), [e[k, 0] for e in batch.eps]).mean()


@named("arm", [LVAES, LADDERS])
def test_the_plain_model_has_the_loss_and_the_training_step_of_our_lane(arm: Arm) -> None:
    """In float64, parameters moved; Adam's epsilon stands where torch has it."""
    (stack,) = stacks_of(arm)
    usual = (replace(run, optim=replace(run.optim, eps_form="usual")) for run in stack.runs)
    stack = Stack(tuple(usual))
    state, g = fresh(stack, PIXELS, CPU, torch.float64), torch.Generator().manual_seed(1)
    for p in state.params.values():
        p += 0.2 * torch.randn(p.shape, generator=g, dtype=torch.float64)
    drawn = minibatch(stack, CPU)
    batch = each(lambda t: t.double() if t.is_floating_point() else t, drawn)
    for k, objective in enumerate(objective_of(stack)(state.params, batch)):
        loss = loss_of(copied(state.params, k, stack), batch, k)
        torch.testing.assert_close(loss, -objective, rtol=1e-9, atol=0)
    model, ours = copied(state.params, 0, stack), step_function(stack, "eager")
    theirs = plain.training(model, stack.runs[0].optim, lambda: loss_of(model, batch, 0))[STEP]
    for _ in range(3):
        theirs()
        ours(state, batch)
    trained = copied(state.params, 0, stack).state_dict()
    for name, value in model.named_parameters():
        # Clipping divides by n + 1e-6 here and by n + 1e-7 there.
        torch.testing.assert_close(value.detach(), trained[name], rtol=1e-6, atol=1e-8)


def test_the_plain_bound_averages_importance_weights_of_fresh_draws() -> None:
    (stack,) = stacks_of(Arm("", "plain", (3,)))
    model = plain.PlainLVAE(stack.hierarchy, PIXELS).double()
    x = torch.randint(2, (29, PIXELS)).double()
    torch.manual_seed(1)
    bound = plain.importance_bound(model, x, 7)
    torch.manual_seed(1)
    weights = torch.stack([model.eval()(x).exp() for _ in range(7)])
    torch.testing.assert_close(bound, weights.mean(0).log())


# The products.


class Recorder(TorchDispatchMode):
    """Counts matrix products by (lanes, rows, inner, columns)."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[tuple[int, ...]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in ("mm", "addmm", "matmul", "mv")
        if name in ("bmm", "baddbmm"):
            a, b = args[-2:] if name == "bmm" else args[1:3]
            self.products[(*a.shape, b.shape[2])] += 1
        return func(*args, **(kwargs or {}))


def seen(op: Callable[[], object]) -> tuple[Counter[tuple[int, ...]], int]:
    """Products and FLOPs of an operation, once all that is prepared once is prepared."""
    op()
    with Recorder() as recorder:
        op()
    with FlopCounterMode(display=False) as counter:
        op()
    return recorder.products, int(counter.get_total_flops())


@pytest.mark.parametrize("operation", [FORWARD, BOTH, STEP, SCORE])
@named("arm", [LVAES, RAGGED, LADDERS, GRID, SCORED])
def test_products_alone_and_flops_are_those_of_the_operation(arm: Arm, operation: str) -> None:
    ours = of_arm(arm, CPU)
    assert (SCORE in ours) == (arm.model == "lvae")
    assert (STEP in ours) == (not arm.scoring)
    if operation in ours:
        multiplied, flops = seen(ours[operation])
        assert seen(of_products(arm, CPU)[operation])[0] == multiplied
        assert products.flops(arm, CPU)[operation] == flops
        if operation == STEP:
            assert products.counts(arm, CPU)["flops"] == flops


# d1: 784-13-13-2x5, d2: 13-11-11-2x3, p1: 3-11-11-2x5, x: 5-13-13-784.
WEIGHTS = 784 * 13 + 13 * 13 + 13 * 10 + 13 * 11 + 11 * 11 + 11 * 6
WEIGHTS += 3 * 11 + 11 * 11 + 11 * 10 + 5 * 13 + 13 * 13 + 13 * 784
OUTPUTS = 13 + 13 + 10 + 11 + 11 + 6 + 11 + 11 + 10 + 13 + 13 + 784
UP = 784 * 13 + 13 * 7 + 7 * 10  # of the Ladder network: 40 corrupted rows, 20 clean, 20 decoded


@pytest.mark.parametrize(("arm", "expected"), [
    (Arm("lvae", "eager", (2, 2)), {
        "flops": 2 * 2 * 17 * (3 * WEIGHTS - 784 * 13),  # images need no gradient
        "parameters": 2 * (WEIGHTS + OUTPUTS + OUTPUTS - 784),  # shifts; scales but for the pixels
        "activations": 2 * 17 * OUTPUTS}),
    (Arm("ladder", "eager", (3,), "ladder"), {
        "flops": 2 * (3 * 80 * UP - 60 * 784 * 13),
        "parameters": 2 * UP + (13 + 7 + 10) + 10 + 10 * (784 + 13 + 7 + 10),
        "activations": 60 * (13 + 7 + 10) + 20 * (7 + 13 + 784)}),
], ids=["lvae", "ladder"])  # fmt: skip
def test_counts_are_those_made_by_hand(arm: Arm, expected: dict[str, int]) -> None:
    traffic = 4 * (2 * 4 * expected["parameters"] + 2 * expected["activations"])
    assert products.counts(arm, CPU) == {**expected, "bytes": traffic}


# The roofline.


@pytest.mark.parametrize(("flops", "expected"), [(600, 6.0), (200, 5.0)], ids=["products", "bytes"])
def test_the_bound_is_the_longer_of_products_and_traffic(flops: int, expected: float) -> None:
    found = roofline(
        {"flops": flops, "bytes": 500}, {"flop_per_s": 100.0, "bytes_per_s": 100.0}, 10.0
    )
    assert found["bound_seconds"] == 10 * found["fraction"] == pytest.approx(expected)


def test_limits_are_flops_and_bytes_of_the_quickest_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(products.SIDE, "cpu", 10)
    monkeypatch.setitem(products.COPIED, "cpu", 100)
    seconds = iter([9.0, 2.0, 9.0, 9.0, 9.0, 9.0, 9.0, 4.0, 9.0, 9.0])
    monkeypatch.setattr(products, "seconds_of", lambda op: next(seconds))
    found = products.limits(CPU)
    assert found == {"flop_per_s": 2 * 10**3 / 2, "bytes_per_s": 2 * 100 / 4}
