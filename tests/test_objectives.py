"""The training bound: its value against the oracle, its gradient, its warm-up."""

import math
from typing import Any

import pytest
import small
import torch
from fixture_data import refused
from reference import Reference
from scipy.special import logsumexp

from repro.errors import UsageError
from repro.model.layers import Params
from repro.model.objectives import unit_kl
from repro.model.stack import Stack
from repro.plan.run import Run
from repro.train.minibatch import Minibatch
from repro.train.step import objective_of
from repro.train.tasks.task import Objective

M, I = 2, 3  # noqa: E741 - Monte-Carlo and importance samples
SAMPLES = {"mc_samples": M, "importance_samples": I}
BETA = 0.37
IWAE = {"nonlinearity": "tanh", "variance": "exp", "batch_norm": False, "var_floor": 0.0}
MODELS: list[dict[str, Any]] = [{"family": "vae"}, {"family": "lvae"}, {"family": "vae", **IWAE}]


def minibatch(run: Run, beta: float = BETA) -> tuple[Objective, Params, Minibatch]:
    """The objective of one lane with parameters and a minibatch for it, in float64."""
    stack = Stack((run,))
    net = small.net(run)
    samples = run.optim.mc_samples * run.optim.importance_samples
    one = torch.ones(1, dtype=torch.float64)
    batch = Minibatch(small.bits(), small.eps(net, samples), beta * one, 1e-3 * one)
    return objective_of(stack), net.params, batch


@pytest.mark.parametrize("fields", MODELS, ids=["vae", "lvae", "iwae"])
@pytest.mark.parametrize(
    ("beta", "optim"),
    [(0.0, {}), (BETA, {}), (1.0, {}), (BETA, SAMPLES), (BETA, {"mc_samples": 5})],
)
def test_the_bound_is_the_oracle_s(
    fields: dict[str, Any], beta: float, optim: dict[str, int]
) -> None:
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
