"""Images as real values: copies, dequantisation and scale, in minibatches and in scores."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import small
import torch
from fixture_data import refused

from repro.data.images import Images as Raw
from repro.errors import DataError, UsageError
from repro.model.distributions import Normal
from repro.model.hierarchy import log_observation
from repro.model.layers import fold
from repro.model.stack import Stack
from repro.plan.run import Data, RealData, Run
from repro.train.evaluate import statistics_pass
from repro.train.feed import Feed
from repro.train.score import Images, noise_of, score_epoch, score_final
from repro.train.state import fresh
from repro.train.step import parts_of, step, update_of
from repro.train.tasks import task_of

N, M, X = 61, 41, small.PIXELS  # training and test images
GAUSSIAN: dict[str, Any] = {"observation": "gaussian", "nonlinearity": "tanh"}


def raw() -> Raw:
    return replace(small.raw(), train=small.grey(N), train_labels=np.arange(N) % 5)


def run_of(seed: int = 1, **data: Any) -> Run:
    return replace(small.run(seed=seed, **GAUSSIAN), data=RealData(**data))


def real(seed: int = 1, **data: Any) -> Raw:
    run = run_of(seed, **data)
    return task_of(run).images(run, raw())


# What is modelled


def test_noise_is_uniform_in_each_byte_s_interval() -> None:
    noise = np.sort((real().train[:N].astype(float) * 256 - raw().train).ravel())
    assert ((noise >= 0) & (noise < 1.0001)).all()
    assert np.abs(noise - np.linspace(0, 1, noise.size)).max() < 1.95 / noise.size**0.5


@pytest.mark.parametrize(
    ("data", "train", "test"), [({}, 2, 2), ({"copies": 1}, 1, 2), ({"test_copies": 1}, 2, 1)]
)
def test_images_and_their_classes_are_there_so_often(data, train, test):
    found = real(**data)
    assert (found.train.shape, found.test.shape) == ((train * N, X), (test * M, X))
    assert found.train_labels.tolist() == raw().train_labels.tolist() * train
    assert found.test_labels.tolist() == raw().test_labels.tolist() * test
    np.testing.assert_array_equal(found.train, real().train[: train * N])
    np.testing.assert_array_equal(found.test, real().test[: test * M])


def test_noise_is_of_each_copy_and_set_and_the_same_for_every_run_but_for_its_test_seed() -> None:
    for part in ("train", "test"):
        values = getattr(real(), part)
        np.testing.assert_array_equal(values, getattr(real(seed=2), part))
        first, second = np.split(values.astype(float) * 256, 2)
        assert np.abs(first - second).max() < 1.0001  # of the same images
        assert abs(np.corrcoef((first % 1).ravel(), (second % 1).ravel())[0, 1]) < 0.1
    train, test = real().train * 256 % 1, real().test * 256 % 1
    assert (train[:M] != test[:M]).mean() > 0.99
    assert (real(test_seed=1).test != real().test).any()


def test_values_are_divided_by_the_grey_scale_or_by_the_largest_training_value() -> None:
    np.testing.assert_array_equal(real(dequantise=False).test[:M], raw().test / np.float32(256))
    usual, scaled = real(), real(divide_by="maximum")
    assert scaled.train.max() == 1
    np.testing.assert_allclose(scaled.test * usual.train.max(), usual.test, rtol=1e-6)
    run, black = run_of(dequantise=False, divide_by="maximum"), np.zeros((N, X), np.uint8)
    with refused(DataError, "tiny", "largest training pixel is 0"):
        task_of(run).images(run, replace(raw(), train=black))


def test_options_of_real_images_count_there_and_are_refused_elsewhere() -> None:
    few = {"copies": 1, "test_copies": 1, "dequantise": False}
    options = {"resample": "box", **few, "divide_by": "maximum"}
    hashes = {run_of(**{name: value}).hash for name, value in options.items()}
    assert len({run_of().hash, *hashes}) == 6
    with refused(UsageError, "data is RealData", "its model needs Data"):
        replace(small.run(), data=RealData())
    with refused(UsageError, "data is Data", "its model needs RealData"):
        replace(run_of(), data=Data())
    with refused(UsageError, "cannot train in one stack"):
        Stack((run_of(), run_of(seed=2, grey_scale=255)))


# Training and scoring


def images(run: Run) -> Images:
    ready = task_of(run).images(run, raw())
    train, test = torch.from_numpy(ready.train), torch.from_numpy(ready.test)
    return Images(train, test, ready.test_labels, ready.train_labels)


def test_minibatches_show_every_value_as_it_is_and_once_an_epoch() -> None:
    run = run_of()
    train = images(run).train
    feed = Feed(Stack((run,)), train)
    shown = torch.cat([b.x[0] for b in feed.block(1, 0)])
    assert shown.dtype == torch.float32
    assert len(shown) == feed.steps * small.BATCH == 2 * N // small.BATCH * small.BATCH
    rows = [train.tolist().index(row) for row in shown.tolist()]
    assert len(set(rows)) == len(rows)
    assert rows != sorted(rows)


@pytest.mark.slow
def test_an_epoch_of_compiled_steps_is_one_of_eager_ones() -> None:
    """An update knows no images: other tests compile it."""
    ragged = (replace(small.run("lvae", depth, **GAUSSIAN), data=RealData()) for depth in (2, 1))
    stack, ends = Stack(tuple(ragged)), []
    feed = Feed(stack, images(run_of()).train.double(), torch.float64)
    for engine in ("eager", "compiled"):
        objective, _, rates = parts_of(stack, engine)
        state = fresh(stack, X, small.CPU, torch.float64)
        for batch in feed.block(1, 0):
            step(objective, update_of(stack), stack.runs[0].optim, state, batch, rates)
        ends.append(state)
    for name, p in ends[0].params.items():
        torch.testing.assert_close(ends[1].params[name], p, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(ends[1].sums, ends[0].sums)


def test_bounds_are_of_the_real_values_with_full_set_statistics() -> None:
    run = run_of()
    stack, given = Stack((run,)), images(run)
    net = stack.lane(small.params(stack, dtype=torch.float32), 0)
    seen, train = statistics_pass(net, given.train.unsqueeze(0), noise_of(run, 2, small.CPU))
    scored = score_epoch(net, run, given, 2)
    assert scored.L1_train == pytest.approx(float(train.L1.double().mean()), rel=1e-6)
    assert scored.L1_test.shape == (2 * M,)
    torch.testing.assert_close(scored.net.params["d1.a.W"], fold(net, seen).params["d1.a.W"])


def test_saved_images_are_bytes_wherever_the_mean_lies() -> None:
    run = run_of()
    stack = Stack((run,))
    params = small.params(stack, dtype=torch.float32)
    params["x.out.beta"][0, :3] = torch.tensor([-9.0, 9.0, 0.5])
    params["x.out.W"][0, :, :3] = 0
    given = images(run)
    last = score_epoch(stack.lane(params, 0), run, given, 2)
    final, arrays = score_final(run, given, last)
    shown = arrays["samples"]
    assert [shown[n].dtype for n in ("true", "reconstruction", "prior")] == [np.uint8] * 3
    for name in ("reconstruction", "prior"):
        assert shown[name][:, :3].tolist() == [[0, 255, 128]] * len(shown[name])
    np.testing.assert_array_equal(shown["true"], (given.test[:100] * 255).round().byte().numpy())
    assert np.isfinite([final[n] for n in ("L1_test", "LK_test", "LK_se")]).all()


def test_shrinking_the_pixels_raises_the_density_by_their_logarithm() -> None:
    """p(x) of x / s is s^X times that of x: what division by the maximum does to a bound."""
    run, s = run_of(), 2.0
    net = small.net(replace(run, model=replace(run.hierarchy, var_floor=0.0)))
    x = small.real()
    px = Normal(small.real(seed=1), small.real(seed=2) + 0.1)
    shrunk = Normal(px.mu / s, px.var / s**2)
    gain = log_observation(net, x / s, shrunk, 1) - log_observation(net, x, px, 1)
    torch.testing.assert_close(gain, torch.full_like(gain, X * np.log(s)))
