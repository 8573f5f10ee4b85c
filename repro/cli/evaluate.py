"""`repro evaluate`: finished Runs scored again from their weights."""

from typing import Annotated

import typer

from repro.cli.shared import options
from repro.cli.shared.terminal import say
from repro.errors import RecordError
from repro.store import Store
from repro.store.places import NAMED


@options.command(
    "repro evaluate --profile quick",
    "repro evaluate mnist-lvae_bn_wu-L5-s1 --profile paper",
    "repro evaluate mnist-lvae_bn_wu-L5-s1 --profile reduced --ais 100",
)
def evaluate(
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Run ids. Default: every finished Run."),
    ] = None,
    profile: options.ProfileToTrain = None,
    data_dir: options.DataDir = None,
    threads: options.Threads = None,
    precision: options.PrecisionOption = None,
    rows: options.Rows = None,
    ais: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Also log p(x) of the first N test images by annealed importance sampling.",
        ),
    ] = 0,
) -> None:
    """Score finished Runs of runs/ again from their saved final weights."""
    p = options.profile_to_train(profile)
    store = Store(NAMED["runs"])
    asked = list(dict.fromkeys(run or []))
    for run_id in asked:
        store.record(p.name, run_id)
    ids = asked or [r.run.id for r in store.some_records(p.name) if not r.diverged]
    if not ids:
        raise RecordError(
            f"{store.folder(p.name)}: every Run diverged, so none has weights to score:"
            " train others"
        )
    from repro.machine.rescoring import evaluate

    evaluate(ids, store, p.name, options.scoring_options(data_dir, threads, precision, rows), ais)
    say(f"{len(ids)} Runs scored again: {', '.join(ids)}")
