"""`repro report`: the HTML page of what a store holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from repro.cli import list as listing
from repro.cli.shared.options import BEST_FIRST, ProfileToShow, StoreToRead, command, given, to_read
from repro.cli.shared.terminal import say
from repro.judge import check as checks
from repro.plan.experiments import EXPERIMENTS, UNLISTED
from repro.plan.experiments.grid import cell_of
from repro.plan.profiles import Profile, profile, runs
from repro.plan.run import Run
from repro.show import scripts, words
from repro.show.report import deviations, images, ledger, measured
from repro.show.report.content import Behind, Figure, Page, Part, Sheet, Source
from repro.store import Snapshot, Store, files, places

NAME = "report.html"
RATES = "Training throughput against the number of lanes."


@command(
    "repro report",
    "repro report --store results --out report.html",
    "repro report --profile paper",
)
def report(
    profile: ProfileToShow = None,
    store: StoreToRead = None,
    out: Annotated[
        Path | None, given(f"Default: {NAME} in the store.", "FILE", readable=False)
    ] = None,
) -> None:
    """Write one HTML page: verdicts, tables, figures, claims, every Run, where numbers come from.

    It shows each profile that the store holds, or only --profile. It needs no network.
    """
    from repro.show.report import page  # its template needs a library of its own

    found, p = to_read(store, profile)
    opened = Snapshot(found.root)
    asked = [n for n in BEST_FIRST if profile in (None, n)]
    names = [n for n in asked if opened.records(n) or opened.failures(n)]
    if not names and (profile or not measured.benches(opened)):
        opened.some_records(p.name)
    path = out or opened.root / NAME
    files.write_file(path, page.render(gather(opened, names)).encode())
    say(f"{path}: {', '.join(names) or 'benchmarks'}, {path.stat().st_size / 1e6:.1f} MB")


def gather(store: Store, names: list[str]) -> Page:
    """Everything that the page shows of these profiles. Raises RecordError.

    Figures of a few points, as those of quick are, are left out beside those of a fuller profile.
    """
    profiles = [profile(name) for name in names]
    drawn = words.in_full(profiles)
    shown = tuple(part(store, p, p in drawn) for p in profiles)
    saved = tuple(benches(store)), measured.comparisons(store)
    return Page(name_of(store), shown, *saved, deviations.choices())


def name_of(store: Store) -> str:
    """How `--store` names it."""
    return next((n for n, root in places.NAMED.items() if root == store.root), str(store.root))


def part(store: Store, p: Profile, draw: bool = True) -> Part:
    """One profile, with its figures or the command that draws them."""
    found = checks.check(store, p.name)
    source = Source(name_of(store), p, store.records(p.name))
    asked = f"--store {name_of(store)} --profile {p.name}"

    def state_of(run: Run) -> str:
        return listing.state_here(store, p.name, run)

    return Part(
        profile=p,
        report=found,
        groups=source.groups(found),
        claims=source.claims(found),
        sheets=tuple(sheet(store, p, source, name) for name in scripts.names("tables")),
        figures=figures(store, p, source) if draw else (),
        entries=ledger.entries(store, p, planned(store, p), state_of),
        check=f"repro check {asked}",
        draw=f"repro figures {asked}",
    )


def sheet(store: Store, p: Profile, source: Source, name: str) -> Sheet:
    """A table, as `repro tables` writes it."""
    table = scripts.load("tables", name).build(store, p.name)
    shown = (cell for of in table.cells for cell in of)
    cells = list(dict.fromkeys((*EXPERIMENTS.get(name, ()), *shown)))
    return Sheet(name, table, source.drawn("tables", name, cells))


def planned(store: Store, p: Profile) -> list[Run]:
    """What `repro list` lists, and every experiment beyond that which was begun."""
    usual = {cell for name in listing.LISTED for cell in EXPERIMENTS[name]}
    own = {cell_of(r.run) for r in store.records(p.name)} - usual
    begun = [name for name in UNLISTED if own & set(EXPERIMENTS[name])]
    return runs(p, [*listing.LISTED, *begun])


def figures(store: Store, p: Profile, source: Source) -> tuple[Figure, ...]:
    """Every figure that `repro figures` draws."""
    from repro.show import gallery

    def behind(name: str) -> Behind:
        needs = scripts.load("figures", name).NEEDS
        cells = EXPERIMENTS[needs.experiment]
        shown = [c for c in cells if c.variant in (needs.variants or {c.variant})]
        return source.drawn("figures", name, shown)

    return tuple(
        Figure(name, title(name), image_of(fig), behind(name))
        for name, fig in gallery.drawn(store, p.name)
    )


def title(figure: str) -> str:
    """What a figure's script says that it shows."""
    return (scripts.load("figures", figure).__doc__ or figure).splitlines()[0]


def image_of(drawn: Any) -> images.Image:
    """A drawn figure with its caption."""
    from repro.show.style import picture

    return images.inline(picture(drawn), str(drawn.get_label()))


def benches(store: Store) -> Iterator[tuple[measured.Measured, Figure | None]]:
    """Every saved benchmark, drawn where it holds a curve. Raises RecordError."""
    from repro.show import rates

    for path in measured.benches(store):
        content = rates.read(path)
        bench = measured.bench_of(content, path, store.root)
        if not rates.has_curve(content, path):
            yield bench, None
            continue
        image = image_of(rates.draw(content, path))
        behind = Behind((f"python -m repro.show.rates {Path(name_of(store)) / bench.file}",))
        yield bench, Figure(f"throughput-{path.stem}", RATES, image, behind)
