"""`repro publish`: finished records become the published reference, and the README shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from repro.cli.list import state
from repro.cli.options import ProfileToTrain, examples, held, to_read
from repro.cli.terminal import say
from repro.errors import MachineError, NothingError, RecordError, UsageError
from repro.plan.experiments import DEFAULT, EXPERIMENTS, cells
from repro.plan.experiments.grid import GREY_SCALES, cell_of
from repro.plan.profiles import Profile, find_run, profile, runs
from repro.show import scripts
from repro.store import Record, Snapshot, Store
from repro.store.files import write_file
from repro.store.locks import lock_all
from repro.store.places import CHECKOUT, NAMED, ROOT

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
FIGURES = tuple(f"figure{n}" for n in range(2, 11))


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "repro publish --profile quick",
            "repro publish --profile paper --weights mnist-lvae_bn_wu-L5-s1",
        )
    )(publish)


def publish(
    profile: ProfileToTrain = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN", help="Also its final weights, for a few Runs.", show_default=False
        ),
    ] = None,
    allow_dirty: Annotated[
        bool,
        typer.Option("--allow-dirty", help="Also records made with uncommitted changes."),
    ] = False,
) -> None:
    """Copy finished records from runs/ to results/, and redraw tables, figures and README."""
    if not CHECKOUT:
        raise MachineError(f"{ROOT} is no checkout: only one has results/ and a README to publish")
    source, p = to_read("runs", profile)
    target = Store(NAMED["results"])
    chosen = with_weights(source, target, p, weights or [])
    copied = copy_finished(source, target, p, allow_dirty)
    say(f"{len(copied)} records of profile {p.name} published in {target.root}")
    from repro.machine.weights import publish_weights

    for record in chosen:
        path = publish_weights(source, target, record)
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB of weights")
    missing = [run.id for run in runs(p) if state(target, p.name, run) == "missing"]
    if missing:
        say(f"still missing there: {', '.join(missing)}")
    from repro.show import layout, style

    for folder, render_all in (("tables", layout.render_all), ("figures", style.render_all)):
        place = target.folder(p.name, folder)
        say(f"{len(render_all(Snapshot(target.root), p.name, place))} files in {place}")
    readme = ROOT / "README.md"
    write_file(readme, with_block(readme, results_block(target)).encode())
    say(f"{readme}: results up to date")


def copy_finished(
    source: Store, target: Store, p: Profile, allow_dirty: bool = False
) -> list[Record]:
    """Copy every finished record; nothing is copied when one of them may not be published.

    Raises RecordError for a damaged record, one of another configuration, one of an unknown
    commit or with uncommitted changes (unless allowed), and when there is none. Raises
    MachineError when one of them is being written or published by another process.
    """
    records = source.records(p.name)
    if not records:
        raise NothingError(
            f"nothing to publish: no record in {source.folder(p.name)}:"
            f" `repro train --profile {p.name}` first"
        )
    for record in records:
        record.verify()
        if find_run(record.run.id, p).hash != record.run.hash:
            raise RecordError(
                f"{record.folder / 'run.json'}: another configuration than profile {p.name}'s:"
                " move the record out of runs/"
            )
        _refuse_unknown(record, allow_dirty)
    with lock_all(source.folder(p.name), [record.run.id for record in records]):
        for record in records:
            target.sweep(p.name, record.run.id)
        return [target.copy(record) for record in records]


def _refuse_unknown(record: Record, allow_dirty: bool) -> None:
    """Raises RecordError where nobody can say which code made a record."""
    if not record.env.get("commit"):
        raise RecordError(
            f"{record.folder}: made by code of unknown commit: train again in a clone that git"
            " can read (`git status` there says why it cannot)"
        )
    if record.env.get("dirty") is not False and not allow_dirty:
        raise RecordError(
            f"{record.folder}: made with uncommitted changes: commit and train again, or publish"
            " with --allow-dirty"
        )


def with_weights(source: Store, target: Store, p: Profile, asked: list[str]) -> list[Record]:
    """The records whose weights are published: of the Runs asked for, and those that were before.

    Raises UsageError for a Run without a record and for more or larger models than are published;
    RecordError for one without weights, as when published ones would not be its new record's.
    """
    records = source.records(p.name)
    for name in set(asked) - {record.run.id for record in records}:
        raise UsageError(f"--weights {name}: no finished record in {source.root}: choose another")
    from repro.machine.weights import published_path, refuse_publishing, weights_path

    def renewed(record: Record) -> bool:
        if not published_path(target, p.name, record.run.id).is_file():
            return False
        kept = weights_path(source.folder(p.name), record.run).is_file()
        before = target.find(p.name, record.run.id)
        return kept or before is None or before.sums != record.sums

    chosen = [r for r in records if r.run.id in asked or renewed(r)]
    refuse_publishing(source, target, chosen)
    return chosen


def results_block(store: Store) -> str:
    """The README's results: the fullest profile of a store, as Markdown. Raises RecordError."""
    names = [name for name in held(store) if name != "smoke"]
    if not names:
        return "No results are published yet."
    p = profile(names[0])
    base = f"results/{p.name}"
    lines = [
        _headline(store, p),
        scripts.load("tables", "table1").build(store, p.name).markdown().strip(),
        *_on_request(store, p, "table2"),
        _every_run([r for r in store.records(p.name) if not r.run.data.labels]),
        *_on_request(store, p, "ablations"),
        *_ladders(store, p, base),
        *(f"![{_title(name)}]({base}/figures/{name}.png)" for name in _figures(store, p)),
    ]
    return "\n\n".join(lines)


def _on_request(store: Store, p: Profile, table: str) -> list[str]:
    """A table with an experiment of its name, where there is a Run for it alone."""
    if not _any(store, p, table):
        return []
    return [scripts.load("tables", table).build(store, p.name).markdown().strip()]


def _figures(store: Store, p: Profile) -> list[str]:
    """Those of what is trained by default, and others where there is a Run for them alone."""
    return [f for f in FIGURES if f in DEFAULT or _any(store, p, f)]


def _any(store: Store, p: Profile, experiment: str) -> bool:
    own = set(EXPERIMENTS[experiment]) - set(cells(list(DEFAULT)))
    return any(cell_of(r.run) in own for r in store.records(p.name))


def with_block(readme: Path, block: str) -> str:
    """The README's text with its results replaced. Raises MachineError without the markers."""
    text = readme.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise MachineError(f"{readme}: no {BEGIN} ... {END}: put the two markers back")
    return f"{head}{BEGIN}\n{block}\n{END}{tail}"


def _headline(store: Store, p: Profile) -> str:
    records = store.records(p.name)
    own = sorted({r.run.seed for r in records}) or [1]
    planned = {run.id for seed in own for run in runs(p, seeds=[seed])}
    seeds = len(own)
    more = sum(r.run.id not in planned for r in records)
    extra = f", {more} more on request" if more else ""
    kind = (
        "This is the published protocol."
        if p.published_protocol
        else "**A reduced protocol: these numbers are no reproduction of the published values, and"
        " even the order of the models need not be the final one.**"
    )
    return (
        f"Profile `{p.name}` ({p.summary}): {len(records) - more} Runs of {len(planned)}{extra},"
        f" {seeds} seed{'s' if seeds > 1 else ''}, saved in `results/{p.name}`. {kind}"
    )


def _every_run(records: list[Record]) -> str:
    columns = ("Run", "L<sub>1</sub> train", "L<sub>1</sub> test", "L<sub>K</sub> test", "K")
    rows = [[*columns, "s.e.", "active units, z<sub>1</sub> upward"], [":---"] + ["---:"] * 6]
    for record in records:
        f = record.final
        if record.diverged:
            rows.append([f"`{record.run.id}`", f"diverged at epoch {f['diverged_at']}"] + [""] * 5)
            continue
        bounds = [f"{f[name]:.2f}".replace("-", "−") for name in ("L1_train", "L1_test", "LK_test")]
        units = "-".join(str(n) for n in f["active_units"])
        rows.append([f"`{record.run.id}`", *bounds, str(f["K"]), f"{f['LK_se']:.2f}", units])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    note = "Nats per example, higher is better; s.e.: standard error of L<sub>K</sub> over images."
    others = (r.run for r in records if r.run.data.grey_scale != GREY_SCALES[r.run.data.name])
    if shown := ", ".join(f"`{run.id}`" for run in others):
        note += f" On another grey scale, so of other data and not comparable: {shown}."
    return f"**Every published Run.** {note}\n\n{table}"


def _ladders(store: Store, p: Profile, base: str) -> list[str]:
    """Tables and figure of the Ladder networks, where there are any."""
    records = [r for r in store.records(p.name) if r.run.data.labels]
    if not records:
        return []
    table = scripts.load("tables", "ladder").build(store, p.name).markdown().strip()
    return [table, _every_ladder(records), f"![Ladder networks]({base}/figures/ladder.png)"]


def _every_ladder(records: list[Record]) -> str:
    rows = ["| Run | test error, % | s.e. |", "| :--- | ---: | ---: |"]
    for record in records:
        f = record.final
        numbers = (f"diverged at epoch {f['diverged_at']}", "")
        if not record.diverged:
            numbers = (f"{f['error_percent']:.2f}", f"{f['error_se']:.2f}")
        rows.append(f"| `{record.run.id}` | {numbers[0]} | {numbers[1]} |")
    return "**Every published Ladder network.** s.e.: over test images.\n\n" + "\n".join(rows)


def _title(name: str) -> str:
    return name.replace("figure", "Figure ")
