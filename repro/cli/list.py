"""`repro list`: which Runs there are, and how far each is."""

from typing import Annotated, Any

from rich.table import Table

from repro import data
from repro.cli.shared.options import AsJson, ProfileToRead, StoreTrained, command, given, to_read
from repro.cli.shared.terminal import print_json, say, screen
from repro.judge import check, measures
from repro.machine import cost as predict
from repro.machine.watch.pace import in_words
from repro.plan.experiments import EXPERIMENTS, UNLISTED, experiments_of
from repro.plan.experiments.grid import cell_of
from repro.plan.profiles import Profile, find_run, refuse_empty, runs
from repro.plan.run import Run
from repro.store import Store
from repro.store.states import FINISHED, begun, state

LISTED = [e for e in EXPERIMENTS if e not in UNLISTED]


def state_here(store: Store, profile: str, run: Run) -> str:
    """As `state`, but says where a Run could not be trained, or go on, for want of its data."""
    found = state(store, profile, run)
    waits = found in ("missing", "interrupted")
    return "data missing" if waits and data.lacking(run.data.name) else found


def _rows(store: Store, p: Profile, experiment: str | None) -> list[dict[str, Any]]:
    if experiment is not None:
        refuse_empty(p, experiment)
    planned = runs(p, LISTED if experiment is None else [experiment])
    cells = {cell_of(run) for run in planned}
    records = store.records(p.name)
    precisions = {r.run.id: measures.precision(r) for r in records}
    ids, behind = {run.id for run in planned}, begun(store, p.name)
    more = [r.run.id for r in records if r.run.id not in ids and cell_of(r.run) in cells]
    extra = [find_run(run_id, p) for run_id in more]  # as the profile has them
    return [
        {
            "run": run.id,
            "experiment": experiments_of(cell_of(run)),
            "profile": p.name,
            "state": state_here(store, p.name, run),
            "precision": precisions.get(run.id),
            "seed": run.seed,
            "data": run.data.name,
            "variant": run.variant,
            "layers": run.model.depth,
            "labels": run.labels or None,
            "predicted_seconds": round(predict.seconds([run], behind), 1),
        }
        for run in (*planned, *extra)
    ]


@command(
    "repro list",
    "repro list --experiment figure3 --profile reduced",
    "repro list --profile quick --json",
    name="list",
)
def list_runs(
    experiment: Annotated[str | None, given("Only what this table or figure needs.", "E")] = None,
    profile: ProfileToRead = None,
    store: StoreTrained = "runs",
    as_json: AsJson = False,
) -> None:
    """Every Run with its state and the time that training it, or what is left of it, alone would
    take here.

    Without --experiment: what the paper's tables and figures need.
    """
    opened, p = to_read(store, profile)
    rows = _rows(opened, p, experiment)
    if as_json:
        print_json(rows)
        return
    table = Table(title=f"Runs of profile {p.name}: {p.summary}", title_justify="left")
    table.add_column("Run", no_wrap=True, min_width=max(len(row["run"]) for row in rows))
    for column in ("state", "predicted", "needed by"):
        table.add_column(column)
    for row in rows:
        shown = f"[{check.STYLES.get(row['state'], 'dim')}]{row['state']}"
        if row["precision"] not in (None, "float32"):
            shown += f"[/], {row['precision']}"
        needed = ", ".join(row["experiment"])
        table.add_row(row["run"], shown, in_words(row["predicted_seconds"]), needed)
    screen().print(table)
    say(f"{sum(r['state'] in FINISHED for r in rows)} of {len(rows)} finished")
    for name in sorted({r["data"] for r in rows if r["state"] == "data missing"}):
        say(str(data.lacking(name)))
