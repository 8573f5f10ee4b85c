"""`repro list` and `repro show`: which Runs there are, and what one of them gave."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from filelock import FileLock, Timeout
from rich.table import Table

from repro import data
from repro.cli.options import AsJson, ProfileToRead, StoreToRead, examples, to_read
from repro.cli.terminal import in_words, print_json, say, screen
from repro.judge.measures import precision
from repro.machine import cost as predict
from repro.plan.experiments import EXPERIMENTS, UNLISTED, experiments_of
from repro.plan.experiments.grid import cell_of
from repro.plan.profiles import Profile, find_run, runs
from repro.plan.run import Run, to_dict
from repro.store import Record, Store

FINISHED = ("done", "diverged")
STYLES = {
    **{"done": "green", "running": "cyan", "failed": "red", "diverged": "red"},
    "data missing": "yellow",
}


def register(app: typer.Typer) -> None:
    app.command(
        "list",
        epilog=examples(
            "repro list",
            "repro list --experiment figure3 --profile reduced",
            "repro list --profile quick --json",
        ),
    )(list_runs)
    app.command(
        epilog=examples(
            "repro show mnist-lvae_bn_wu-L5-s1",
            "repro show mnist-lvae_bn_wu-L5-s1 --store results --profile quick --json",
        )
    )(show)


def state(store: Store, profile: str, run: Run) -> str:
    """missing, running, done, failed, diverged, or "other configuration" of the same id.

    Raises RecordError when the record is damaged.
    """
    if _locked(store, profile, run.id):
        return "running"
    return recorded_state(store, profile, run)


def recorded_state(store: Store, profile: str, run: Run) -> str:
    """As `state`, but of what is saved alone: it takes no lock, not even to try it."""
    record = store.find(profile, run.id)
    if record is not None and record.run.hash != run.hash:
        return "other configuration"
    if record is not None:
        return "diverged" if record.diverged else "done"
    return (
        "failed" if (store.folder(profile) / ".failed" / f"{run.id}.json").exists() else "missing"
    )


def _locked(store: Store, profile: str, run_id: str) -> bool:
    path = store.folder(profile) / ".locks" / f"{run_id}.lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a store that only others may write: nobody trains into it through us
        return False


def state_here(store: Store, profile: str, run: Run) -> str:
    """As `state`, but says where a missing Run could not be trained for want of its data."""
    found = state(store, profile, run)
    return "data missing" if found == "missing" and data.lacking(run.data.name) else found


def _rows(store: Store, p: Profile, experiment: str | None) -> list[dict[str, Any]]:
    listed = [e for e in EXPERIMENTS if e not in UNLISTED]
    planned = runs(p, listed if experiment is None else [experiment])
    cells = {cell_of(run) for run in planned}
    records = store.records(p.name)
    precisions = {r.run.id: precision(r) for r in records}
    ids = {run.id for run in planned}
    extra = [r.run for r in records if r.run.id not in ids and cell_of(r.run) in cells]
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
            "labels": run.data.labels,
            "predicted_seconds": round(predict.seconds([run]), 1),
        }
        for run in (*planned, *extra)
    ]


def list_runs(
    experiment: Annotated[
        str | None,
        typer.Option(metavar="E", help="Only what this table or figure needs.", show_default=False),
    ] = None,
    profile: ProfileToRead = None,
    store: StoreToRead = "runs",
    as_json: AsJson = False,
) -> None:
    """Every Run with its state and the time that training it alone would take here.

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
        shown = f"[{STYLES.get(row['state'], 'dim')}]{row['state']}"
        if row["precision"] not in (None, "float32"):
            shown += f"[/], {row['precision']}"
        needed = ", ".join(row["experiment"])
        table.add_row(row["run"], shown, in_words(row["predicted_seconds"]), needed)
    screen().print(table)
    say(f"{sum(r['state'] in FINISHED for r in rows)} of {len(rows)} finished")
    for name in sorted({r["data"] for r in rows if r["state"] == "data missing"}):
        say(str(data.lacking(name)))


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A Run id, as `repro list` prints it.")],
    profile: ProfileToRead = None,
    store: StoreToRead = None,
    as_json: AsJson = False,
) -> None:
    """One record: its configuration, where and how it was made, and what it gave."""
    opened, p = to_read(store, profile)
    if not opened.has(p.name, run):
        find_run(run, p)
    content = as_dict(opened.record(p.name, run))
    if as_json:
        print_json(content)
        return
    for part in ("final", "config", "env"):
        table = Table(title=f"{run}, {p.name}: {part}", show_header=False, title_justify="left")
        for name, value in _flat(content[part]):
            table.add_row(name, value)
        screen().print(table)


def as_dict(record: Record) -> dict[str, Any]:
    """What `repro show --json` prints."""
    return {
        "run": record.run.id,
        "profile": record.profile,
        "config": to_dict(record.run),
        "env": record.env,
        "final": record.final,
    }


def _flat(part: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in part.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            rows.append((prefix + name, ", ".join(_short(v) for v in value)))
        else:
            rows.append((prefix + name, _short(value)))
    return rows


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "-" if value is None else str(value)
