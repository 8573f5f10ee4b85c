"""Arms that are made ready side by side: their processes, streams, captures and compilations."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_bench import CPU, TINY

from repro.bench import ahead, grids, measure, operations, suite
from repro.bench.arms import SINGLE, Arm
from repro.bench.operations import BOTH, FORWARD, STEP
from repro.train.minibatch import BLOCK

GRID = Arm("grid", "captured", (*(3,) * 4, *(2,) * 4, *(1,) * 3), "mnist")
READY_WHEN_ALL_ARE = """
import json, pathlib, sys, time
folder, name = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])["arm"]["name"]
if name in ("broken", "large"):
    sys.exit("it broke" if name == "broken" else "torch.OutOfMemoryError: CUDA out of memory")
(folder / name).touch()
while len(list(folder.iterdir())) < 2:  # for ever, were they not side by side
    time.sleep(0.01)
print("ready", flush=True)
assert sys.stdin.readline() == "go\\n"
print(json.dumps({"arm": name, "at": time.monotonic()}))
"""


@pytest.fixture
def tiny_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ahead.Process]:
    """Processes that are ready when two of them have begun; returns those that were started."""
    started: list[ahead.Process] = []

    class Tiny(ahead.Process):
        def __init__(self, command: list[str]) -> None:
            arguments = ["-c", READY_WHEN_ALL_ARE, str(tmp_path), command[-1]]
            super().__init__([sys.executable, *arguments])
            started.append(self)

    monkeypatch.setattr(ahead, "Process", Tiny)
    return started


def test_arms_are_made_ready_side_by_side_and_measured_one_by_one(
    tiny_processes: list[ahead.Process],
) -> None:
    arms = [Arm("a", "plain", (3,)), Arm("broken", "eager", (3,)), Arm("b", "eager", (3,))]
    told: list[str] = []
    entries = suite._entries(arms, TINY, CPU, 1, lambda arm: told.append(arm.name))
    assert told == ["a", "broken", "b"]
    first, broken, second = entries
    assert first["at"] < second["at"]
    assert broken == {"arm": "broken", "failed": "it broke"}
    assert all(p._process.poll() is not None for p in tiny_processes)


def test_what_lacks_memory_beside_others_is_tried_alone(
    tiny_processes: list[ahead.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "_entry", lambda arm, *_: {"arm": arm.name, "alone": True})
    arms = [Arm(name, "eager", (3,)) for name in ("a", "large", "b")]
    entries = suite._entries(arms, TINY, CPU, 1, lambda arm: None)
    assert entries[1] == {"arm": "large", "alone": True}
    assert [set(e) for e in (entries[0], entries[2])] == [{"arm", "at"}] * 2


def test_what_is_interrupted_leaves_no_process(tiny_processes: list[ahead.Process]) -> None:
    arms = [Arm(name, "eager", (3,)) for name in ("a", "b")]

    def interrupt(_: Arm) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        suite._entries(arms, TINY, CPU, 1, interrupt)
    assert len(tiny_processes) == 2
    assert all(p._process.poll() is not None for p in tiny_processes)


def test_the_process_of_an_arm_says_when_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(measure, "_all_times", lambda *_: order.append("measured") or {})
    entry = measure.measure(Arm("", "eager", (3,)), TINY, CPU, lambda: order.append("ready"))
    assert order == ["ready", "measured"]
    assert entry["engine"] == "eager"


def test_the_stacks_of_a_grid_take_their_turns_on_streams_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[int] = []

    def turns(_: torch.device, n: int) -> list[Any]:
        @contextlib.contextmanager
        def turn(i: int) -> Iterator[None]:
            order.append(i)
            yield

        return [lambda i=i: turn(i) for i in range(n)]

    monkeypatch.setattr(grids, "turns", turns)
    ops, n = grids.of_arm(GRID, TINY, CPU), len(grids.stacks_of(GRID.depths, TINY))
    ops[STEP]()
    assert (order, n > 1) == ([*range(n)], True)


def test_forward_backward_and_step_share_one_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def compile_(function: Any, **_: Any) -> Any:
        compiled.append(function.__qualname__)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    operations.of_arm(Arm("", "compiled", (3,)), TINY, CPU)
    assert len(compiled) == len(set(compiled)) == 2  # the objective and the update


def test_products_are_captured_where_launching_them_would_be_all_that_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = dict.fromkeys((FORWARD, BOTH, STEP), 0)

    def counting(*_: Any) -> dict[str, Any]:
        def of(name: str) -> Any:
            return lambda: calls.__setitem__(name, calls[name] + 1)

        return {name: of(name) for name in calls}

    arm = Arm(SINGLE, "plain", (3,))
    monkeypatch.setitem(
        measure.CONTESTS, "lvae", measure.CONTESTS["lvae"]._replace(of_products=counting)
    )
    monkeypatch.setattr(measure, "is_launch_bound", lambda _: True)
    ops = {STEP: lambda: None}
    times = measure._all_times(arm, ops, TINY, CPU)
    warm_ups, measured = 3, TINY.warmup + TINY.repeats
    assert calls == {FORWARD: 0, BOTH: 0, STEP: warm_ups + BLOCK * measured}
    assert set(times) == {STEP}
    assert json.dumps(times)
