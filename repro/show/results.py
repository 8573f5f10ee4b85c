"""`results/README.md`, and what the project's README shows of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from repro.judge.evidence import Books, books
from repro.judge.measures import divergence, whole_set
from repro.plan.experiments import DEFAULT, EXPERIMENTS, cells
from repro.plan.experiments.grid import GREY_SCALES, Cell, cell_of
from repro.plan.profiles import Profile, run_of, runs
from repro.show import scripts, words
from repro.show.layout import NOT_MEASURED, Table, as_markdown, bound, error
from repro.store import Record, Store
from repro.store.sealed import ACTIVE_NATS

MADE_BY = "made by"
NONE = "No results are published yet."
HEAD = """# Published results

Written whole by `repro publish` from the records beside it: nothing here is changed by hand. Every
row of a table that a Run can answer ends with the command that makes it, which names its Runs.
`repro check --store results` prints the verdict on what was run of one profile (`--json`: on every
published number and statement), `repro report --store results` shows all of it on one HTML page.
`weights/` holds models that `docs/api.md` loads, each with a card, `bench/` benchmarks and [what an
H100 gave](../docs/gpu.md), which no table reads."""
FIGURE = "figure5"  # the one that the project's README shows: which layers are used
LONG = ("quoted from", "MC error", "sd (seeds)", "seeds", "ours, L_1")  # columns it leaves out


def page(store: Store, *profiles: Profile) -> str:
    """All results of these profiles, one after the other, for `results/README.md`.

    Raises RecordError, MachineError.
    """
    parts = [block for p in profiles for block in _part(store, p)]
    return "\n\n".join([HEAD, *(parts or [NONE])]) + "\n"


def _part(store: Store, p: Profile) -> list[str]:
    """A profile's tables and figures below its title."""
    records, without = store.records(p.name), _not_drawn(store, p)
    found = Books(records, p)
    hierarchies = [r for r in records if not r.run.labels]
    ladders = [r for r in records if r.run.labels]
    built = (scripts.load("tables", t).build(store, p.name) for t in shown("tables", records))
    tables = [
        *(made_by(table, found, p) for table in built),
        *([_every_run(hierarchies, found, p)] if hierarchies else []),
        *([_every_ladder(ladders, found, p)] if ladders else []),
    ]
    return [
        f"## Profile {p.name}",
        _headline(records, found, p),
        *(t.markdown().strip() for t in tables),
        *(
            _drawn(f, scripts.load("figures", f).NEEDS, records, p)
            for f in shown("figures", records)
            if f not in without
        ),
    ]


def _not_drawn(store: Store, p: Profile) -> dict[str, str]:
    from repro.show import gallery  # matplotlib takes half a second

    return gallery.left_out(store, p.name)


def summary(store: Store, *profiles: Profile) -> str:
    """Table 1 in short and one figure of the first profile, and a line on each other that trains
    every depth, for the project's README. Raises RecordError.
    """
    if not profiles:
        return NONE
    p, *others = profiles
    table1, found = scripts.load("tables", "table1"), books(store, p.name)
    whole = made_by(table1.build(store, p.name), found, p)
    keep = [i for i, name in enumerate(whole.columns) if name not in LONG]
    answers = [found.of(cell) for of in whole.cells for cell in of]
    caption = (
        "Bounds on the MNIST test log-likelihood, nats per example, higher is better; the published"
        " LVAE rows are L_5000. Quoted: from another paper, its split and binarisation not stated."
        f"{table1.first_images(p)}{words.other_scale(answers)}{words.closing(p, answers)}"
        f"{table1.other_papers(answers)}"
    )
    table = replace(
        whole,
        caption=caption,
        columns=tuple(whole.columns[i] for i in keep),
        rows=tuple(tuple(row[i] for i in keep) for row in whole.rows),
    )
    drawn = FIGURE not in _not_drawn(store, p)
    figure = [f"![{words.title(FIGURE)}](results/{p.name}/figures/{FIGURE}.png)"] if drawn else []
    beside = [_beside(store, q) for q in words.in_full([p, *others])[1:]]
    return "\n".join([table.markdown(), *figure, *beside])


def _beside(store: Store, p: Profile) -> str:
    """A line on a profile that the project's README does not show."""
    n = len(store.records(p.name))
    of = "the published protocol" if p.published_protocol else f"profile {p.name} ({p.summary})"
    held = f"{_count(n, 'Run')}{' so far' if p.published_protocol else ', no reproduction'}"
    return as_markdown(f"\nOf {of}: {held}, in [results/README.md](results/README.md).")


def made_by(table: Table, found: Books, p: Profile) -> Table:
    """With a last column: what trains each row's Runs, by their ids; or the first of a cell."""
    if not table.cells:
        return table

    def command(of: Sequence[Cell]) -> str:
        held = {c: (*found.of(c).trainings, *found.of(c).diverged) for c in of}
        asked = [run for c in of for run in ([r.run for r in held[c]] or [run_of(c, p)])]
        return _training([run.id for run in asked], p, [r for rs in held.values() for r in rs])

    rows = zip(table.rows, table.cells, strict=True)
    return replace(
        table,
        columns=(*table.columns, MADE_BY),
        rows=tuple((*row, command(of)) for row, of in rows),
    )


def shown(folder: str, records: list[Record]) -> list[str]:
    """Scripts of what is trained by default, and others where there is a Run for them alone."""
    own = {cell_of(r.run) for r in records} - set(cells(list(DEFAULT)))
    return [
        name
        for name in scripts.names(folder)
        if name in DEFAULT or name not in EXPERIMENTS or own & set(EXPERIMENTS[name])
    ]


def _training(names: Sequence[str], p: Profile, records: Sequence[Record] = ()) -> str:
    return f"`{words.trains(names, p, records)}`" if names else ""


def _headline(records: list[Record], found: Books, p: Profile) -> str:
    planned = {cell_of(run) for run in runs(p)}
    ran = [cell_of(r.run) for r in records if cell_of(r.run) in planned]
    parts = [f"{len(set(ran))} of {len(planned)} configurations in {_count(len(ran), 'Run')}"]
    if more := len(records) - len(ran):
        parts.append(f"{more} more on request")
    seeds = sorted({found.of(cell_of(r.run)).seeds for r in records} - {0})
    if seeds:
        several = len(seeds) > 1
        own = f"{seeds[0]} to {seeds[-1]} seeds" if several else _count(seeds[0], "seed")
        parts.append(f"{own} each")
    kind = (
        "This is the published protocol."
        if p.published_protocol
        else "**A reduced protocol: these numbers are no reproduction of the published values, and"
        " even the order of the models need not be the final one.**"
    )
    summary = as_markdown(p.whole_summary)
    return f"Profile `{p.name}` ({summary}): {', '.join(parts)}, saved in `{p.name}/`. {kind}"


def _count(n: int, of: str) -> str:
    return f"{n} {of}{'' if n == 1 else 's'}"


def _every_run(records: list[Record], found: Books, p: Profile) -> Table:
    note = (
        "Nats per example, higher is better, on the whole test set: L_K by regression on L_1 where"
        " it was measured on the first images only, ± the error of that; s.e.: of L_K over the"
        " images it was measured on."
    )
    note += f" Active units: KL above {ACTIVE_NATS:g} nats."
    note += words.other_data([found.of(cell_of(r.run)) for r in records])
    others = (r.run for r in records if r.run.data.grey_scale != GREY_SCALES[r.run.data.name])
    if named := ", ".join(f"`{run.id}`" for run in others):
        note += f" On another grey scale, so of other data and not comparable: {named}."
    columns = ("L_1 train", "L_1 test", "L_K test", "K", "s.e.", "active units, z_1 upward")

    def numbers(r: Record) -> tuple[str, ...]:
        f, whole = r.final, whole_set(r)
        lk = NOT_MEASURED if whole is None else bound(whole[0])
        lk += f" ± {error(whole[1])}" if whole and whole[1] else ""
        bounds = (bound(f["L1_train"]), bound(f["L1_test"]), lk)
        return (*bounds, str(f["K"]), bound(f["LK_se"]), "-".join(map(str, f["active_units"])))

    return _of_each("Every published Run", note, columns, records, numbers, found, p)


def _every_ladder(records: list[Record], found: Books, p: Profile) -> Table:
    def numbers(r: Record) -> tuple[str, ...]:
        return f"{r.final['error_percent']:.2f}", f"{r.final['error_se']:.2f}"

    columns, note = ("test error, %", "s.e."), "s.e.: over test images."
    return _of_each("Every published Ladder network", note, columns, records, numbers, found, p)


def _of_each(
    title: str,
    note: str,
    columns: tuple[str, ...],
    records: list[Record],
    numbers: Callable[[Record], tuple[str, ...]],
    found: Books,
    p: Profile,
) -> Table:
    """A row a record, beginning with its folder; no number of one that does not count."""
    empty = ("",) * (len(columns) - 1)
    rows = tuple(
        (
            f"[`{r.run.id}`]({p.name}/{r.run.id})",
            *((why, *empty) if (why := _lost(r, found)) else numbers(r)),
            _training([r.run.id], p, [r]),
        )
        for r in records
    )
    return Table(title, note, ("Run", *columns, MADE_BY), rows)


def _lost(r: Record, found: Books) -> str:
    """Why a record has no number, or its number does not count; empty where it has and does."""
    if r.diverged:
        return divergence(r)
    return next((why for left, why in found.of(cell_of(r.run)).left_out if left is r), "")


def _drawn(figure: str, needs: Any, records: Sequence[Record], p: Profile) -> str:
    own = [r for r in records if cell_of(r.run) in needs.shown]
    ids = words.ids_behind(filter(p.holds, needs.shown), p, own)
    by_id = needs.variants or len({words.rounded(r) for r in own}) > 1
    train = _training(ids if by_id else [needs.experiment], p, own)
    seeds = p.ladder.seeds if any(r.run.labels for r in own) else p.seeds
    if not by_id and any(r.run.seed > seeds for r in own):
        train += f" ({_count(seeds, 'seed')}; more by their ids)"
    title = words.title(figure)
    return f"![{title}]({p.name}/figures/{figure}.png)\n\n{title}: {train}"
