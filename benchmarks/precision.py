"""Whether rounding the operands of matrix products changes what is measured.

`python benchmarks/precision.py` trains the 5-layer LVAE+BN+WU and the 5-layer VAE without batch
norm at profile `reduced` with seeds 1 to 3, each three times: with rounded products (bfloat16 on a
CPU, TF32 on CUDA), in float32, and in float32 with the same sums in another order. The last shows
what rounding alone does to a training. Like `repro train` it continues what was interrupted; about
two hours on two cores, more where bfloat16 is emulated. Two variants may train side by side, each
in a process with `--variants`; a last call without it compares them.
"""

import argparse
import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from repro.errors import ReproError, UsageError
from repro.plan.experiments.grid import MAX_DEPTH, Cell
from repro.plan.profiles import profile, run_of
from repro.plan.run import Run
from repro.store import Store
from repro.store.places import ROOT

METRICS = ("L1_train", "L1_test", "LK_test")
VARIANTS = ("lvae_bn_wu", "vae")
ROUNDED, FLOAT32, AGAIN = TRAININGS = ("rounded", "float32", "float32 again")


@dataclass(frozen=True)
class Difference:
    """Rounded minus float32 of one metric over paired seeds, nats per example."""

    variant: str
    metric: str
    mean: float
    error: float  # standard error of the mean, of the pairs' differences
    rounding: float  # standard deviation of one training by the order of its sums
    seeds: float  # standard deviation of the float32 Runs over seeds
    pairs: int

    @property
    def inside(self) -> bool:
        """Whether chance explains it: two errors, of the pairs or of rounding alone."""
        by_rounding = self.rounding * math.sqrt(2 / self.pairs)
        return abs(self.mean) <= 2 * max(self.error, by_rounding)

    def __str__(self) -> str:
        place = "inside" if self.inside else "OUTSIDE"
        return (
            f"{self.variant} {self.metric}: rounded - float32 = {self.mean:+.3f} ±"
            f" {self.error:.3f} nats, {place} the spread of rounding (sd {self.rounding:.3f};"
            f" over seeds {self.seeds:.3f})"
        )


def difference(variant: str, metric: str, values: dict[str, list[float]]) -> Difference:
    """Of one metric; values: of each training, seed by seed, two seeds or more."""
    rounded, float32, again = (values[t] for t in TRAININGS)
    pairs = [a - b for a, b in zip(rounded, float32, strict=True)]
    orders = [a - b for a, b in zip(float32, again, strict=True)]
    rounding = math.sqrt(mean(d * d for d in orders) / 2)
    error = stdev(pairs) / math.sqrt(len(pairs))
    return Difference(variant, metric, mean(pairs), error, rounding, stdev(float32), len(pairs))


def runs_of(variant: str, name: str, seeds: int) -> list[Run]:
    """The Runs of a profile, all of one stack."""
    cell = Cell("mnist", variant, MAX_DEPTH)
    return [run_of(cell, profile(name), seed) for seed in range(1, seeds + 1)]


def compared(
    folder: Path, name: str, seeds: int, variants: Sequence[str] = VARIANTS
) -> list[Difference]:
    """From the records of all trainings. Raises RecordError where one is missing."""
    found = []
    for variant in variants:
        ids = [run.id for run in runs_of(variant, name, seeds)]
        finals = {t: [Store(folder / t).record(name, i).final for i in ids] for t in TRAININGS}
        for metric in METRICS:
            values = {t: [float(f[metric]) for f in finals[t]] for t in TRAININGS}
            found.append(difference(variant, metric, values))
    return found


def commits(folder: Path, name: str, seeds: int) -> dict[str, dict[str, str]]:
    """Of which commit each training of each Run is."""
    ids = [run.id for variant in VARIANTS for run in runs_of(variant, name, seeds)]
    stores = {training: Store(folder / training) for training in TRAININGS}
    return {t: {i: s.record(name, i).env["commit"] for i in ids} for t, s in stores.items()}


def adopt(known: Path, folder: Path, runs: Sequence[Run], name: str) -> None:
    """Take float32 records that a store has of these Runs, so that they are not trained again."""
    for run in runs:
        record = Store(known).find(name, run.id)
        place = Store(folder / FLOAT32).folder(name, run.id)
        if record and record.run == run and not place.exists():
            if (how := record.env.get("precision", FLOAT32)) != FLOAT32:
                raise UsageError(f"{record.folder}: trained in {how}: leave --known out")
            shutil.copytree(record.folder, place)


def train(
    folder: Path, name: str, seeds: int, data_dir: Path | None, variants: Sequence[str] = VARIANTS
) -> dict[str, Any]:
    """Train what is missing; says how products were rounded, and where."""
    import torch

    from repro.machine import device, local, precision
    from repro.machine.provenance import environment

    here = device.here()
    rounded = precision.TF32 if here.type == "cuda" else precision.BFLOAT16
    usual = local.Options(data_dir, precision=precision.FLOAT32)
    threads = torch.get_num_threads()
    other = {"lanes": 1} if here.type == "cuda" else {"threads": 2 if threads == 1 else 1}
    options = {
        ROUNDED: replace(usual, precision=rounded, emulate=True),
        FLOAT32: usual,
        AGAIN: replace(usual, **other),
    }
    place = environment(here)
    for variant in variants:
        for training, chosen in options.items():
            torch.set_num_threads(threads)
            local.train(runs_of(variant, name, seeds), Store(folder / training), name, chosen)
    emulated = not precision.multiplies_in_bfloat16(here) and rounded == precision.BFLOAT16
    version = place["versions"]["torch"]
    return {**place, "torch": version, "rounded": rounded, "emulated": emulated}


def main() -> int:
    """The command line of this script; the exit status."""
    parser = argparse.ArgumentParser(description="Compare rounded products with float32.")
    parser.add_argument("--profile", default="reduced")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "precision")
    parser.add_argument("--data-dir", type=Path, help="folder of the data sets")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--known", type=Path, help="a store whose float32 records are taken over")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds: two or more, whose differences show an error")
    asked = (profile(args.profile).name, args.seeds)
    try:
        if args.known:
            runs = [run for v in args.variants for run in runs_of(v, *asked)]
            adopt(args.known, args.out, runs, args.profile)
        where = train(args.out, *asked, args.data_dir, args.variants)
        found = compared(args.out, *asked, args.variants)
        whole = set(args.variants) == set(VARIANTS)
        trained = commits(args.out, *asked) if whole else {}
    except ReproError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.code
    for d in found:
        print(d)
    if not whole:
        return 0
    differences = [{**asdict(d), "inside": d.inside} for d in found]
    content = {**where, "profile": args.profile, "commits": trained, "differences": differences}
    (args.out / "precision.json").write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
