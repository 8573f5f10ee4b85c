"""Training with captured steps, precision of products, and what happens when memory is out."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import small
import small_training
import torch
from fixture_data import refused
from small_training import PROFILE, RUNS, STEPS, assert_same, checkpoints, hooked, interrupted

from repro.errors import MachineError
from repro.machine import arrange, device, precision, toolchain
from repro.machine import cost as predict
from repro.machine.local import train
from repro.machine.rescoring import evaluate
from repro.machine.saved import checkpoint
from repro.machine.saved.checkpoint import Pinned, lanes_of, load_header
from repro.machine.work import Options, Outcome, Work
from repro.model.stack import Stack
from repro.plan.profiles import find_run, profile
from repro.store import Store
from repro.train import score
from repro.train.evaluate import FEWEST_ROWS, Room, importance_bound
from repro.train.state import fresh

EAGER = Options(engine="eager", threads=1)
CAPTURED = Options(engine="captured", threads=1)
THREE = [*RUNS, small.run("lvae", 1, seed=2, steps=STEPS, scored=(1, 2))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The records of THREE from one uninterrupted eager training."""
    return small_training.trained(tmp_path_factory.mktemp("whole"), THREE, EAGER)


def assert_near(ours: Store, expected: Store) -> None:
    """The records of THREE agree but for rounding."""
    for run in THREE:
        a, b = (s.record(PROFILE, run.id).final for s in (ours, expected))
        for metric in ("L1_train", "L1_test", "LK_test"):
            assert a[metric] == pytest.approx(b[metric], abs=0.01)


# Captured steps


def test_captured_training_continues_to_the_same_numbers(store: Store, tmp_path: Path) -> None:
    """It is stopped after every block, and each continuation captures anew."""
    spent, calls = dataclasses.replace(CAPTURED, budget_seconds=0.0), 0
    while train(THREE, store, PROFILE, spent).unfinished:
        (path,) = checkpoints(store)
        assert load_header(path)[1].engine == "captured"
        calls += 1
    assert calls >= 4
    assert_same(store, small_training.trained(tmp_path / "whole", THREE, CAPTURED), *THREE)


@pytest.mark.parametrize(
    ("where", "compiles", "steps", "engines"),
    [
        ("cuda", True, 20_000, ["graph"]),
        ("cuda", True, 10_000, ["captured"]),
        ("cuda", False, 20_000, ["captured"]),
        ("cpu", True, 20_000, ["eager", "compiled"]),
    ],
)
def test_auto_captures_on_cuda_alone(where, compiles, steps, engines, store, monkeypatch):
    fault = None if compiles else toolchain.NO_COMPILER
    monkeypatch.setattr(toolchain, "compiler_fault", lambda: fault)
    work, run = Work(store, PROFILE, Options()), small.run(epochs=steps // 10, steps=10)
    pinned = work.engines.chosen([run], torch.device(where), work.precision)
    assert pinned.engine in engines
    assert bool(pinned.stepped_down) is not compiles


def test_a_checkpoint_of_another_device_is_refused(store, monkeypatch):
    path, begun = interrupted(store, RUNS, monkeypatch), Pinned("graph", 1, "cuda", "tf32")
    monkeypatch.setattr(checkpoint, "load_header", lambda _: (RUNS, begun))
    with refused(MachineError, str(path), "was begun on cuda", "remove it"):
        train(RUNS, store, PROFILE, EAGER)
    assert path.exists()


@pytest.mark.parametrize(("begun", "here"), [(132, 114), (132, None), (None, 132), (132, 132)])
def test_a_checkpoint_continues_on_as_many_multiprocessors(begun, here, store, monkeypatch):
    monkeypatch.setattr(device, "multiprocessors", lambda _: begun)
    path = interrupted(store, RUNS, monkeypatch)
    assert load_header(path)[1].multiprocessors == begun
    monkeypatch.setattr(device, "multiprocessors", lambda _: here)
    if begun in (None, here):
        assert train(RUNS, store, PROFILE, EAGER).unfinished == []
        return
    with refused(MachineError, str(path), "132 multiprocessors", f"has {here}", "remove it"):
        train(RUNS, store, PROFILE, EAGER)
    assert path.exists()


# Precision


@pytest.mark.parametrize(
    ("where", "asked", "given", "set_to"),
    [
        *(("cuda", asked, "tf32", "high") for asked in (None, "tf32")),
        *(("cuda", asked, asked, "highest") for asked in ("float32", "bfloat16")),
        *(("cpu", asked, asked or "float32", "highest") for asked in (None, "float32", "bfloat16")),
    ],
)
def test_products_are_tf32_on_cuda_alone_unless_asked_for(where, asked, given, set_to):
    assert precision.precision_on(torch.device(where), asked) == given
    precision.multiply_in(given, torch.device(where))
    assert torch.get_float32_matmul_precision() == set_to


def test_bfloat16_is_offered_where_the_processor_has_units_for_it(store, monkeypatch, capsys):
    def processor(has_units: bool) -> None:
        for module in (precision, arrange):
            monkeypatch.setattr(module, "multiplies_in_bfloat16", lambda _: has_units)

    monkeypatch.setattr("repro.model.layers.SMALL", 0)
    rounded = dataclasses.replace(EAGER, precision="bfloat16")
    processor(has_units=False)
    with pytest.raises(MachineError, match="emulate"):
        train(RUNS, store, PROFILE, rounded)
    processor(has_units=True)
    spent = dataclasses.replace(rounded, budget_seconds=0.0)
    assert train(RUNS, store, PROFILE, spent).unfinished
    processor(has_units=False)  # what was begun goes on, and ends with the same numbers
    assert train(RUNS, store, PROFILE, EAGER).unfinished == []
    assert "continued in bfloat16" in capsys.readouterr().err
    processor(has_units=True)
    other = Store(store.root.parent / "whole")
    train(RUNS, other, PROFILE, rounded)
    for run in RUNS:
        assert_same(store, other, run)
        assert store.record(PROFILE, run.id).env["precision"] == "bfloat16"


def test_tf32_is_refused_on_a_cpu_and_an_older_checkpoint_multiplied_in_float32() -> None:
    with refused(MachineError, "--precision tf32: only CUDA", "use float32 or bfloat16"):
        precision.precision_on(small.CPU, "tf32")
    assert Pinned(**{"engine": "eager", "threads": 2, "device": "cuda"}).precision == "float32"


# Memory


def out_of_memory() -> torch.cuda.OutOfMemoryError:
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate\nmore than there is")


def too_wide(lanes: int, at: int = 1) -> Callable[[Stack, int], None]:
    """Memory is out from step `at` on for stacks of more than so many lanes."""

    def hook(stack: Stack, n: int) -> None:
        if len(stack.runs) > lanes and n >= at:
            raise out_of_memory()

    return hook


@pytest.mark.parametrize("options", [EAGER, CAPTURED], ids=lambda o: o.engine)
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_stack_too_large_trains_in_halves(lanes, options, store, whole, monkeypatch, capsys):
    hooked(monkeypatch, too_wide(lanes))
    outcome = train(THREE, store, PROFILE, options)
    assert sorted(outcome.done) == sorted(run.id for run in THREE)
    assert (outcome.failed, outcome.unfinished) == ({}, [])
    assert capsys.readouterr().err.count("out of device memory; in two stacks now") == 3 - lanes
    assert_near(store, whole)


def test_the_halves_continue_from_the_checkpoint(store, whole, monkeypatch):
    steps = hooked(monkeypatch, too_wide(2, at=STEPS + 8))
    train(THREE, store, PROFILE, dataclasses.replace(EAGER, checkpoint_seconds=0.0))
    assert steps == [STEPS + 8 + 2 * STEPS]
    assert checkpoints(store) == []
    assert_near(store, whole)


@pytest.mark.parametrize("lanes", [slice(0, 1), slice(1, 3), slice(0, 2)], ids=str)
def test_a_part_of_a_state_is_that_of_its_lanes(lanes: slice) -> None:
    stack, half = Stack(tuple(THREE)), Stack(tuple(THREE[lanes]))
    state, expected = (fresh(s, small.PIXELS, small.CPU, torch.float32) for s in (stack, half))
    for v in state.v.values():
        v += torch.arange(v.numel()).view(v.shape)
    state.sums += torch.arange(3)
    part = lanes_of(stack, state, lanes)
    shapes, alone = ({n: p.shape for n, p in s.params.items()} for s in (part, expected))
    assert shapes == alone
    for n, v in part.v.items():
        assert torch.equal(v, state.v[n][lanes]), n
    assert torch.equal(part.sums, state.sums[lanes])


def test_memory_that_was_out_is_seen_behind_the_error_of_an_abandoned_recording() -> None:
    on_top = RuntimeError("capture ended")
    assert not device.is_out_of_memory(on_top)
    on_top.__context__ = out_of_memory()
    assert device.is_out_of_memory(on_top)


def test_one_lane_too_large_for_the_device_fails_with_the_reason(store, monkeypatch):
    hooked(monkeypatch, too_wide(0))
    outcome = train(RUNS[1:], store, PROFILE, EAGER)
    reason = "OutOfMemoryError: CUDA out of memory. Tried to allocate"
    assert outcome == Outcome(failed={RUNS[1].id: reason})


def rows_scored(monkeypatch: pytest.MonkeyPatch, fitting: int = 4096) -> list[int]:
    """The rows of every chunk that is scored from now on; memory is out for more than fit."""
    seen: list[int] = []

    def bound(net: Any, x: Any, noise: Any, samples: int, rows: int) -> Any:
        seen.append(rows)
        if rows > fitting:
            raise out_of_memory()
        return importance_bound(net, x, noise, samples, rows)

    monkeypatch.setattr(score, "importance_bound", bound)
    return seen


def test_scoring_halves_its_chunks_until_they_fit(store, monkeypatch, capsys):
    seen = rows_scored(monkeypatch, fitting=1024)
    assert len(train(RUNS, store, PROFILE, EAGER).done) == 2
    assert seen == [4096, 2048, 1024, 1024]  # the second lane begins where the first ended
    notices = [x for x in capsys.readouterr().err.splitlines() if "out of device memory" in x]
    assert [line.split()[-3:-1] for line in notices] == [["2048", "rows"], ["1024", "rows"]]
    assert store.record(PROFILE, RUNS[1].id).env["scoring_rows"] == 1024


def test_the_rows_of_a_chunk_bound_what_is_scored_at_once(store, monkeypatch):
    seen, few = rows_scored(monkeypatch), dataclasses.replace(EAGER, scoring_rows=128)
    train(RUNS[1:], store, PROFILE, few)
    evaluate([RUNS[1].id], store, PROFILE, few)
    assert seen == [128, 128]
    env = store.record(PROFILE, RUNS[1].id).env
    assert env["scoring_rows"] == env["evaluated_again"]["scoring_rows"] == 128


def test_chunks_are_not_halved_for_ever() -> None:
    room = Room(4 * FEWEST_ROWS)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        room.fitting(mock.Mock(side_effect=out_of_memory()))
    assert room.rows == FEWEST_ROWS


@pytest.mark.parametrize(("gibibytes", "lanes"), [(2, 1), (100, 32)])
def test_lanes_are_as_many_as_the_device_s_memory_holds(gibibytes: int, lanes: int) -> None:
    run = find_run("mnist-lvae_bn_wu-L5-s1", profile("paper"))
    assert predict.most_lanes([run], gibibytes * 2.0**30) == lanes
