"""Training with captured steps, precision of products, and what happens when memory is out."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import small
import torch
from fixture_data import refused
from small_training import (
    PROFILE,
    RUNS,
    STEPS,
    assert_same,
    checkpoints,
    hooked,
    interrupted,
    trained,
)

from repro.errors import MachineError
from repro.machine import arrange, device, precision, toolchain
from repro.machine import cost as predict
from repro.machine.local import train
from repro.machine.rescoring import evaluate
from repro.machine.saved import checkpoint
from repro.machine.saved.checkpoint import Pinned, lanes_of, load_header
from repro.machine.work import Options, Outcome, Work
from repro.model.stack import Stack
from repro.store import Store
from repro.train import score
from repro.train.evaluate import FEWEST_ROWS, Room, importance_bound
from repro.train.log import LaneLog, Log
from repro.train.state import State, fresh

EAGER = Options(engine="eager", threads=1)
CAPTURED = Options(engine="captured", threads=1)
THREE = [*RUNS, small.run("lvae", 1, seed=2, steps=STEPS, scored=(1, 2))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The records of THREE from one uninterrupted eager training."""
    return trained(tmp_path_factory.mktemp("whole"), THREE, EAGER)


def assert_near(ours: Store, expected: Store, *metrics: str) -> None:
    """The records of THREE agree but for rounding."""
    for run in THREE:
        a, b = ([s.record(PROFILE, run.id).final[m] for m in metrics] for s in (ours, expected))
        assert a == pytest.approx(b, abs=0.01)


# Captured steps


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return trained(tmp_path_factory.mktemp("captured"), THREE, CAPTURED)


def test_captured_training_records_what_eager_training_does(captured: Store, whole: Store) -> None:
    assert_near(captured, whole, "L1_train", "L1_test", "LK_test")
    assert {r.env["engine"] for r in captured.records(PROFILE)} == {"captured"}


def test_captured_training_continues_to_the_same_numbers(store: Store, captured: Store) -> None:
    """It is stopped after every block, and each continuation captures anew."""
    spent, calls = dataclasses.replace(CAPTURED, budget_seconds=0.0), 0
    while train(THREE, store, PROFILE, spent).unfinished:
        (path,) = checkpoints(store)
        assert load_header(path)[1].engine == "captured"
        calls += 1
    assert calls >= 4
    assert_same(store, captured, *THREE)


def chosen(
    store: Store, name: str, compiles: bool, steps: int, patch: pytest.MonkeyPatch
) -> Pinned:
    fault = None if compiles else toolchain.NO_COMPILER
    patch.setattr(toolchain, "compiler_fault", lambda: fault)
    work = Work(store, PROFILE, Options())
    work.device = torch.device(name)
    run = small.run(epochs=steps // 10, steps=10)
    return work.engines.chosen([run], work.device, work.precision)


@pytest.mark.parametrize(
    ("compiles", "steps", "engine"),
    [(True, 20_000, "graph"), (True, 10_000, "captured"), (False, 20_000, "captured")],
)
def test_auto_captures_on_cuda_and_compiles_where_the_steps_repay_it(
    compiles: bool, steps: int, engine: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = chosen(store, "cuda", compiles, steps, monkeypatch)
    assert pinned.engine == engine
    assert bool(pinned.stepped_down) == (engine == "captured" and steps == 20_000)


def test_auto_never_captures_on_a_cpu(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(store, "cpu", True, 20_000, monkeypatch).engine in ("eager", "compiled")


def test_a_checkpoint_of_another_device_is_refused(store, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    monkeypatch.setattr(
        checkpoint, "load_header", lambda p: (RUNS, Pinned("graph", 1, "cuda", "tf32"))
    )
    with refused(MachineError, str(path), "was begun on cuda", "remove it"):
        train(RUNS, store, PROFILE, EAGER)
    assert path.exists()


@pytest.mark.parametrize(("begun", "here"), [(132, 114), (132, None), (None, 132), (132, 132)])
def test_a_checkpoint_continues_where_as_many_multiprocessors_draw_the_same_numbers(
    begun: int | None, here: int | None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    ("where", "asked", "given"),
    [
        ("cuda", None, "tf32"),
        ("cpu", None, "float32"),
        *(("cuda", each, each) for each in precision.PRECISIONS),
        *(("cpu", each, each) for each in ("float32", "bfloat16")),
    ],
)
def test_products_are_tf32_on_cuda_and_float32_on_a_cpu_unless_asked_for(where, asked, given):
    assert precision.precision_on(torch.device(where), asked) == given
    with pytest.raises(MachineError, match="only CUDA"):
        precision.precision_on(small.CPU, "tf32")


@pytest.mark.parametrize(
    ("where", "rounded", "set_to"),
    [
        *(("cuda", "tf32", "high"), ("cuda", "float32", "highest")),
        *(("cuda", "bfloat16", "highest"), ("cpu", "tf32", "highest")),
    ],
)
def test_the_precision_of_products_is_torch_s_and_of_cuda_alone(where, rounded, set_to):
    precision.multiply_in(rounded, torch.device(where))
    assert torch.get_float32_matmul_precision() == set_to


def test_the_record_says_how_products_were_rounded(store: Store) -> None:
    train(RUNS[1:], store, PROFILE, Options(engine="eager", threads=1, precision="float32"))
    assert store.record(PROFILE, RUNS[1].id).env["precision"] == "float32"


BFLOAT16 = Options(engine="eager", threads=1, precision="bfloat16")


def test_bfloat16_is_offered_where_the_processor_has_units_for_it(store, monkeypatch, capsys):
    monkeypatch.setattr("repro.model.layers.SMALL", 0)
    with_units = lambda has: [  # noqa: E731
        monkeypatch.setattr(module, "multiplies_in_bfloat16", lambda _: has)
        for module in (precision, arrange)
    ]
    with_units(False)
    with pytest.raises(MachineError, match="emulate"):
        train(RUNS, store, PROFILE, BFLOAT16)
    with_units(True)
    spent = dataclasses.replace(BFLOAT16, budget_seconds=0.0)
    assert train(RUNS, store, PROFILE, spent).unfinished
    with_units(False)  # what was begun goes on, and ends with the same numbers
    assert train(RUNS, store, PROFILE, Options(engine="eager", threads=1)).unfinished == []
    assert "continued in bfloat16" in capsys.readouterr().err
    with_units(True)
    other = Store(store.root.parent / "whole")
    train(RUNS, other, PROFILE, BFLOAT16)
    for run in RUNS:
        assert_same(store, other, run)
        assert store.record(PROFILE, run.id).env["precision"] == "bfloat16"


def state_of(stack: Stack) -> tuple[State, Log]:
    """A state of which every number differs."""
    state = fresh(stack, small.PIXELS, small.CPU, torch.float32)
    for n, part in enumerate((state.params, state.m, state.v)):
        for p in part.values():
            p += torch.arange(p.numel()).view(p.shape) + n
    state.sums += torch.arange(len(stack.runs))
    return state, Log([LaneLog() for _ in stack.runs], epoch=1, step=26)


def test_a_checkpoint_older_than_the_choice_multiplied_in_float32() -> None:
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
def test_a_stack_too_large_for_the_device_trains_in_halves(
    lanes: int, options: Options, store: Store, whole: Store, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    hooked(monkeypatch, too_wide(lanes))
    outcome = train(THREE, store, PROFILE, options)
    assert sorted(outcome.done) == sorted(run.id for run in THREE)
    assert (outcome.failed, outcome.unfinished) == ({}, [])
    assert capsys.readouterr().err.count("out of device memory; in two stacks now") == 3 - lanes
    assert_near(store, whole, "L1_test")


def test_the_halves_continue_from_the_checkpoint(store, whole, monkeypatch):
    steps = hooked(monkeypatch, too_wide(2, at=STEPS + 8))
    train(THREE, store, PROFILE, dataclasses.replace(EAGER, checkpoint_seconds=0.0))
    assert steps == [STEPS + 8 + 2 * STEPS]
    assert checkpoints(store) == []
    assert_near(store, whole, "L1_test")


@pytest.mark.parametrize("lanes", [slice(0, 1), slice(1, 3), slice(0, 2)], ids=str)
def test_a_part_of_a_state_is_that_of_its_lanes(lanes: slice) -> None:
    stack = Stack(tuple(THREE))
    state, _ = state_of(stack)
    part, half = lanes_of(stack, state, lanes), Stack(tuple(THREE[lanes]))
    expected = fresh(half, small.PIXELS, small.CPU, torch.float32).params
    assert {n: p.shape for n, p in part.params.items()} == {n: p.shape for n, p in expected.items()}
    for n, p in part.v.items():
        assert torch.equal(p, state.v[n][lanes]), n
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


def test_scoring_halves_its_chunks_until_they_fit(store, monkeypatch, capsys):
    seen: list[int] = []

    def scarce(net: Any, x: Any, noise: Any, samples: int, rows: int) -> Any:
        seen.append(rows)
        if rows > 1024:
            raise out_of_memory()
        return importance_bound(net, x, noise, samples, rows)

    monkeypatch.setattr(score, "importance_bound", scarce)
    outcome = train(RUNS, store, PROFILE, EAGER)
    assert len(outcome.done) == 2
    assert seen == [4096, 2048, 1024, 1024]  # the second lane begins where the first ended
    notices = [x for x in capsys.readouterr().err.splitlines() if "out of device memory" in x]
    assert [line.split()[-3:-1] for line in notices] == [["2048", "rows"], ["1024", "rows"]]
    assert store.record(PROFILE, RUNS[1].id).env["scoring_rows"] == 1024


def test_the_rows_of_a_chunk_bound_what_is_scored_at_once(store, monkeypatch):
    seen: list[int] = []

    def noted(net: Any, x: Any, noise: Any, samples: int, rows: int) -> Any:
        seen.append(rows)
        return importance_bound(net, x, noise, samples, rows)

    monkeypatch.setattr(score, "importance_bound", noted)
    few = dataclasses.replace(EAGER, scoring_rows=128)
    train(RUNS[1:], store, PROFILE, few)
    evaluate([RUNS[1].id], store, PROFILE, few)
    assert seen == [128, 128]
    env = store.record(PROFILE, RUNS[1].id).env
    assert env["scoring_rows"] == env["evaluated_again"]["scoring_rows"] == 128


def test_chunks_are_not_halved_for_ever() -> None:
    def never(rows: int) -> None:
        raise out_of_memory()

    room = Room(4 * FEWEST_ROWS)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        room.fitting(never)
    assert room.rows == FEWEST_ROWS


def test_on_a_cpu_chunks_are_as_they_were() -> None:
    assert device.scoring_rows(small.CPU) == Room().rows == 4096


@pytest.mark.parametrize(("gibibytes", "lanes"), [(2, 1), (100, 32)])
def test_lanes_are_as_many_as_the_device_s_memory_holds(gibibytes: int, lanes: int) -> None:
    from repro.plan.profiles import find_run, profile

    run = find_run("mnist-lvae_bn_wu-L5-s1", profile("paper"))
    assert predict.most_lanes([run], gibibytes * 2.0**30) == lanes
