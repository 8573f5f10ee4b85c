"""An engine that cannot be made here: what is missing is named, the next one takes its place."""

import contextlib
import dataclasses
import errno
import itertools
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from fixture_data import refused
from small_training import APART, OPTIONS, PROFILE, RUNS, assert_same, checkpoints, trained

from repro.errors import MachineError
from repro.machine import cost as predict
from repro.machine import device, engines, toolchain, training
from repro.machine.engines import ORDER, Engines
from repro.machine.local import train
from repro.machine.saved.checkpoint import Pinned, load_header
from repro.machine.toolchain import compiler_fault, fault_of
from repro.machine.work import Options
from repro.model.stack import Stack
from repro.store import Store
from repro.train.state import State

AUTO = Options(threads=1)
NO_HEADERS = """#!/bin/sh
for a do shift; case $a in -I*/include/python3*) ;; *) set -- "$@" "$a" ;; esac; done
exec g++ "$@"
"""


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return trained(tmp_path_factory.mktemp("eager"), APART, OPTIONS)


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes a script the C++ compiler, with nothing compiled before, nor a test of vectors."""
    from torch._inductor import config, cpp_builder  # which keep what they find at first

    assert cpp_builder.is_gcc() or cpp_builder.is_clang()

    def take(script: str) -> None:
        path = tmp_path / "compiler"
        path.write_text(script)
        path.chmod(0o755)
        monkeypatch.setenv("CXX", str(path))
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
        monkeypatch.setattr("torch._inductor.cpu_vec_isa.valid_vec_isa_list", list)
        torches.enter_context(config.patch({"cpp.cxx": (None, str(path))}))

    with contextlib.ExitStack() as torches:
        yield take


def notices(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [x for x in capsys.readouterr().err.splitlines() if x.startswith("engine ")]


# What is missing


@pytest.mark.parametrize(
    ("script", "what", "remedy"),
    [
        (NO_HEADERS, "finds no Python.h", "python3-dev"),
        ("#!/bin/sh\necho cannot execute cc1plus >&2; exit 1\n", "cc1plus", "in CXX, now"),
        ("#!/bin/sh\nprintf '\\377\\376' >&2; exit 1\n", "does not run", "in CXX, now"),
        ("", "does not run", "in CXX, now"),
    ],
    ids=["headers", "cc1plus", "another encoding", "no program"],
)
def test_a_compiler_that_does_not_work_is_told_by_what_it_lacks(script, what, remedy, compiler):
    compiler(script)
    fault = compiler_fault()
    assert fault is not None
    assert (what in fault.what, remedy in fault.remedy) == (True, True), fault


def test_a_compiler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/g++")
    assert str(compiler_fault()) == "no C++ compiler found: name another in CXX, now '/nowhere/g++'"
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "/nowhere")
    toolchain._fault_of_compiler.cache_clear()
    assert str(compiler_fault()) == "no C++ compiler found: install g++"
    toolchain._fault_of_compiler.cache_clear()


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (RuntimeError("g++ -I/usr/include\n\na.cpp:1:10: fatal error: Python.h: No such file"),
         "Python.h", "python3-dev"),
        (RuntimeError("clang++\n\na.cpp:2:10: fatal error: 'omp.h' file not found"),
         "omp.h", "package"),
        (RuntimeError("g++\n\n/usr/bin/ld: cannot find -lgomp: No such file"), "-lgomp", "g++"),
        (RuntimeError("No working C++ compiler found in config.cpp.cxx"), "no C++ compiler", "g++"),
        (RuntimeError("Failed to find C compiler. Please specify via CC"), "C compiler", "gcc"),
        (RuntimeError("Cannot find a working triton installation. "), "Triton", "torch again"),
        (ModuleNotFoundError("No module named 'triton.compiler'"), "Triton", "torch again"),
        (AssertionError("libcuda.so cannot found!"), "libcuda.so", "driver"),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/t.so"), "/tmp/t.so", "space"),
        (PermissionError(errno.EACCES, "Permission denied", "/home/c"), "/home/c", "CACHE_DIR"),
        (RuntimeError("CUDA error: operation not permitted when stream is capturing\nMore"),
         "RuntimeError: CUDA error: operation not permitted when stream is capturing", "torch"),
        (ValueError(), "ValueError", "torch"),
    ],
)  # fmt: skip
def test_what_an_engine_was_missing_is_read_off_its_error(error, what, remedy):
    fault = fault_of(error)
    assert (what in fault.what, remedy in fault.remedy) == (True, True), fault
    assert "\n" not in str(fault)


def test_what_was_missing_is_read_behind_the_error_of_an_abandoned_recording() -> None:
    error = RuntimeError("capture ended")
    error.__context__ = ModuleNotFoundError("No module named 'triton.compiler'")
    assert "Triton" in fault_of(error).what


# Stepping down


class Failing:
    """Engines that fail at a step, after it has changed the state; and what was made."""

    def __init__(self, monkeypatch: Any, *failing: str, at: int = 1, wanted: str = "compiled"):
        self.made: list[str] = []
        make: Callable[..., Any] = training.step_function

        def made(stack: Stack, engine: str) -> Any:
            self.made.append(engine)
            step, count = make(stack, "eager"), itertools.count(1)

            def spoiling(state: State, batch: Any) -> None:
                step(state, batch)
                if next(count) == at:
                    raise RuntimeError(f"{engine} is out of order")

            return spoiling if engine in failing else step

        monkeypatch.setattr(training, "step_function", made)
        monkeypatch.setattr(toolchain, "compiler_fault", lambda: None)
        monkeypatch.setattr(Engines, "_wanted", lambda *_: wanted)


@pytest.mark.parametrize(
    ("failing", "last"), [(["graph"], "captured"), (["graph", "captured", "compiled"], "eager")]
)
def test_auto_begins_again_with_the_next_engine(failing, last, store, eager, monkeypatch, capsys):
    freed: list[torch.device] = []
    monkeypatch.setattr(engines, "free_cached", freed.append)
    tried = Failing(monkeypatch, *failing, wanted="graph")
    outcome = train(APART, store, PROFILE, AUTO)
    assert freed == [small.CPU] * len(failing)  # the next has the memory of the one before
    assert (sorted(outcome.done), outcome.failed) == (sorted(r.id for r in APART), {})
    assert tried.made == [*failing, last, last]  # the second stack begins with what works
    said = notices(capsys)
    assert [line.split(":")[0] for line in said] == [f"engine {e}" for e in failing]
    assert f"{failing[-1]} is out of order: going on with {last}" in said[-1]
    for run in APART:
        env = store.record(PROFILE, run.id).env
        assert env["engine"] == last
        assert [step["engine"] for step in env["stepped_down"]] == failing
        assert "out of order" in env["stepped_down"][0]["reason"]
        if last == "eager":
            assert_same(store, eager, run)
            assert "stepped_down" not in eager.record(PROFILE, run.id).env


@pytest.mark.parametrize("engine", ORDER[:-1])
def test_an_engine_that_was_named_fails_with_one_line(engine, store, monkeypatch):
    following = ORDER[ORDER.index(engine) + 1]
    Failing(monkeypatch, engine, wanted=engine)
    with refused(MachineError, f"--engine {engine}: ", "is out of order", f"or use {following}"):
        train(APART, store, PROFILE, dataclasses.replace(AUTO, engine=engine))
    assert not list((store.folder(PROFILE) / ".failed").glob("*"))


@pytest.mark.parametrize(("failing", "at"), [(["compiled", "eager"], 1), (["compiled"], 2)])
def test_a_step_that_no_engine_mends_is_the_run_s_failure(failing, at, store, monkeypatch):
    """One that fails in every engine, and a later one than the first."""
    Failing(monkeypatch, *failing, at=at)
    reason = f"RuntimeError: {failing[-1]} is out of order"
    assert train(APART, store, PROFILE, AUTO).failed == {run.id: reason for run in APART}


def test_a_continued_stack_remembers_that_it_stepped_down(store, monkeypatch):
    with monkeypatch.context() as patch:
        Failing(patch, "compiled")
        train(RUNS, store, PROFILE, dataclasses.replace(AUTO, budget_seconds=0.0))
    (path,) = checkpoints(store)
    assert load_header(path)[1].engine == "eager"
    train(RUNS, store, PROFILE, AUTO)
    (step,) = store.record(PROFILE, RUNS[0].id).env["stepped_down"]
    assert step["engine"] == "compiled"


@pytest.mark.parametrize("seen", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_without_headers_long_runs_train_eagerly(seen, store, eager, compiler, monkeypatch, capsys):
    """They are missed beforehand, or by torch."""
    compiler(NO_HEADERS)
    monkeypatch.setattr(predict, "compiling_pays", lambda _: True)
    if not seen:
        monkeypatch.setattr(toolchain, "compiler_fault", lambda: None)
    assert sorted(train(APART, store, PROFILE, AUTO).done) == sorted(run.id for run in APART)
    (line,) = notices(capsys)
    assert line.startswith("engine compiled: the C++ compiler finds no Python.h")
    assert "python3-dev" in line
    for run in APART:
        env = store.record(PROFILE, run.id).env
        (step,) = env["stepped_down"]
        assert (env["engine"], step["engine"]) == ("eager", "compiled")
        assert "Python.h" in step["reason"]
        assert_same(store, eager, run)


def test_what_an_abandoned_step_held_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code and its error are reachable from each other alone."""
    held, seen = State({}, {}, {}, *[torch.zeros(1)] * 3), list[Any]()
    held.flat, left = held, weakref.ref(held)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: seen.append(left()))
    del held
    assert left() is not None
    device.free_cached(torch.device("cuda"))
    assert seen == [None]


def test_an_engine_is_not_to_blame_where_training_is_interrupted() -> None:
    fails = Engines("auto", interrupted=lambda: True)

    def train(pinned: Pinned) -> Iterator[None]:
        raise engines.EngineFailed(pinned.engine, toolchain.NO_COMPILER)
        yield

    with pytest.raises(KeyboardInterrupt):
        next(fails.trying(Pinned("captured", 1, "cpu"), small.CPU, train))
    assert fails.faults == {}
