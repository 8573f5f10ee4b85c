"""Arms in processes of their own: made ready side by side, measured one by one, none lost."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from fixture_bench import LVAES, TINY
from small import CPU

from repro.bench import suite
from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Arm, arms, known_arms
from repro.cli import run
from repro.machine import toolchain

FAKE = """
import ast, json, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
name = ast.literal_eval(sys.argv[2])[0]["name"]
(folder / name).touch()
if name in ("broken", "large"):
    sys.exit("it broke" if name == "broken" else "torch.OutOfMemoryError: CUDA out of memory")
while len(list(folder.iterdir())) < 2:  # for ever, were they not side by side
    time.sleep(0.01)
print("ready", flush=True)
assert sys.stdin.readline() == "go\\n"
print(json.dumps({"arm": name, "at": time.monotonic()}))
"""
SILENT: Any = lambda arm: None  # noqa: E731


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Processes that are ready when two of them have begun; those that were started."""
    found: list[Any] = []
    real = suite.subprocess.Popen

    def popen(*arguments: Any, **more: Any) -> Any:
        found.append(real(*arguments, **more))
        return found[-1]

    monkeypatch.setattr(suite, "COMMAND", [sys.executable, "-c", FAKE, str(tmp_path)])
    monkeypatch.setattr(suite.subprocess, "Popen", popen)
    return found


def named(*names: str) -> list[Arm]:
    return [Arm(name, "eager", (3,)) for name in names]


def test_arms_are_made_ready_side_by_side_and_measured_one_by_one(started: list[Any]) -> None:
    told: list[str] = []
    chosen = named("a", "broken", "b")
    entries = suite.entries(chosen, TINY, CPU, 1, lambda arm: told.append(arm.name))
    assert told == ["a", "broken", "b"]
    first, broken, second = entries
    assert first["at"] < second["at"]
    assert broken == {"arm": "broken", "failed": "it broke"}
    assert all(p.poll() is not None for p in started)


def test_what_lacks_memory_beside_others_is_tried_alone(started: list[Any]) -> None:
    found = suite.entries(named("a", "large", "b"), TINY, CPU, 1, SILENT)
    assert found[1] == {"arm": "large", "absent": "more than the device's memory holds"}
    assert [set(e) for e in (found[0], found[2])] == [{"arm", "at"}] * 2
    assert len(started) == 4


def test_what_is_interrupted_leaves_no_process(started: list[Any]) -> None:
    def interrupt(_: Arm) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        suite.entries(named("a", "b"), TINY, CPU, 1, interrupt)
    assert [p.poll() is not None for p in started] == [True, True]


def test_a_benchmark_says_where_and_when_and_an_arm_that_breaks_does_not_lose_the_others(
    monkeypatch, capsys
):
    chosen = [Arm("shallow first", "eager", (2, 3)), LVAES]
    monkeypatch.setattr("repro.bench.arms.QUICK", TINY)
    for known in ("known_arms", "quick_arms"):
        monkeypatch.setattr(f"repro.bench.arms.{known}", lambda *_: chosen)
    arms = ",".join(arm.name for arm in chosen)
    assert run(["bench", "--quick", "--json", "--threads", "1", "--arms", arms]) == 3
    out, err = capsys.readouterr()
    told = ["measuring shallow first (1 of 2)", "measuring lvae (2 of 2)"]
    assert err.splitlines()[:2] == told
    result = json.loads(out)
    assert (result["threads"], result["torch"]) == (1, str(torch.__version__))
    assert result["device"]
    assert datetime.fromisoformat(result["date"]).tzinfo is not None
    broken, lvae, cuda = result["arms"]
    assert "UsageError: lanes of a stack must be sorted" in broken["failed"]
    assert set(lvae["operations"]) == {FORWARD, BOTH, STEP, SCORE}
    assert cuda == {"arm": "cuda", "absent": "no CUDA device"}
    assert set(result["matmul"]) == {"lvae"}
    assert all(m["step"]["flop_per_s"] > 0 for m in result["matmul"].values())


KNOWN = {arm.name: arm for arm in known_arms()}
ON_CUDA = ("graph K=4", "captured K=1", "graph MNIST grid", "L_5000")
NO_UNITS = "no units for bfloat16: products would be emulated"


@pytest.mark.parametrize(
    ("chosen", "absent"),
    [
        ([], ""),
        ([Arm("c", "compiled", (3,))], "no C++ compiler found: install g++"),
        ([arm for arm in arms() if arm.bfloat16], NO_UNITS),
        ([KNOWN[name] for name in ON_CUDA], "no CUDA device"),
    ],
    ids=["nothing", "compiler", "bfloat16", "cuda"],
)
def test_what_cannot_run_here_is_absent_with_the_reason(chosen, absent, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(toolchain, "compiler_fault", lambda: toolchain.NO_COMPILER)
    monkeypatch.setattr(suite, "multiplies_in_bfloat16", lambda _: False)
    *found, cuda = suite.bench(chosen, TINY, 1, SILENT)["arms"]
    assert found == [{"arm": arm.name, "absent": absent} for arm in chosen]
    assert cuda == {"arm": "cuda", "absent": "no CUDA device"}
