"""`repro report`: the HTML page of what a store holds."""

import base64
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from repro.cli import list as listing
from repro.cli.shared.options import ProfileToShow, StoreToRead, command, given, to_read
from repro.cli.shared.terminal import say
from repro.plan.experiments import EXPERIMENTS, UNLISTED
from repro.plan.experiments.grid import cell_of
from repro.plan.profiles import BEST_FIRST, Profile, profile, runs
from repro.plan.run import Run
from repro.show import scripts, words
from repro.show.report import deviations, ledger, measured
from repro.show.report.content import Behind, Figure, Part
from repro.store import Store, files

NAME = "report.html"
RATES = "Training throughput against the number of lanes."
FINER = 1.5  # pixels of a picture for each of the page: sharp on fine screens


@command(
    "repro report", "repro report --store results --out report.html", "repro report --profile paper"
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

    opened, p = to_read(store, profile)
    asked = [n for n in BEST_FIRST if profile in (None, n)]
    names = [n for n in asked if opened.records(n) or opened.failures(n)]
    if not names and (profile or not measured.benches(opened)):
        opened.some_records(p.name)
    path = out or opened.root / NAME
    files.write_file(path, page.render(gather(opened, names)).encode())
    say(f"{path}: {', '.join(names) or 'benchmarks'}, {path.stat().st_size / 1e6:.1f} MB")


def gather(store: Store, names: list[str]) -> dict[str, Any]:
    """Everything that the page shows of these profiles. Raises RecordError.

    Figures of a few points, as those of quick are, are left out beside those of a fuller profile.
    """
    profiles = [profile(name) for name in names]
    drawn = words.in_full(profiles)
    return {
        "store": store.name,
        "parts": [part(store, p, p in drawn) for p in profiles],
        "benches": list(benches(store)),
        "roundings": measured.comparisons(store),
        "choices": deviations.choices(),
    }


def part(store: Store, p: Profile, draw: bool = True) -> Part:
    """One profile, with its figures or the command that draws them."""
    state_of = functools.partial(listing.state_here, store, p.name)
    found = Part(store, p, ledger.entries(store, p, planned(store, p), state_of))
    if draw:
        found.figures = figures(store, found)
    return found


def planned(store: Store, p: Profile) -> list[Run]:
    """What `repro list` lists, and every experiment beyond that which was begun."""
    usual = {cell for name in listing.LISTED for cell in EXPERIMENTS[name]}
    own = {cell_of(r.run) for r in store.records(p.name)} - usual
    begun = [name for name in UNLISTED if own & set(EXPERIMENTS[name])]
    return runs(p, [*listing.LISTED, *begun])


def figures(store: Store, of: Part) -> Sequence[Figure]:
    """Every figure that `repro figures` draws, with what its script says that it shows."""
    from repro.show import gallery

    found = []
    for name, drawn in gallery.drawn(store, of.profile.name):
        script = scripts.load("figures", name)
        behind = of.behind("figures", name, script.NEEDS.shown)
        found.append(figure(name, (script.__doc__ or name).splitlines()[0], drawn, behind))
    return found


def figure(name: str, title: str, drawn: Any, behind: Behind) -> Figure:
    """A drawn figure, written into the page itself, with its caption."""
    from repro.show.style import webp

    uri = f"data:image/webp;base64,{base64.b64encode(webp(drawn)).decode()}"
    width, height = (round(n / FINER) for n in drawn.canvas.get_width_height())
    return Figure(name, title, uri, width, height, str(drawn.get_label()), behind)


def benches(store: Store) -> Iterator[tuple[measured.Measured, Figure | None]]:
    """Every saved benchmark, drawn where it holds a curve. Raises RecordError."""
    from repro.show import rates

    for path in measured.benches(store):
        file, drawn = path.relative_to(store.root).as_posix(), None
        with measured.read(path) as content:
            bench = measured.bench_of(content, file)
            if rates.has_curve(content):
                behind = Behind((f"python -m repro.show.rates {Path(store.name) / file}",))
                drawn = figure(f"throughput-{path.stem}", RATES, rates.draw(content), behind)
        yield bench, drawn
