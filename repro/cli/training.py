"""`repro train` and `repro evaluate`: the two commands that compute."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from repro import data
from repro.cli.listing import FINISHED, state
from repro.cli.options import DataDir, ProfileToTrain, examples, has_cuda, profile_to_train
from repro.cli.terminal import complain, in_words, say, seconds
from repro.config import Run
from repro.engine import events, predict
from repro.errors import DataError, MachineError, TrainingError
from repro.profiles import Profile, find_run, runs
from repro.store import NAMED, Store

if TYPE_CHECKING:
    from repro.engine.outcome import Outcome

RECORD_BYTES = 300_000  # the store's own limit for a record
FLOATS = 9  # a weight and its two moments: in the old and the new checkpoint, and at the end


class Engine(StrEnum):
    auto = "auto"
    eager = "eager"
    compiled = "compiled"
    captured = "captured"
    graph = "graph"


COMPILING, CUDA_ALONE = (Engine.compiled, Engine.graph), (Engine.captured, Engine.graph)
EngineOption = Annotated[
    Engine,
    typer.Option("--engine", help="How steps run; auto takes the quickest. Graphs need CUDA."),
]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="CPU threads.", show_default=False)
]
Float32 = Annotated[
    bool, typer.Option("--float32", help="On CUDA: matrix products in float32, not in TF32.")
]
Tensorboard = Annotated[
    bool,
    typer.Option("--tensorboard", help="Also write event files, to runs/P/.tensorboard."),
]
Rows = Annotated[
    int | None,
    typer.Option(
        "--rows",
        min=64,
        metavar="N",
        help="Rows of a scoring chunk, images times samples: bounds its memory.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Plan:
    """What `repro train` would do."""

    profile: Profile
    runs: list[Run]
    states: dict[str, str]

    @property
    def todo(self) -> list[Run]:
        return [run for run in self.runs if self.states[run.id] not in FINISHED]

    @property
    def bytes(self) -> int:
        """Disk that `todo` may need."""
        weights = sum(predict.weights(run) for run in self.todo)
        return len(self.todo) * RECORD_BYTES + 4 * FLOATS * weights


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "repro train --profile quick",
            "repro train figure3 --profile reduced --budget 25m",
            "repro train table1 --profile paper --seeds 3 --dry-run",
        )
    )(train)
    app.command(
        epilog=examples(
            "repro evaluate --profile quick",
            "repro evaluate mnist-lvae_bn_wu-L5-s1 --profile paper",
        )
    )(evaluate)


def train(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="E", help="Tables and figures to train for. Default: all of the profile."
        ),
    ] = None,
    profile: ProfileToTrain = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Seeds 1..N of every Run.", show_default=False),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="Stop cleanly after 90s, 25m or 1.5h; the same command continues.",
            show_default=False,
        ),
    ] = None,
    engine: EngineOption = Engine.auto,
    data_dir: DataDir = None,
    threads: Threads = None,
    float32: Float32 = False,
    rows: Rows = None,
    tensorboard: Tensorboard = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
) -> None:
    """Train and evaluate the Runs that runs/ lacks; continue what was interrupted."""
    limit = seconds(budget) if budget else None
    if tensorboard:
        events.require()
    p = profile_to_train(profile)
    store = Store(NAMED["runs"])
    wanted = runs(p, experiments, seeds)
    plan = Plan(p, wanted, {run.id: state(store, p.name, run) for run in wanted})
    if lacking := _lacking(plan, data_dir):
        able = replace(plan, runs=[run for run in wanted if run.data.name not in lacking])
        if not (able.todo or dry_run):
            raise DataError(next(iter(lacking.values())))
        plan = plan if dry_run else able
    _announce(plan, limit, every_run=dry_run)
    for fault in lacking.values():
        say(fault)
    _check_machine(plan, store, engine)
    if dry_run or not plan.todo:
        return
    from repro.engine.local import Options, train

    options = Options(
        *(data_dir, limit, engine.value, threads),
        float32=float32,
        scoring_rows=rows,
        tensorboard=tensorboard,
    )
    if tensorboard:
        say(f"to watch: tensorboard --logdir {store.folder(p.name, events.FOLDER)}")
    outcome = train(plan.todo, store, p.name, options)
    again = ["repro", "train", *(experiments or []), "--profile", p.name]
    again += ["--seeds", str(seeds)] if seeds else []
    again += ["--budget", budget] if budget else []
    again += ["--float32"] if float32 else []
    again += ["--tensorboard"] if tensorboard else []
    _conclude(outcome, shlex.join(again))


def _lacking(plan: Plan, data_dir: Path | None) -> dict[str, str]:
    """One line for each data set that training would neither find nor fetch; the others go on."""
    names = dict.fromkeys(run.data.name for run in plan.todo)
    return {name: fault for name in names if (fault := data.lacking(name, data_dir))}


def _announce(plan: Plan, limit: float | None, every_run: bool) -> None:
    done = len(plan.runs) - len(plan.todo)
    say(f"profile {plan.profile.name}: {plan.profile.summary}")
    say(f"{len(plan.runs)} Runs, {done} finished, {len(plan.todo)} to train")
    for run in plan.todo if every_run else []:
        say(f"  {run.id}: {plan.states[run.id]}, {in_words(predict.seconds([run]))} alone")
    if plan.todo:
        total = in_words(predict.seconds(plan.todo))
        stop = f", stopping after {in_words(limit)}" if limit is not None else ""
        where = "on this CPU alone" if has_cuda() else "here"
        say(f"predicted time {where}: {total}{stop}; disk: up to {plan.bytes / 1e6:.0f} MB")


def _check_machine(plan: Plan, store: Store, engine: Engine) -> None:
    """Say what is slower here than it could be. Raises MachineError where it cannot work."""
    if not plan.todo:
        return
    if engine in CUDA_ALONE and not has_cuda():
        raise MachineError(
            f"--engine {engine.value}: no CUDA device found: use compiled, eager or auto"
        )
    if engine in COMPILING and not predict.has_compiler():
        other = "captured" if engine is Engine.graph else "eager"
        raise MachineError(
            f"--engine {engine.value}: no C++ compiler found: install g++, or use {other}"
        )
    if engine is Engine.auto and not predict.has_compiler():
        say("no C++ compiler found: steps are not compiled; with g++ long Runs would be quicker")
    place = next(p for p in (store.root, *store.root.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < plan.bytes:
        raise MachineError(
            f"{place}: {free / 1e6:.0f} MB free, up to {plan.bytes / 1e6:.0f} MB needed:"
            " free some space, or train fewer experiments at once"
        )


def _conclude(outcome: Outcome, again: str) -> None:
    """Say what became of each Run. Raises Exit(4) when one failed or diverged."""
    say(f"{len(outcome.done)} Runs done")
    if outcome.unfinished:
        left = ", ".join(outcome.unfinished)
        say(f"the budget ended with {len(outcome.unfinished)} Runs left ({left});")
        say(f"continue with: {again}")
    for run_id in outcome.diverged:
        complain(f"{run_id} diverged: its record says at which epoch", TrainingError.code)
    for run_id, reason in outcome.failed.items():
        complain(f"{run_id} failed: {reason}", TrainingError.code)
    if outcome.diverged or outcome.failed:
        raise typer.Exit(TrainingError.code)


def evaluate(
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Run ids. Default: every finished Run."),
    ] = None,
    profile: ProfileToTrain = None,
    data_dir: DataDir = None,
    threads: Threads = None,
    float32: Float32 = False,
    rows: Rows = None,
) -> None:
    """Score finished Runs of runs/ again from their saved final weights."""
    p = profile_to_train(profile)
    store = Store(NAMED["runs"])
    for run_id in run or []:
        if not store.has(p.name, run_id):
            find_run(run_id, p)
        store.record(p.name, run_id)
    ids = run or [r.run.id for r in store.records(p.name) if not r.diverged]
    if not ids:
        say(f"no finished Run of profile {p.name} in {store.root}: `repro train` first")
        return
    from repro.engine.local import Options
    from repro.engine.rescoring import evaluate

    options = Options(data_dir, threads=threads, float32=float32, scoring_rows=rows)
    evaluate(ids, store, p.name, options)
    say(f"{len(ids)} Runs scored again: {', '.join(ids)}")
