"""`repro bench`: arms in processes of their own, none lost; what it prints and compares."""

import copy
import json
import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import printed, refusal, told
from fixture_bench import LVAES, TINY, entry, saved_bench, step_of
from small import CPU

from repro.bench import suite
from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Arm, known_arms
from repro.bench.compare import compare, load
from repro.cli import run
from repro.errors import RecordError
from repro.machine import toolchain
from repro.store.places import ROOT

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


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Processes that are ready when two of them have begun; those that were started."""
    found: list[Any] = []
    real = suite.subprocess.Popen
    monkeypatch.setattr(suite, "COMMAND", [sys.executable, "-c", FAKE, str(tmp_path)])
    monkeypatch.setattr(
        suite.subprocess, "Popen", lambda *a, **b: found.append(real(*a, **b)) or found[-1]
    )
    return found


def named(*names: str) -> list[Arm]:
    return [Arm(name, "eager", (3,)) for name in names]


def test_arms_are_made_ready_side_by_side_and_measured_one_by_one(started: list[Any]) -> None:
    """What lacks memory beside others is tried alone."""
    told: list[str] = []
    chosen = named("a", "broken", "large", "b")
    entries = suite.entries(chosen, TINY, CPU, 1, lambda arm: told.append(arm.name))
    assert told == ["a", "broken", "large", "b"]
    first, broken, large, second = entries
    assert first["at"] < second["at"]
    assert broken == {"arm": "broken", "failed": "it broke"}
    assert large == {"arm": "large", "absent": "more than the device's memory holds"}
    assert [p.poll() is not None for p in started] == [True] * 5


def test_what_is_interrupted_leaves_no_process(started: list[Any]) -> None:
    def interrupt(_: Arm) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        suite.entries(named("a", "b"), TINY, CPU, 1, interrupt)
    assert [p.poll() is not None for p in started] == [True, True]


def test_a_benchmark_says_where_and_when_and_a_broken_arm_loses_no_other(monkeypatch, capsys):
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


ABSENT = {
    "compiled K=1": "no C++ compiler found: install g++",
    "bfloat16 K=1": "no units for bfloat16: products would be emulated",
    **dict.fromkeys(("graph K=4", "captured K=1", "L_5000", "cuda"), "no CUDA device"),
}


def test_what_cannot_run_here_is_absent_with_the_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(toolchain, "compiler_fault", lambda: toolchain.NO_COMPILER)
    monkeypatch.setattr(suite, "multiplies_in_bfloat16", lambda _: False)
    chosen = [arm for arm in known_arms() if arm.name in ABSENT]
    found = suite.bench(chosen, TINY, 1, lambda arm: None)["arms"]
    assert {entry["arm"]: entry["absent"] for entry in found} == ABSENT


# Comparison, of benchmarks made up here


def scaled(name: str, factor: float, bench: dict[str, Any]) -> None:
    step_of(bench, "compiled K=4")[name] *= factor


def alone(bench: dict[str, Any]) -> None:
    """A slower arm without a single model: it is compared by its products."""
    del step_of(bench, "compiled K=4")["ratio_to_single"]
    scaled("ratio_to_matmul", 2, bench)


def other_arms(bench: dict[str, Any]) -> None:
    bench["arms"] = [e for e in bench["arms"] if e["arm"] != "compiled K=4"]
    bench["arms"].append(entry("eager K=2", "eager", [5, 5], 0.2))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(saved_bench()))
    return path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the next `repro bench` will find; a test may doctor it."""
    bench = saved_bench()
    monkeypatch.setattr(suite, "bench", lambda *_: copy.deepcopy(bench))
    return bench


@pytest.mark.parametrize(
    ("doctor", "said"),
    [
        (partial(scaled, "ratio_to_single", 1.14), ""),
        (partial(scaled, "ratio_to_single", 2.0), "single 0.3 -> 0.6 (+100%)"),
        (partial(scaled, "ratio_to_single", 1.16), "single"),
        (partial(scaled, "ratio_to_matmul", 1.16), "matmul"),
        (partial(scaled, "ratio_to_matmul", 0.5), ""),
        (partial(scaled, "seconds", 10.0), ""),  # a slower machine
        (other_arms, ""),
        (alone, "matmul"),
    ],
)
def test_a_ratio_over_15_percent_worse_is_named(doctor, said, measured, saved, capsys):
    doctor(measured)
    assert run(["bench", "--compare", str(saved)]) == (1 if said else 0)
    out, err = capsys.readouterr()
    assert err.count("worse") == (1 if said else 0)
    assert f"worse: compiled K=4, step: ratio_to_{said}" in err or not said
    assert ("only here: eager K=2, step" in out) == (doctor is other_arms)
    assert ("only in the file: compiled K=4, step" in out) == (doctor in (other_arms, alone))


def test_another_machine_is_named_and_still_compared() -> None:
    found = compare({**saved_bench(), "device": "Slide rule", "threads": 1}, saved_bench())
    assert found["conditions"] == ["device: Abacus 3000, 2 cores -> Slide rule", "threads: 2 -> 1"]
    assert len(found["changes"]) == 12


def test_a_damaged_benchmark_or_one_of_other_ratios_is_a_record_error(tmp_path: Path) -> None:
    path, of_no_number = tmp_path / "bench.json", '{"arm": "a", "operations": {"step": 7}}'
    for content in ("", "[]", "{}", '{"arms": [{}]}', f'{{"arms": [{of_no_number}]}}'):
        path.write_text(content)
        with pytest.raises(RecordError, match=r"bench\.json: not a benchmark"):
            load(path)
    with pytest.raises(RecordError, match="holds neither ratio_to_single nor ratio_to_matmul"):
        load(ROOT / "results" / "bench" / "h100.json")


def test_no_arm_in_common_and_no_arm_measured_are_no_success(measured, saved, capsys):
    for each in measured["arms"]:
        each["arm"] += " of another kind"
    assert run(["bench", "--compare", str(saved)]) == 3
    assert "no arm measured here is in the file" in capsys.readouterr().err
    measured["arms"] = [{"arm": "cuda", "absent": "no CUDA device"}]
    assert run(["bench", "--json"]) == 3
    assert "nothing measured" in capsys.readouterr().err


def test_a_missing_benchmark_exits_3_before_anything_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(suite, "bench", lambda *_: pytest.fail("measured"))
    said = refusal(capsys, "bench", "--compare", "/nonexistent/bench.json")
    assert "/nonexistent/bench.json" in said


# Command line


def test_json_is_all_that_stdout_holds(measured, saved, capsys):
    shown = printed(capsys, "bench", "--compare", str(saved))
    assert {c["worse"] for c in shown.pop("against")["changes"]} == {False}
    assert shown == measured


def test_the_table_shows_ratios_device_absent_arms_and_the_share_of_the_roofline(measured, capsys):
    measured["roofline"] = "roofline: bound = max(FLOPs / rate, bytes / bandwidth)"
    measured["arms"][-2]["roofline"] = {
        "flops": 12_000_000_000, "parameters": 1_859_424, "activations": 2_345_678,
        "bytes": 78_267_000, "flop_per_s": 3e11, "bytes_per_s": 1e10,
        "bound_seconds": 0.04, "fraction": 0.33,
    }  # fmt: skip
    out = told(capsys, "bench")
    row = next(line for line in out.splitlines() if "compiled K=4" in line)
    assert "0.30" in row
    said = " ".join(out.split())
    for part in (
        "Abacus 3000, 2 cores, 2 threads, torch 2.13.0, 2026-02-03",
        "cuda: absent: no CUDA device",
        measured["roofline"],
        "1.2e+10 FLOP at 3e+11/s; 1,859,424 parameters and 2,345,678 activations",
        "7.827e+07 bytes at 1e+10/s; bound 40 ms, reached 33%",
    ):
        assert part in said


def test_an_arm_that_broke_exits_3_a_regression_beside_it(measured, saved, capsys):
    measured["arms"].append({"arm": "eager K=8", "failed": "MemoryError"})
    scaled("ratio_to_single", 2, measured)
    assert run(["bench", "--compare", str(saved)]) == 3
    said = capsys.readouterr().err
    assert "eager K=8 failed: MemoryError" in said
    assert "worse: compiled K=4" in said
