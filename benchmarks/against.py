"""How the training step of this checkout compares with that of another, older or newer one.

`python benchmarks/against.py CHECKOUT > against.json` times compiled float32 steps of the 5-layer
LVAE, K lanes at a time, in two processes that take turns: what else the machine does meets both.
With `--precision bfloat16` the products are in bfloat16 here and in float32 there. The other
checkout may be as old as commit 94846f7. About 15 minutes on two cores, most of them compiling.
"""

import argparse
import importlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CASES = ((1, 2), (4, 2), (1, 1))  # lanes, threads
STEPS = 13  # of a turn
FIRST = 2  # steps that compile
FLOAT32, BFLOAT16 = "float32", "bfloat16"


def work(lanes: int, threads: int, precision: str) -> None:
    """In a process of its own: a line once compiled, then for each line read ms a step."""
    step = _step(lanes, threads, precision)
    for _ in range(FIRST):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        for _ in range(STEPS):
            step()
        print(1e3 * (time.perf_counter() - begun) / STEPS, flush=True)


def _step(lanes: int, threads: int, precision: str) -> Callable[[], None]:
    """A training step with its minibatch, of the checkout that Python finds first."""
    import torch

    modules = _modules()
    torch.set_num_threads(threads)
    modules["keep_freed_memory"]()
    p = modules["profile"]("paper")
    ids = [f"mnist-lvae_bn_wu-L5-s{seed}" for seed in range(1, lanes + 1)]
    stack = modules["Stack"](tuple(modules["find_run"](run, p) for run in ids))
    place = torch.device("cpu")
    data = Path(os.environ["REPRO_DATA"]) if "REPRO_DATA" in os.environ else None
    images, _ = modules["Resident"](data, place, modules["Room"]()).images(stack.runs[0])
    state = modules["begin"](stack, Path(), images.train, place)
    if precision == BFLOAT16:
        importlib.import_module("repro.train.state").shade(state)
    feed = modules["task_of"](stack.runs[0]).feed(stack, images)
    step = modules["step_function"](stack, "compiled")

    def batches() -> Iterator[Any]:
        for epoch in itertools.count(1):
            for first in range(0, feed.steps, 2 * STEPS):
                yield from feed.block(epoch, first)

    batch = batches()
    return lambda: step(state, next(batch))


def _modules() -> dict[str, Any]:
    """The names that a step needs, where this checkout or one before the folders has them."""
    names = {
        "keep_freed_memory": ("machine.memory", "engine.memory"),
        "find_run": ("plan.profiles", "profiles"),
        "profile": ("plan.profiles", "profiles"),
        "Stack": ("model.stack", "stack"),
        "Resident": ("machine.resident", "engine.resident"),
        "begin": ("machine.saved.starting", "engine.starting"),
        "step_function": ("train.step", "engine.step"),
        "Room": ("train.evaluate", "evaluate"),
        "task_of": ("train.tasks", "tasks"),
    }
    new = Path("repro/plan").is_dir()  # an installed `repro` may be of another checkout
    return {
        name: getattr(importlib.import_module(f"repro.{places[not new]}"), name)
        for name, places in names.items()
    }


def turns(
    checkouts: tuple[Path, Path], lanes: int, threads: int, repeats: int, precision: str = FLOAT32
) -> Any:
    """ms a step of both, turn by turn: two lists. `precision`: of the first, beside float32."""
    with tempfile.TemporaryDirectory() as cache:
        both = [
            _start(checkout, (str(lanes), str(threads), of), f"{cache}/{of}{i}")
            for i, (checkout, of) in enumerate(zip(checkouts, (precision, FLOAT32), strict=True))
        ]
        try:
            if any(_line(process) != "ready\n" for process in both):
                raise SystemExit("error: a checkout's step failed; its message stands above")
            taken = [[_turn(process) for process in both] for _ in range(repeats + 1)][1:]
        finally:
            for process in both:
                process.kill()
                process.wait()
    return [list(of) for of in zip(*taken, strict=True)]


def _start(checkout: Path, case: tuple[str, str, str], cache: str) -> subprocess.Popen[str]:
    own = {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": case[1]}
    return subprocess.Popen(
        [sys.executable, __file__, "--work", *case],
        cwd=checkout,
        env={**os.environ, **own, "TORCHINDUCTOR_CACHE_DIR": cache},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _turn(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    print(file=process.stdin, flush=True)
    return float(_line(process))


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def entry(lanes: int, threads: int, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """One arm as `repro bench` saves it; the ratio is the median of those of single turns."""
    seconds = median(ours) / 1e3
    low, _, high = quantiles(ours, n=4, method="inclusive")
    step = {
        "seconds": seconds,
        "spread": (high - low) / median(ours),
        "images_per_s": 256 * lanes / seconds,
        "model_steps_per_s": lanes / seconds,
        "ratio_to_reference": median(a / b for a, b in zip(ours, theirs, strict=True)),
    }
    name = f"compiled K={lanes}, {threads} thread{'s' * (threads > 1)}"
    return {"arm": name, "engine": "compiled", "depths": [5] * lanes, "lanes": lanes,
            "threads": threads, "operations": {"step": step}}  # fmt: skip


def record(
    place: dict[str, Any], other: str, repeats: int, arms: list[Any], precision: str = FLOAT32
) -> dict[str, Any]:
    """What the report reads; `place`: `environment` here; `other`: the other checkout's commit."""
    reference = f"commit {other[:7]}{' in float32' if precision != FLOAT32 else ''}"
    return {
        **{key: place[key] for key in ("device", "commit", "dirty")},
        "torch": place["versions"]["torch"],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "threads": None,
        "precision": precision,
        "reference": reference,
        "method": f"python benchmarks/against.py: medians of {repeats} turns of {STEPS}"
        f" steps, minibatches included, taken alternately with those of {reference}.",
        "arms": arms,
    }


def main() -> int:
    """The command line of this script; the exit status."""
    parser = argparse.ArgumentParser(description="Time a step beside that of another checkout.")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--precision", choices=(FLOAT32, BFLOAT16), default=FLOAT32)
    args = parser.parse_args()
    if args.repeats < 2:
        parser.error("--repeats: two or more, which show a spread")
    other = args.checkout.resolve()
    if not (other / "repro").is_dir():
        parser.error(f"{other}: no checkout of this project")
    sys.path.insert(0, str(ROOT))
    import torch

    from repro.errors import MachineError
    from repro.machine.commit import commit
    from repro.machine.precision import refuse_emulated
    from repro.machine.provenance import environment

    cpu = torch.device("cpu")
    try:
        refuse_emulated(args.precision, cpu)
    except MachineError as e:
        raise SystemExit(f"error: {e}") from e
    place = environment(cpu)
    arms = []
    for lanes, threads in CASES:
        ours, theirs = turns((ROOT, other), lanes, threads, args.repeats, args.precision)
        arms.append(entry(lanes, threads, ours, theirs))
        print(json.dumps(arms[-1]["operations"]["step"]), file=sys.stderr, flush=True)
    content = record(place, commit(other)[0] or "unknown", args.repeats, arms, args.precision)
    print(json.dumps(content, indent=1))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main())
