"""`repro verify`: a Run scored again from its weights, beside its record."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from repro.cli.shared import options
from repro.cli.shared.terminal import FAILED, complain, print_json, screen


@options.command(
    "repro verify mnist-lvae_bn_wu-L5-s1",
    "repro verify ladder-full-100-s1 --profile reduced --json",
)
def verify(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run id.")],
    profile: options.ProfileToRead = None,
    store: options.StoreToRead = None,
    data_dir: options.DataDir = None,
    threads: options.Threads = None,
    precision: options.PrecisionOption = None,
    as_json: options.AsJson = False,
) -> None:
    """Score a Run again from its weights and compare with its record; exit 1 on a difference.

    Nothing is written. Where draws differ, as between a CPU and CUDA, chance is allowed for.
    """
    opened, p = options.holding(run, profile, store)
    from repro.machine.rescoring import verify

    rows = verify(run, opened, p.name, options.scoring_options(data_dir, threads, precision))
    if as_json:
        print_json([{**row._asdict(), "agrees": row.agrees} for row in rows])
    else:
        title = f"{run}, profile {p.name}: scored again from its weights"
        table = Table("metric", "recorded", "again", "difference", "allowed", "", title=title)
        for row in rows:
            said = Text("agrees", "green") if row.agrees else Text("differs", "red")
            both = (f"{x}" if isinstance(x, int) else f"{x:.4f}" for x in (row.recorded, row.again))
            apart = f"{row.again - row.recorded:+.2g}"
            table.add_row(row.name, *both, apart, f"{row.allowed:.2g}", said)
        screen().print(table)
    if not all(row.agrees for row in rows):
        raise typer.Exit(complain(f"{run}: its weights do not give what its record says", FAILED))
