"""`repro train`: on this machine or on a cluster."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from repro.cli.shared import options, planned
from repro.cli.shared.options import command, flag, given
from repro.cli.shared.planned import Engine
from repro.cli.shared.terminal import complain, say, seconds
from repro.errors import DataError, TrainingError, UsageError
from repro.machine.watch import events
from repro.plan.profiles import chosen
from repro.plan.seeds import LARGEST, MOST, Seeds, parsed
from repro.store import Store
from repro.store.places import NAMED

if TYPE_CHECKING:
    from repro.machine.work import Outcome


@command(
    "repro train --profile quick",
    "repro train figure3 --profile reduced --budget 25m",
    "repro train table1 --profile paper --seeds 3 --dry-run",
    "repro train table1 --profile paper --seed 7",
    "repro train 'mnist-vae_*-L5-s1' ladder-full-100-s3 --profile paper",
    "repro train --profile paper --engine ray --address auto",
)
def train(
    context: typer.Context,
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="E",
            help="Tables and figures to train for, Run ids, or shell patterns of ids."
            " Default: all of the profile.",
        ),
    ] = None,
    profile: options.ProfileToTrain = None,
    seeds: Annotated[
        str | None,
        given(f"Seeds 1..N of every Run, at most {MOST}; or a range A-B, or a list A,B.", "N"),
    ] = None,
    seed: Annotated[
        int | None, given("Seed N alone of every Run.", "N", min=1, max=LARGEST)
    ] = None,
    budget: Annotated[
        str | None, given("Stop cleanly after 90s, 25m or 1.5h; the same command continues.", "T")
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="How steps run; auto takes the quickest. Graphs need CUDA. ray: auto, on a"
            " cluster."
        ),
    ] = Engine.auto,
    address: Annotated[
        str | None,
        given(
            "Ray cluster of --engine ray: auto (the one this machine is part of) or HOST:PORT."
            " Default: $RAY_ADDRESS, else one is started here.",
            "A",
        ),
    ] = None,
    data_dir: options.DataDir = None,
    threads: options.Threads = None,
    lanes: Annotated[
        int | None,
        given(
            "Runs in a stack at most: fewer make more stacks. Default: what memory holds, at most"
            " 12 (CUDA: 32).",
            "N",
            min=1,
        ),
    ] = None,
    precision: options.PrecisionOption = None,
    rows: options.Rows = None,
    checkpoint_every: Annotated[
        str | None,
        given("Save a checkpoint every 90s or 5m. Default: 30s on a CPU, 5m on CUDA.", "T"),
    ] = None,
    tensorboard: Annotated[
        bool, flag("--tensorboard", "Also write event files, to runs/P/.tensorboard.")
    ] = False,
    dry_run: Annotated[bool, flag("--dry-run", "Say what would be done, and do nothing.")] = False,
) -> None:
    """Train and evaluate the Runs that runs/ lacks; continue what was interrupted."""
    if address and engine is not Engine.ray:
        raise UsageError(f"--address {address}: only --engine ray has one: add it, or leave it out")
    limit = seconds("--budget", budget)
    every = seconds("--checkpoint-every", checkpoint_every)
    if tensorboard:
        events.require()
    p = options.profile_to_train(profile)
    store = Store(NAMED["runs"])
    wanted = chosen(p, experiments or [], _seeds(seed, seeds))
    plan = planned.plan(store, p, wanted, precision)
    if lacking := planned.lacking(plan, data_dir):
        able = plan.without(lacking)
        if not (able.todo or dry_run):
            raise DataError(next(iter(lacking.values())))
        plan = plan if dry_run else able
    planned.announce(plan, limit, every_run=dry_run, far=engine is Engine.ray)
    for fault in lacking.values():
        say(fault)
    planned.check_machine(plan, store, engine)
    if dry_run or not plan.todo:
        return
    from repro.machine.work import Options

    asked = Options(
        data_dir,
        limit,
        (Engine.auto if engine is Engine.ray else engine).value,
        threads,
        lanes,
        precision=precision and precision.value,
        scoring_rows=rows,
        checkpoint_seconds=every,
        tensorboard=tensorboard,
        compiler_told=engine is Engine.auto,
    )
    if tensorboard:
        say(f"to watch: tensorboard --logdir {store.folder(p.name, events.FOLDER)}")
    again = _again({**context.params, "profile": p.name})
    try:
        if engine is Engine.ray:
            from repro.machine.ray import cluster

            outcome = cluster.train(plan.todo, store, p.name, asked, address=address)
        else:
            from repro.machine import local

            outcome = local.train(plan.todo, store, p.name, asked)
    except KeyboardInterrupt:
        say(f"continue with: {again}")
        raise
    _conclude(outcome, again)


def _seeds(seed: int | None, seeds: str | None) -> Seeds:
    if seed is not None and seeds is not None:
        raise UsageError(f"--seed {seed} --seeds {seeds}: give one of them")
    if seeds is not None:
        return parsed(seeds)
    return None if seed is None else [seed]


def _again(asked: dict[str, Any]) -> str:
    """The command that continues, with every option that was given."""
    options = {f"--{name.replace('_', '-')}": value for name, value in asked.items()}
    words = ["repro", "train", *(options.pop("--experiments") or [])]
    for name, value in options.items():
        if value and value is not Engine.auto:
            words += [name] if value is True else [name, str(value)]
    return shlex.join(words)


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
