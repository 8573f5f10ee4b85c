"""What tables and figures say in words of the records that they show."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from repro.judge.evidence import NOT_RUN, Evidence, named
from repro.judge.measures import by_delta_method, precision
from repro.plan.experiments.grid import MAX_DEPTH, Cell, cell_of
from repro.plan.profiles import Profile, run_of
from repro.store import Record

TITLES = {"text": "Stated in the text", "ladder": "Ladder networks", "lk_curve": "L_k against k"}


def title(name: str) -> str:
    """`table1` as the paper writes it; a name without a number stays."""
    spaced = re.sub(r"(?<=[a-z])(?=\d)", " ", name)
    return TITLES.get(name) or (name if spaced == name else spaced.capitalize())


def in_full(profiles: Sequence[Profile]) -> list[Profile]:
    """The first, and those of every depth: beside a fuller profile a few points are left out."""
    return [p for p in profiles if len(p.depths) == MAX_DEPTH or p is profiles[0]]


def protocol(p: Profile) -> str:
    """What a title says of a profile that is not the published protocol."""
    return "" if p.published_protocol else " (reduced protocol, not a reproduction)"


def of_first(data: str, images: int) -> str:
    """What is measured on these alone, and must not be held against."""
    kind = {"mnist": "easier", "omniglot": "harder"}.get(data)
    than = f", which are {kind} than the rest" if kind else ""
    return f"of the first {images:,} test images{than}: not to be compared with numbers of all"


def nothing(found: Iterable[Evidence]) -> str:
    """Why none of these has a number."""
    return next((e.state for e in found if e.state != NOT_RUN), NOT_RUN)


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
    run = sum(bool(e.trainings or e.lost) for e in found)
    ran = f" {run} of {len(found)} {rows} were run." if rows else ""
    return f" Profile {p.name} ({summary}).{ran} {seed_note(found)}{rounding(found)}"


def other_data(found: Iterable[Evidence]) -> str:
    """A sentence for Runs on another version of a data set than the paper's."""
    ran = [e for e in found if e.trainings or e.lost]
    of_other = [e for e in ran if e.other_version]
    ours = [e for e in ran if e.cell.data in {other.cell.data for other in of_other}]
    versions = {f"{e.other_version} {e.cell.data.upper()}" for e in of_other}
    if not of_other:
        return ""
    some = f" in {len(of_other)} of {len(ours)} models" if len(of_other) < len(ours) else ""
    return f" Ours is on {', '.join(sorted(versions))}{some}: other data than the paper's."


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
    """The command that trains what is named; no name: the default.

    What these records hold is rounded as it was: of several precisions there are several commands.
    """
    options = {r.run.id: rounded(r) for r in records}
    usual = Counter(options.values()).most_common(1)[0][0] if options else ""
    by_option: dict[str, list[str]] = {}
    for name in names:
        by_option.setdefault(options.get(name, usual), []).append(name)
    return "; ".join(
        f"{' '.join(('repro train', *some))} --profile {p.name}{option}"
        for option, some in (by_option or {usual: []}).items()
    )


def ids_behind(cells: Iterable[Cell], p: Profile, records: Sequence[Record]) -> list[str]:
    """Of these records, and of the first Run of each of these cells that has none."""
    have = {cell_of(r.run) for r in records}
    return [*(r.run.id for r in records), *(run_of(c, p).id for c in cells if c not in have)]


def rounded(record: Record) -> str:
    """The option of `repro train` that rounds products as a Run did; none for float32, the default
    of CPUs.
    """
    return "" if (how := precision(record)) == "float32" else f" --precision {how}"


def scored_again(record: Record) -> str:
    """By what code, where and how a record was scored, where that is not as it was trained."""
    env, again = record.env, record.scored_env
    names = ("commit", "device", "precision")
    if all(again.get(n, env.get(n)) == env.get(n) for n in names):
        return ""
    commit, device = (again.get(n) or "unknown" for n in ("commit", "device"))
    how = again.get("precision", "float32")
    return f", scored again by {commit[:10]}, {device}, products in {how}"


def products(record: Record) -> str:
    """How matrix products were rounded; scoring never is in bfloat16."""
    how = precision(record)
    return f"{how} (training alone)" if how == "bfloat16" else how


def rounding(found: Iterable[Evidence]) -> str:
    """A sentence for Runs whose matrix products were not in float32."""
    trainings = {r.run.id: products(r) for e in found for r in e.trainings}
    counts = Counter(trainings.values())
    total, plain = counts.total(), counts.pop("float32", 0)
    said = [f"{rounded} in {n} of {total} Runs" for rounded, n in sorted(counts.items())]
    rest = ", else in float32" if plain else ""
    return f" Matrix products: {', '.join(said)}{rest}." if said else ""
