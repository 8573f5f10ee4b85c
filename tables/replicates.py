"""Floor of noise: how far equal trainings lie apart, by rounding alone and by seed."""

from __future__ import annotations

from repro.judge.evidence import Books, books, named
from repro.judge.spread import STUDIED, Spread, by_rounding, by_seed
from repro.plan.experiments import label_of
from repro.plan.experiments.grid import Cell
from repro.plan.profiles import profile
from repro.show.layout import NOT_MEASURED, Table, error, main
from repro.show.words import protocol, rounding
from repro.store import Store

METRICS = ("L1_test", "LK_test")


def build(store: Store, profile_name: str) -> Table:
    """Two rows a configuration; nats per example. Raises UsageError, RecordError."""
    p = profile(profile_name)
    found = books(store, p.name)
    k = p.evaluation.importance_samples
    columns = (
        *("model", "trainings differ in", "trainings", "sd of L_1", "95% interval"),
        *(f"sd of L_{k}", f"95% interval (L_{k})", "Runs"),
    )
    rows = tuple(row for cell in STUDIED for row in rows_of(found, cell))
    caption = (
        "Spread of the test bounds of the 5-layer LVAE over trainings of one Run and seed, whose"
        " sums come in another order (another number of threads, stack or version of the code), and"
        " over seeds, each the mean of its trainings. Nats per example; the interval is that of"
        " normal values. What lies inside this spread is no finding: ablations, claims and `check"
        " --against` carry it."
        f" Profile {p.name} ({p.summary}).{named([found.of(c) for c in STUDIED])}"
        f"{rounding(map(found.of, STUDIED))}"
    )
    of = tuple((cell,) for cell in STUDIED for _ in range(2))
    return Table(f"Floor of noise{protocol(p)}", caption, columns, rows, of)


def rows_of(found: Books, cell: Cell) -> list[tuple[str, ...]]:
    """By rounding, then by seed."""
    replicates = [by_rounding(found, cell, name) for name in METRICS]
    seeds = [by_seed(found, cell, name) for name in METRICS]
    e, label = found.of(cell), label_of(cell)
    names = ", ".join(sorted(r.run.id for r in replicates[0][0])) or e.state
    numbers = f"seeds {', '.join(map(str, sorted(e.by_seed)))}" if e.trainings else e.state
    return [
        (
            label,
            "rounding",
            str(len(replicates[0][0])),
            *spreads([s for _, s in replicates]),
            names,
        ),
        (label, "seed", str(seeds[0][0]), *spreads([s for _, s in seeds]), numbers),
    ]


def spreads(of: list[Spread | None]) -> list[str]:
    """Each with its interval."""
    texts: list[str] = []
    for s in of:
        texts += (
            [NOT_MEASURED, ""] if s is None else [error(s.sd), f"{error(s.low)} to {error(s.high)}"]
        )
    return texts


if __name__ == "__main__":
    main(build, __file__)
