"""Arms that need a device, and the roofline: as far as both can be tested without one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bench_counts import recorded
from test_bench import CPU, TINY
from torch.utils.flop_counter import FlopCounterMode

from repro.bench import grids, operations, roofline, suite
from repro.bench.arms import SINGLE, Arm, Workload, cuda_arms, known_arms, quick_arms
from repro.bench.measure import CONTESTS, measure, rates, scored
from repro.bench.operations import BOTH, FORWARD, SCORE, STEP
from repro.bench.roofline import Counts, Limits, bound
from repro.train.minibatch import BLOCK

SMALL = Workload(latents=(5, 3), widths=(13, 11), pixels=19, batch=17)
CAPTURED = Arm("captured K=2", "captured", (3, 3))
GRID = Arm("grid", "eager", (*(3,) * 4, *(2,) * 4, *(1,) * 3), "mnist")
LADDER = Arm("ladder", "eager", (3, 3), "ladder")
WHOLE = Arm("L_5000", "eager", (3,), scoring=True)


def counts(arm: Arm, work: Workload = TINY) -> Counts:
    return CONTESTS[arm.model].counts(arm.depths, work)


def counted(arm: Arm, operation: str) -> int:
    """FLOPs that torch sees in the second call of an operation."""
    op = CONTESTS[arm.model].of_arm(arm, scored(arm, TINY), CPU)[operation]
    op()
    with FlopCounterMode(display=False) as counter:
        op()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("operation", [FORWARD, BOTH, STEP])
def test_the_products_alone_of_the_grid_are_those_of_its_operations(operation: str) -> None:
    twin = grids.of_products(GRID.depths, TINY, CPU)[operation]
    assert recorded(twin) == recorded(grids.of_arm(GRID, TINY, CPU)[operation])


@pytest.mark.parametrize("operation", [FORWARD, STEP])
def test_flops_of_the_grid_are_what_torch_counts(operation: str) -> None:
    assert grids.flops(GRID.depths, TINY)[operation] == counted(GRID, operation)


def test_an_arm_about_scoring_scores_all_images_with_all_samples() -> None:
    work = scored(WHOLE, TINY)
    ops = operations.of_arm(WHOLE, work, CPU)
    assert list(ops) == [SCORE]
    assert ops[SCORE]().shape == (1, TINY.all_images)  # type: ignore[attr-defined]
    assert operations.flops(WHOLE.depths, work)[SCORE] == counted(WHOLE, SCORE)


def test_counts_of_an_lvae_are_those_made_by_hand() -> None:
    """d1: 19-13-13-2x5, d2: 13-11-11-2x3, p1: 3-11-11-2x5, x: 5-13-13-19."""
    weights = 19 * 13 + 13 * 13 + 13 * 10 + 13 * 11 + 11 * 11 + 11 * 6
    weights += 3 * 11 + 11 * 11 + 11 * 10 + 5 * 13 + 13 * 13 + 13 * 19
    outputs = 13 + 13 + 10 + 11 + 11 + 6 + 11 + 11 + 10 + 13 + 13 + 19
    parameters = weights + outputs + outputs - 19  # shifts, and scales but for the pixels
    flops = 2 * 17 * (3 * weights - 19 * 13)  # images need no gradient
    ours = counts(Arm("", "eager", (2, 2)), SMALL)
    assert ours == Counts(2 * flops, 2 * parameters, 2 * 17 * outputs)


def test_counts_of_a_ladder_network_are_those_made_by_hand() -> None:
    """19-13-7-5: 30 corrupted rows, 15 clean and 15 decoded ones."""
    up = 19 * 13 + 13 * 7 + 7 * 5
    outputs = 30 * (13 + 7 + 5) + 15 * (13 + 7 + 5) + 15 * (7 + 13 + 19)
    flops = 2 * (3 * 60 * up - 45 * 19 * 13)
    parameters = 2 * up + (13 + 7 + 5) + 5 + 10 * (19 + 13 + 7 + 5)
    assert counts(Arm("", "eager", (3,), "ladder")) == Counts(flops, parameters, outputs)


@pytest.mark.parametrize("arm", [GRID, LADDER, CAPTURED], ids=lambda arm: arm.name)
def test_counted_flops_are_what_torch_counts(arm: Arm) -> None:
    once = Arm(arm.name, "eager", arm.depths, arm.model)
    assert counts(arm).flops == counted(once, STEP)


def test_compulsory_bytes_are_four_a_number_read_and_written() -> None:
    """Parameters, gradients and two moments; activations."""
    assert Counts(0, 10, 7).bytes == 4 * (2 * 4 * 10 + 2 * 7)


@pytest.mark.parametrize(("flops", "expected"), [(600, 6.0), (200, 5.0)], ids=["products", "bytes"])
def test_the_bound_is_the_longer_of_products_and_traffic(flops: int, expected: float) -> None:
    count = Counts(flops, 10, 45)
    assert bound(count, Limits(100.0, count.bytes / 5.0)) == pytest.approx(expected)


def test_limits_are_flops_and_bytes_of_the_quickest_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(roofline.SIDE, "cpu", 10)
    monkeypatch.setitem(roofline.COPIED, "cpu", 100)
    seconds = iter([9.0, 2.0, 9.0, 9.0, 9.0, 9.0, 9.0, 4.0, 9.0, 9.0])
    assert roofline.limits(CPU, lambda op: next(seconds)) == Limits(2 * 10**3 / 2, 2 * 100 / 4)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Limits that take no time to measure."""
    found = Limits(1e6, 1e5)
    monkeypatch.setattr(roofline, "limits", lambda device, seconds_of: found)
    return found


@pytest.mark.parametrize("arm", [GRID, LADDER, CAPTURED], ids=lambda arm: arm.name)
def test_an_entry_holds_counts_limits_and_the_share_reached(arm: Arm, limits: Limits) -> None:
    entry = measure(arm, TINY, CPU)
    r, count = entry["roofline"], counts(arm)
    assert (r["flops"], r["bytes"]) == (count.flops, count.bytes)
    assert (r["flop_per_s"], r["bytes_per_s"]) == limits
    assert r["fraction"] == pytest.approx(
        bound(count, limits) / entry["operations"][STEP]["seconds"], rel=1e-3
    )


def test_the_grid_is_held_against_no_single_model(limits: Limits) -> None:
    assert "ratio_to_single" not in measure(GRID, TINY, CPU)["operations"][STEP]


def test_the_mnist_grid_is_all_19_configurations_in_three_stacks() -> None:
    (arm,) = (arm for arm in cuda_arms() if arm.model == "mnist")
    stacks = grids.stacks_of(arm.depths, Workload())
    assert sorted(len(stack.runs) for stack in stacks) == [4, 5, 10]
    assert len({run.id for stack in stacks for run in stack.runs}) == arm.lanes == 19


def test_a_captured_operation_does_a_block_and_counts_one(limits: Limits) -> None:
    ops = operations.of_arm(CAPTURED, TINY, CPU)
    assert set(ops) == {FORWARD, BOTH, STEP}
    assert operations.per_call(CAPTURED) == BLOCK
    eager = Arm("eager K=2", "eager", (3, 3))
    block, one = (measure(a, TINY, CPU)["operations"][STEP]["seconds"] for a in (CAPTURED, eager))
    assert block < 5 * one


def test_whole_grids_count_every_lane() -> None:
    times = {"arm": [0.5, 0.5], "matmul": [1.0, 1.0]}
    assert rates(times, GRID, STEP, TINY, 10)["model_steps_per_s"] == 2 * GRID.lanes


def test_arms_for_cuda_are_graphs_of_ever_more_lanes() -> None:
    names = [arm.name for arm in cuda_arms()]
    assert names == [
        SINGLE, "eager K=1", "compiled K=1", "captured K=1",
        "graph K=1", "graph K=4", "graph K=32", "graph K=256",
        "graph 5-4-3-2", "captured MNIST grid",
        "ladder single", "ladder graph K=10", "L_5000",
    ]  # fmt: skip
    others = {"graph K=2", "graph K=512", "graph MNIST grid", "ladder graph K=1"}
    assert others <= {arm.name for arm in known_arms()} - set(names)


def test_quick_captures_one_arm_on_cuda() -> None:
    assert [arm.name for arm in quick_arms(cuda=True) if arm.needs_cuda] == ["graph K=4"]


@pytest.mark.parametrize("name", ["graph K=4", "captured K=1", "graph MNIST grid", "L_5000"])
def test_without_a_device_an_arm_that_needs_one_is_absent(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (arm,) = (arm for arm in known_arms() if arm.name == name)
    entry = suite.bench([arm], TINY, 1, lambda arm: None)["arms"][0]
    assert entry == {"arm": name, "absent": "no CUDA device"}


def test_an_arm_beyond_the_device_s_memory_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        returncode, stdout = 1, ""
        stderr = "Traceback\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"

    monkeypatch.setattr(
        suite, "subprocess", SimpleNamespace(run=lambda *args, **kwargs: Done, DEVNULL=None)
    )
    entry: Any = suite.bench([Arm("K", "eager", (3,))], TINY, 1, lambda arm: None)["arms"][0]
    assert entry == {"arm": "K", "absent": "more than the device's memory holds"}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("engine", ["captured", "graph"])
def test_captured_arms_are_measured_on_cuda(engine: Any) -> None:
    arm = Arm("", engine, (3, 3, 2))
    entry = measure(arm, TINY, torch.device("cuda"))
    assert set(entry["operations"]) == {FORWARD, BOTH, STEP}
    assert 0 < entry["roofline"]["fraction"] < 1
