"""Models of other papers beside ours: IWAE with two stochastic layers, and planar flows."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import fixture_store
import numpy as np
import pytest
import small
import torch
from fixture_data import refused
from numpy.testing import assert_allclose
from torch import Tensor
from torch.autograd.functional import jacobian

from repro.api import TrainedHierarchy, load_model
from repro.errors import UsageError
from repro.judge.targets import TARGETS
from repro.machine.saved.starting import begin
from repro.model.distributions import invertible, planar, planar_log_det
from repro.model.hierarchy import Pass
from repro.model.layers import Net
from repro.model.stack import Stack
from repro.model.vae import flowed
from repro.plan import profiles
from repro.plan.experiments import flows, iwae, label_of
from repro.plan.layers import layers
from repro.plan.profiles import profile, runs
from repro.plan.run import Data, Run
from repro.show import results
from repro.show.scripts import load as script
from repro.store import Store
from repro.train.annealing.hamiltonian import log_weight

IWAE, FLOWS = "iwae_k50", "vae_nf80"


def run_of(variant: str, name: str = "paper") -> Run:
    experiment = iwae if variant.startswith("iwae") else flows
    return profiles.run_of(experiment.cell(variant), profile(name))


@pytest.fixture
def stored(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store, in which records may be of these models, with the numbers of a VAE."""
    for numbers in (fixture_store.L1, fixture_store.KL):
        for variant in (IWAE, FLOWS):
            monkeypatch.setitem(numbers, variant, numbers["vae"])
    return store


# IWAE


def glorot(**data: Any) -> Run:
    """As small a model as the others, that begins as IWAE does."""
    model = {"nonlinearity": "tanh", "variance": "exp", "init": "glorot", "output_bias": "data"}
    run = small.run("vae", 2, var_floor=0.0, batch_norm=False, **model)
    return replace(run, data=Data(**data))


def test_layers_are_those_of_the_paper() -> None:
    assert [(d.name, d.fan_in, d.fan_out) for d in layers(run_of(IWAE).model, 784)] == [
        *[("q1.a", 784, 200), ("q1.b", 200, 200), ("q1.head", 200, 200)],
        *[("q2.a", 100, 100), ("q2.b", 100, 100), ("q2.head", 100, 100)],
        *[("x.a", 100, 200), ("x.b", 200, 200), ("x.out", 200, 784)],
        *[("p1.a", 50, 100), ("p1.b", 100, 100), ("p1.head", 100, 200)],
    ]


@pytest.mark.parametrize("name", ["q1.a", "q1.b", "q1.head", "p1.head", "x.out"])
def test_weights_are_glorot_uniform(name: str) -> None:
    """Uniform within sqrt(6 / (in + out)), each head by itself."""
    W = Stack((run_of(IWAE),)).initial(784, torch.zeros(784))[f"{name}.W"][0]
    fan_out = W.shape[1] // (2 if name.endswith("head") else 1)
    edge = math.sqrt(6 / (W.shape[0] + fan_out))
    assert 0.98 * edge < float(W.abs().max()) <= edge
    assert float(W.std()) == pytest.approx(edge / math.sqrt(3), rel=0.03)


def test_biases_begin_at_zero_and_the_output_s_at_the_logit_of_the_clipped_mean() -> None:
    start = Stack((glorot(grey_scale=255),)).initial(19, torch.linspace(0, 255, 19))
    assert [n for n, p in start.items() if n.endswith(".beta") and p.any()] == ["x.out.beta"]
    mean = np.clip(np.linspace(0, 1, 19), 0.001, 0.999)
    logit = np.log(mean / (1 - mean))
    assert_allclose(start["x.out.beta"][0].numpy(), logit, rtol=1e-4, atol=1e-5)


def test_training_begins_with_the_mean_of_its_images(tmp_path: Path) -> None:
    run, train = glorot(), torch.from_numpy(small.grey())
    bias = begin(Stack((run,)), tmp_path, train, small.CPU).params["x.out.beta"][0]
    mean = (train.double().mean(0) / run.data.grey_scale).clamp(0.001, 0.999)
    torch.testing.assert_close(bias.double().sigmoid(), mean, rtol=1e-5, atol=1e-6)


RATES = {  # in units of 1e-4
    **{1: 10, 2: 7.2, 4: 7.2, 5: 5.2, 14: 3.7, 41: 2.7, 122: 1.9, 365: 1.4},
    **{1093: 1.4, 1094: 1.0, 3280: 1.0},
}


def test_stages_pixels_and_optimiser_are_the_paper_s_and_smaller_profiles_have_a_share() -> None:
    """Eight stages of three to the i epochs."""
    run, o = run_of(IWAE), run_of(IWAE).optim
    assert [stage.epochs for stage in run.schedule.stages] == [1, 3, 9, 27, 81, 243, 729, 2187]
    assert run.schedule.epochs == 3280
    assert {e: run.lr(e) for e in RATES} == pytest.approx({e: r * 1e-4 for e, r in RATES.items()})
    assert run.data.grey_scale == 255
    assert (o.batch, o.beta1, o.beta2, o.eps) == (20, 0.9, 0.999, 1e-4)
    assert (o.clip_norm, o.clip_value, o.mc_samples) == (None, None, 1)
    assert [run_of(v).optim.importance_samples for v in iwae.VARIANTS] == [1, 50]
    for name, epochs in {"smoke": 3, "quick": 8, "reduced": 66}.items():
        run = run_of(IWAE, name=name)
        assert run.schedule.epochs == run.evaluation.epochs[-1] == epochs
        assert (run.lr(1), run.lr(epochs)) == pytest.approx((1e-3, 1e-4))


def test_bounds_on_other_data_are_said_to_be_so(stored: Store) -> None:
    fixture_store.write(stored, "quick", run_of(IWAE, name="quick"))
    caption = script("tables", "table1").build(stored, "quick").caption
    assert "of their own rows alone: mnist-iwae_k50-L2-s1." in caption
    assert "not comparable: `mnist-iwae_k50-L2-s1`" in results.page(stored, profile("quick"))


# Flows

F, Z, S, B = 3, 5, 2, 4  # flows, units, samples, images


def tiny(seed: int = 1, **fields: Any) -> Run:
    return small.run("vae", 1, seed, **{"batch_norm": False, "flows": F, **fields})


def drawn(*shape: int, seed: int = 3, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def one(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) and log det df/dz of one flow, as its network tells u, w and b."""
    u_hat, s = invertible(u, w)
    moved, h = planar(z, u_hat, w, b)
    return moved, planar_log_det(h.squeeze(-1), s)


def passed(net: Net) -> Pass:
    return small.infer(net, small.bits(1, B), small.eps(net, S, B))


def test_the_determinant_of_a_flow_that_all_but_folds_is_finite_in_float32():
    """w'u is so far below 0 that softplus(w'u) - 1 rounds to -1."""
    h, wu = torch.tensor(1e-4), torch.tensor([-17.4, -30.0])
    found = planar_log_det(h, torch.nn.functional.softplus(wu))
    assert found.tolist() == pytest.approx([-17.09, -18.42], abs=0.01)


@pytest.mark.parametrize("push", [-60.0, -3.0, -1.0, 0.0, 2.0])
def test_a_flow_is_that_of_the_paper_and_its_determinant_its_jacobian_s_and_positive(push):
    """push: w'u. Below -1, f with u itself would fold space over."""
    z, u, w, b = drawn(Z, scale=0.3), drawn(Z, seed=4), drawn(Z, seed=5), drawn(1, seed=6)
    u += (push - w @ u) * w / (w @ w)
    moved, log_det = one(z, u, w, b)
    u_hat = u + (math.log1p(math.exp(push)) - 1 - push) * w / (w @ w)
    torch.testing.assert_close(moved, z + u_hat * torch.tanh(w @ z + b), rtol=1e-10, atol=0)
    sign, expected = torch.linalg.slogdet(jacobian(lambda t: one(t, u, w, b)[0], z))
    assert sign == 1
    torch.testing.assert_close(log_det, expected, rtol=1e-6, atol=1e-9)


def test_all_flows_of_a_network_have_the_determinant_of_their_jacobian() -> None:
    net = small.net(tiny())
    d, z_0 = drawn(1, 1, 13), drawn(1, 1, Z)
    J = jacobian(lambda t: flowed(net, d, t, 1).z, z_0).reshape(Z, Z)
    found = flowed(net, d, z_0, 1).log_det
    assert abs(float(found)) > 1e-3
    torch.testing.assert_close(found.squeeze(), torch.linalg.slogdet(J).logabsdet)


def test_every_image_has_its_own_flows_and_every_sample_those_of_its_image() -> None:
    net, z_0 = small.net(tiny()), drawn(1, 1, Z).expand(1, S * B, Z)
    z = flowed(net, drawn(1, B, 13), z_0, S).z.view(S, B, Z)
    torch.testing.assert_close(z[0], z[1])
    assert len(z[0].unique(dim=0)) == B


def test_a_pass_has_the_density_of_what_it_drew() -> None:
    """log q(z_1|x) = log q(z_0|x) - log det; all of the model sees z_1."""
    net = small.net(tiny())
    with_flows, without = passed(net), passed(replace(net, model=replace(net.model, flows=0)))
    assert with_flows.log_det is not None
    expected = without.log_q[0].sum(-1) - with_flows.log_det
    torch.testing.assert_close(with_flows.log_q[0].sum(-1), expected)
    assert not torch.equal(with_flows.z[0], without.z[0])
    assert not torch.equal(with_flows.log_px, without.log_px)
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(with_flows.z[0]).sum(-1)
    torch.testing.assert_close(with_flows.log_p[0].sum(-1).flatten(), log_p.flatten())


def test_annealing_weighs_a_draw_as_a_pass_does() -> None:
    net = small.net(tiny(var_floor=0.0))
    out = passed(net)
    ours = log_weight(net, small.bits(1, B), torch.cat(small.eps(net, S, B), -1))
    torch.testing.assert_close(ours, out.log_px + (out.log_p[0] - out.log_q[0]).sum(-1))


@pytest.mark.parametrize(
    ("family", "depth", "count"), [("lvae", 1, 2), ("vae", 2, 2), ("vae", 1, -1)]
)
def test_flows_are_of_a_vae_of_one_layer(family: str, depth: int, count: int) -> None:
    with refused(UsageError, f"model.flows is {count}: give a VAE of one layer"):
        small.run(family, depth, flows=count)


@pytest.mark.parametrize("trained", [tiny()], indirect=True)
def test_a_trained_model_is_annealed_from_one_side_alone(trained: Run, local: Store) -> None:
    """Chains go from eps to z_1; a sandwich also needs the way back."""
    model = load_model(trained.id, "smoke", local.root)
    assert isinstance(model, TrainedHierarchy)
    x = (small.grey(8) > 128).astype(np.float32)
    below, scores = model.annealed(x, chains=4, temperatures=30), model.score(x, samples=50)
    assert below.log_p.mean() > scores.L1.mean()
    with refused(UsageError, f"sandwich: {trained.id} has planar flows", "annealed()"):
        model.sandwich(8)


def test_training_is_that_of_the_specification_as_is_its_twin_s_but_for_the_flows() -> None:
    run, twin = run_of(FLOWS), run_of("vae_nf0")
    assert (run.hierarchy.flows, run.hierarchy.latents, run.hierarchy.widths) == (80, (40,), (400,))
    assert run.schedule.epochs * (60_000 // run.optim.batch) == pytest.approx(500_000, rel=1e-3)
    assert run.schedule.warmup_epochs * 600 == pytest.approx(10_000, rel=0.03)
    (told,) = (d for d in layers(run.model, 784) if d.name == "q1.flow")
    assert (told.fan_in, told.fan_out, told.gain, told.norm) == (400, 80 * 81, 0.1, False)
    assert replace(run, variant=twin.variant, model=replace(run.hierarchy, flows=0)) == twin
    assert {r.schedule.epochs for r in runs(profile("reduced"), ["flows"])} == {17}
    for name in ("smoke", "quick", "reduced", "paper"):
        ids = [r.id for r in runs(profile(name), ["flows"])]
        assert ids == ["mnist-vae_nf80-L1-s1", "mnist-vae_nf0-L1-s1"]


def test_a_record_stands_in_the_row_of_table_1(stored: Store) -> None:
    fixture_store.write(stored, "reduced", run_of(FLOWS, name="reduced"))
    table = script("tables", "table1").build(stored, "reduced")
    row = next(row for row in table.rows if row[0] == "VAE 1-layer + NF")
    assert row[2] == "-85.10"
    assert row[3].startswith("-")
    assert TARGETS["table1/vae_nf"].cell == flows.cell("vae_nf80")
    assert label_of(flows.cell("vae_nf80")) == "VAE with 80 flows"
