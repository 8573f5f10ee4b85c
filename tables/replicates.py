"""Floor of noise: how far equal trainings lie apart, by rounding alone and by seed."""

from repro.judge.evidence import Evidence, books, named
from repro.judge.spread import STUDIED, Spread, by_rounding, by_seed
from repro.plan.experiments import label_of
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
        "model",
        "trainings differ in",
        "values",
        "sd of L_1",
        "95% interval (L_1)",
        f"sd of L_{k}",
        f"95% interval (L_{k})",
        "Runs",
    )
    rows = tuple(row for cell in STUDIED for row in rows_of(found.of(cell)))
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


def rows_of(e: Evidence) -> list[tuple[str, ...]]:
    """By rounding, then by seed."""
    label, (replicates, of_rounding) = label_of(e.cell), by_rounding(e, METRICS)
    names = ", ".join(sorted(r.run.id for r in replicates)) or e.state
    numbers = f"seeds {', '.join(map(str, sorted(e.by_seed)))}" if e.trainings else e.state
    return [
        (label, "rounding", str(len(replicates)), *spreads(of_rounding), names),
        (label, "seed", str(e.seeds), *spreads(by_seed(e, METRICS)), numbers),
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
