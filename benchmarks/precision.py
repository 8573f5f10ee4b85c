"""Whether TF32 matrix products change what is measured: the same Runs with and without.

`python benchmarks/precision.py` trains the 5-layer LVAE+BN+WU for 100 epochs with five seeds in
TF32 and in float32 on a CUDA device, and compares L_1 and L_K. Like `repro train` it continues
what was interrupted.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev

from repro.config import Run
from repro.errors import MachineError, ReproError
from repro.experiments.grid import Cell
from repro.profiles import profile, run_of
from repro.store import ROOT, Store

METRICS = ("L1_train", "L1_test", "LK_test")
PRECISIONS = ("tf32", "float32")
WARMUP_SHARE = 10  # the published warm-up is a tenth of the published epochs


@dataclass(frozen=True)
class Difference:
    """TF32 minus float32 of one metric over paired seeds, nats per example."""

    metric: str
    mean: float
    error: float  # standard error of the mean, of the pairs' differences
    seed_noise: float  # standard deviation of the float32 Runs over seeds

    @property
    def inside(self) -> bool:
        """Whether the difference is smaller than what another seed makes."""
        return abs(self.mean) <= self.seed_noise

    def __str__(self) -> str:
        place = "inside" if self.inside else "OUTSIDE"
        return (
            f"{self.metric}: TF32 - float32 = {self.mean:+.3f} +- {self.error:.3f} nats,"
            f" {place} seed noise (sd {self.seed_noise:.3f})"
        )


def difference(metric: str, tf32: list[float], float32: list[float]) -> Difference:
    """Of one metric, seed by seed; two seeds or more."""
    pairs = [a - b for a, b in zip(tf32, float32, strict=True)]
    return Difference(metric, mean(pairs), stdev(pairs) / math.sqrt(len(pairs)), stdev(float32))


def run_for(epochs: int, seed: int) -> Run:
    """The published Run, shortened."""
    run = run_of(Cell("mnist", "lvae_bn_wu", 5), profile("paper"), seed)
    schedule = replace(run.schedule, epochs=epochs, warmup_epochs=epochs // WARMUP_SHARE)
    return replace(run, schedule=schedule, evaluation=replace(run.evaluation, epochs=(epochs,)))


def compared(folder: Path, name: str, runs: list[Run]) -> list[Difference]:
    """From the records of both trainings. Raises RecordError where one is missing."""
    finals = {p: [Store(folder / p).record(name, run.id).final for run in runs] for p in PRECISIONS}
    return [
        difference(m, *([float(final[m]) for final in finals[p]] for p in PRECISIONS))
        for m in METRICS
    ]


def train(folder: Path, name: str, runs: list[Run], data_dir: Path | None) -> None:
    """Train what is missing in both precisions. Raises MachineError without a CUDA device."""
    from repro.engine import device, local

    if device.here().type != "cuda":
        raise MachineError("no CUDA device found: TF32 exists only there")
    for precision in PRECISIONS:
        options = local.Options(data_dir, precision=precision)
        local.train(runs, Store(folder / precision), name, options)


def main() -> int:
    """The command line of this script; the exit status."""
    parser = argparse.ArgumentParser(description="Compare TF32 with float32 over paired seeds.")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "precision")
    parser.add_argument("--data-dir", type=Path, help="folder of the data sets")
    args = parser.parse_args()
    runs = [run_for(args.epochs, seed) for seed in range(1, args.seeds + 1)]
    name = f"{args.epochs}-epochs"
    try:
        train(args.out, name, runs, args.data_dir)
        found = compared(args.out, name, runs)
    except ReproError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.code
    for d in found:
        print(d)
    content = [{**asdict(d), "inside": d.inside, "seeds": args.seeds} for d in found]
    (args.out / "precision.json").write_text(json.dumps(content, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
