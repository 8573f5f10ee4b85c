"""`repro bench`: arms in processes of their own, none lost; what it prints and compares."""

import copy
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import one_line, printed, told
from fixture_bench import LVAES, REPEATS, entry, saved_bench, step_of
from small import CPU

from repro.bench import products, suite
from repro.bench.arms import BOTH, FORWARD, SCORE, STEP, Arm, arms, known_arms, stacks_of
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
    print(json.dumps({"failed": "it broke"} if name == "broken" else {"absent": "too large"}))
    sys.exit()
if name == "crashed":
    sys.exit(7)
while len(list(folder.iterdir())) < 2:  # for ever, were they not side by side
    time.sleep(0.01)
print("ready", flush=True)
assert sys.stdin.readline() == "go\\n"
print(json.dumps({"at": time.monotonic_ns()}))
"""


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
    """What lacks memory beside others is tried alone."""
    chosen = named("a", "broken", "large", "crashed", "b")
    first, broken, large, crashed, second = suite.entries(chosen, REPEATS, CPU, 1)
    assert first["at"] < second["at"]
    assert broken == {"arm": "broken", "failed": "it broke"}
    assert large == {"arm": "large", "absent": "too large"}
    assert crashed == {"arm": "crashed", "failed": "exit status 7"}
    assert [p.poll() is not None for p in started] == [True] * 6


def test_what_an_arm_lacks_and_why_it_broke_are_its_entry(monkeypatch, capsys):
    for error, said in (
        (torch.cuda.OutOfMemoryError(), {"absent": "more than the device's memory holds"}),
        (MemoryError("all of it"), {"failed": "MemoryError: all of it"}),
    ):

        def broken(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(suite, "measure", broken)
        fields = asdict(Arm("a", "eager", (3,), keeps_memory=False))
        suite.main(repr((fields, REPEATS, "cpu", 1)))
        assert json.loads(capsys.readouterr().out) == said


def test_what_is_interrupted_leaves_no_process(started: list[Any], monkeypatch: Any) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(suite.json, "loads", interrupt)
    with pytest.raises(KeyboardInterrupt):
        suite.entries(named("a", "b"), REPEATS, CPU, 1)
    assert [p.poll() is not None for p in started] == [True, True]


def test_a_benchmark_says_where_and_when_and_a_broken_arm_loses_no_other(monkeypatch, capsys):
    chosen = [Arm("no lanes", "eager", ()), replace(LVAES, depths=(2,), images=13, samples=5)]
    monkeypatch.setattr("repro.bench.arms.QUICK", REPEATS)
    monkeypatch.setattr("repro.bench.arms.chosen", lambda *_: chosen)
    assert run(["bench", "--quick", "--json", "--threads", "1"]) == 3
    out, err = capsys.readouterr()
    told = ["measuring no lanes (1 of 2)", "measuring lvae (2 of 2)"]
    assert err.splitlines()[:2] == told
    result = json.loads(out)
    assert (result["threads"], result["torch"]) == (1, str(torch.__version__))
    assert result["device"]
    assert datetime.fromisoformat(result["date"]).tzinfo is not None
    broken, lvae, cuda = result["arms"]
    assert broken["failed"] == "IndexError: list index out of range"
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
    *found, cuda = suite.bench(chosen, REPEATS, 1, print)["arms"]
    assert found == [{"arm": arm.name, "absent": absent} for arm in chosen]
    assert cuda == {"arm": "cuda", "absent": "no CUDA device"}


def test_the_work_is_the_published_ladder_network_and_the_19_configurations_of_the_grid() -> None:
    (stack,) = stacks_of(Arm("", "plain", (6,), "ladder"))
    run = stack.runs[0]
    assert run.ladder.sizes == (784, 1000, 500, 250, 250, 250, 10)
    assert run.ladder.cost_weights == (1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1)
    assert (run.labelled_batch, run.optim.batch) == (100, 100)
    single = Arm("", "plain", (5,))
    assert products.counts(single, CPU)["parameters"] == 1_859_424
    arm = next(arm for arm in known_arms() if arm.model == "mnist")
    stacks = stacks_of(arm)
    assert sorted(len(stack.runs) for stack in stacks) == [4, 5, 10]
    assert len({run.id for stack in stacks for run in stack.runs}) == arm.lanes == 19


# Comparison, of benchmarks made up here

Doctor = Callable[[dict[str, Any]], None]


def scaled(name: str, factor: float) -> Doctor:
    def doctor(bench: dict[str, Any]) -> None:
        step_of(bench, "compiled K=4")[name] *= factor

    return doctor


def alone(bench: dict[str, Any]) -> None:
    """A slower arm without a single model: it is compared by its products."""
    del step_of(bench, "compiled K=4")["ratio_to_single"]
    step_of(bench, "compiled K=4")["ratio_to_matmul"] *= 2


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
        pytest.param(scaled("ratio_to_single", 1.14), "", id="14% worse"),
        pytest.param(scaled("ratio_to_single", 2.0), "single 0.3 -> 0.6 (+100%)", id="100% worse"),
        pytest.param(scaled("ratio_to_single", 1.16), "single", id="16% worse"),
        pytest.param(scaled("ratio_to_matmul", 1.16), "matmul", id="products"),
        pytest.param(scaled("ratio_to_matmul", 0.5), "", id="better"),
        pytest.param(scaled("seconds", 10.0), "", id="slower machine"),
        pytest.param(other_arms, "", id="missing"),
        pytest.param(alone, "matmul", id="no single model"),
    ],
)
def test_a_ratio_over_15_percent_worse_is_named(doctor, said, measured, saved, capsys):
    doctor(measured)
    assert run(["bench", "--compare", str(saved)]) == (1 if said else 0)
    out, err = capsys.readouterr()
    assert err.count("worse") == (1 if said else 0)
    assert f"worse: compiled K=4, step: ratio_to_{said}" in err or not said
    assert ("only ours: eager K=2, step" in out) == (doctor is other_arms)
    assert ("only saved: compiled K=4, step" in out) == (doctor in (other_arms, alone))


def test_another_machine_is_named_and_still_compared() -> None:
    found = compare({**saved_bench(), "device": "Slide rule", "threads": 1}, saved_bench())
    assert found["conditions"] == ["device: Abacus 3000, 2 cores -> Slide rule", "threads: 2 -> 1"]
    assert len(found["changes"]) == 12


HUGE = f'{{"ratio_to_single": 1{"0" * 400}}}'


@pytest.mark.parametrize(
    "content",
    [
        *("", "[" * 100_000, "[]", "{}", '{"arms": [{}]}'),
        '{"arms": [{"arm": "a", "operations": {"step": 7}}]}',
        '{"arms": [{"arm": "a", "operations": {"step": {"ratio_to_single": Infinity}}}]}',
        '{"arms": [{"arm": "a", "operations": {"step": ' + HUGE + "}}]}",
    ],
)
def test_a_damaged_benchmark_is_a_record_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=r"bench\.json: not a benchmark"):
        load(path, [])


def test_a_benchmark_of_other_ratios_is_named_as_such() -> None:
    with pytest.raises(RecordError, match="holds neither ratio_to_single nor ratio_to_matmul"):
        load(ROOT / "results" / "bench" / "h100.json", [])


def test_no_arm_in_common_and_no_arm_measured_are_no_success(measured, saved, capsys):
    measured["arms"][1:-1] = [entry("eager K=2", "eager", [5], 0.2)]
    measured["arms"][0] = {"arm": "eager single", "absent": "more than the memory holds"}
    assert run(["bench", "--compare", str(saved)]) == 3
    assert "no arm measured here is in the file" in capsys.readouterr().err
    measured["arms"] = [{"arm": "cuda", "absent": "no CUDA device"}]
    assert run(["bench", "--json"]) == 3
    assert "nothing measured" in capsys.readouterr().err


def test_a_missing_benchmark_exits_3_before_anything_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(suite, "bench", lambda *_: pytest.fail("measured"))
    assert run(["bench", "--compare", "/nonexistent/bench.json"]) == 3
    assert "/nonexistent/bench.json" in one_line(capsys)


def test_a_file_of_none_of_the_arms_is_refused_before_anything_is_measured(saved, monkeypatch):
    monkeypatch.setattr(suite, "bench", lambda *_: pytest.fail("measured"))
    with pytest.raises(
        RecordError, match=r"no ratio to compare: .*bench\.json has no arm chosen here"
    ):
        load(saved, ["eager K=2"])
    assert run(["bench", "--arms", "ladder*", "--compare", str(saved)]) == 3


# Command line


def test_json_is_all_that_stdout_holds(measured, saved, capsys):
    shown = printed(capsys, "bench", "--compare", str(saved))
    assert {c["worse"] for c in shown.pop("against")["changes"]} == {False}
    assert shown == measured


def test_the_table_shows_ratios_device_absent_arms_and_the_share_of_the_roofline(measured, capsys):
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
        "flops 1.2e+10, parameters 1.859e+06, activations 2.346e+06, bytes 7.827e+07,",
        "flop_per_s 3e+11, bytes_per_s 1e+10, bound_seconds 0.04, fraction 0.33",
    ):
        assert part in said


def test_an_arm_that_broke_exits_3_a_regression_beside_it(measured, saved, capsys):
    measured["arms"].append({"arm": "eager K=8", "failed": "MemoryError"})
    scaled("ratio_to_single", 2)(measured)
    assert run(["bench", "--compare", str(saved)]) == 3
    said = capsys.readouterr().err
    assert "eager K=8 failed: MemoryError" in said
    assert "worse: compiled K=4" in said
