"""What tables and figures say in words of the records that they show."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from repro.judge.evidence import Evidence, named
from repro.judge.measures import by_delta_method, precision
from repro.plan.experiments.grid import Cell, cell_of
from repro.plan.profiles import Profile, run_of
from repro.store import Record

TITLES = {"text": "Stated in the text", "ladder": "Ladder networks", "lk_curve": "L_k against k"}


def title(name: str) -> str:
    """`table1` as the paper writes it; a name without a number stays."""
    spaced = re.sub(r"(?<=[a-z])(?=\d)", " ", name)
    return TITLES.get(name) or (name if spaced == name else spaced.capitalize())


def in_full(profiles: Sequence[Profile]) -> list[Profile]:
    """The first, and those of every depth: beside a fuller profile a few points are left out."""
    return [p for p in profiles if p.every_depth or p is profiles[0]]


def protocol(p: Profile) -> str:
    """What a title says of a profile that is not the published protocol."""
    return "" if p.published_protocol else " (reduced protocol, not a reproduction)"


def seed_note(found: Sequence[Evidence]) -> str:
    """How many seeds count; which Runs diverged, are replicates or of another configuration."""
    counts = sorted({e.seeds for e in found if e.seeds})
    if not counts:
        note = "No finished Run."
    elif len(counts) == 1:
        note = f"{counts[0]} seed{'s' if counts[0] > 1 else ''}."
    else:
        note = f"{counts[0]} to {counts[-1]} seeds."
    return note + named(found)


def closing(p: Profile, found: Sequence[Evidence], rows: str = "") -> str:
    """How captions end: profile, how many of a table's `rows` were run, seeds, rounding."""
    summary = p.ladder.summary if any(e.cell.labels for e in found) else p.summary
    run = sum(bool(e.trainings) for e in found)
    ran = f" {run} of {len(found)} {rows} were run." if rows else ""
    return f" Profile {p.name} ({summary}).{ran} {seed_note(found)}{rounding(found)}"


def other_data(found: Iterable[Evidence]) -> str:
    """A sentence for Runs on another version of a data set than the paper's."""
    versions = {(e.cell.data, e.other_version) for e in found if e.other_version}
    other = ", ".join(sorted(f"{version} {name.upper()}" for name, version in versions))
    return f" Ours is on {other}: other data than the paper's." if other else ""


def sampling(found: Iterable[Evidence]) -> str:
    """A sentence for Monte-Carlo errors that are known to be too small."""
    trainings = {r.run.id: by_delta_method(r) for e in found for r in e.trainings}
    if not (older := sum(trainings.values())):
        return ""
    return (
        f" Monte-Carlo errors of {older} of {len(trainings)} Runs are by the delta method, too"
        " small by a factor of about 2."
    )


def other_scale(found: Iterable[Evidence]) -> str:
    """A sentence for Runs on MNIST over 255, as what they replicate, beside those over 256."""
    runs = (r.run for e in found for r in e.trainings)
    over_255 = ", ".join(sorted({run.id for run in runs if run.data.grey_scale == 255}))
    own = "comparable with the published numbers of their own rows alone"
    return f" Of byte/255, and {own}: {over_255}." if over_255 else ""


def trains(names: Iterable[str], p: Profile, records: Iterable[Record] = ()) -> str:
    """The command that trains what is named, rounded as these records are; no name: the default."""
    return f"{' '.join(('repro train', *names))} --profile {p.name}{rounded(records)}"


def ids_behind(cells: Iterable[Cell], p: Profile, records: Sequence[Record]) -> list[str]:
    """Of these records, and of the first Run of each of these cells that has none."""
    have = {cell_of(r.run) for r in records}
    return [*(r.run.id for r in records), *(run_of(c, p).id for c in cells if c not in have)]


def rounded(records: Iterable[Record]) -> str:
    """The option of `repro train` that rounds products as all of these did.

    Empty for float32, the default of CPUs, and where the Runs differ.
    """
    kinds = {precision(r) for r in records}
    return f" --precision {kinds.pop()}" if len(kinds) == 1 and kinds != {"float32"} else ""


def rounding(found: Iterable[Evidence]) -> str:
    """A sentence for Runs whose matrix products were not in float32."""
    trainings = {r.run.id: precision(r) for e in found for r in e.trainings}
    counts = Counter(trainings.values())
    total, plain = counts.total(), counts.pop("float32", 0)
    said = [f"{rounded} in {n} of {total} Runs" for rounded, n in sorted(counts.items())]
    rest = ", else in float32" if plain else ""
    return f" Matrix products: {', '.join(said)}{rest}." if said else ""
