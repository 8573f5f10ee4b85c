"""Power: which differences a number of seeds can tell apart."""

from repro.judge.power import SEEDS, USUAL, Power, Setting, bounds, ladder, power
from repro.judge.spread import WHOSE, known
from repro.judge.targets.target import MNIST_NATS
from repro.plan.profiles import profile
from repro.show.layout import Table, main
from repro.show.words import protocol
from repro.store import Store

WHAT = {"bound": "bound (L_1)", "test error": "test error"}


def build(store: Store, profile_name: str) -> Table:
    """One row a number of seeds, for bounds and for test errors. Raises UsageError, RecordError."""
    p = profile(profile_name)
    spreads = {s: known(store, p.name, s) for s in WHOSE}
    of_bound, of_error = spreads.values()
    settings = ((bounds(of_bound.sd), of_bound.df), (ladder(of_error.sd), of_error.df))
    columns = (
        "quantity",
        "seeds",
        "spread over trainings",
        "margin",
        "perfect replications reproduced",
        "called different from",
        "two models told apart from",
    )
    rows = tuple(row(s, power(s, n, df)) for s, df in settings for n in SEEDS)
    of_images = " and ".join(f"{s.images:.2f} {s.unit}" for s, _ in settings)
    sources = " ".join(f"Spread of the {WHAT[name]}: {s.source}." for name, s in spreads.items())
    caption = (
        "What the verdicts can find, by simulation of the very tests that judge. A replication is"
        " perfect if its true difference from the published number is zero; the other columns give"
        f" the smallest true difference that is found in {USUAL:.0%} of all replications. Of fewer"
        " than three seeds no published number is judged; of one seed, two models of ours are"
        " compared by bounds alone, with the spread that other trainings have, if any is known. Two"
        " models share an error over"
        f" images that seeds do not lower: {of_images}. What {MNIST_NATS:g} nats cannot tell apart,"
        " such as two rows of Table 1, is decided by comparisons between Runs of ours, seed by"
        f" seed. {sources} Profile {p.name} ({p.whole_summary})."
    )
    of = tuple((cell,) for cell in WHOSE.values() for _ in SEEDS)
    return Table(f"Power{protocol(p)}", caption, columns, rows, of)


def row(s: Setting, found: Power) -> tuple[str, ...]:
    passes = "–" if found.passes is None else f"{found.passes:.0%}"
    return (
        s.name,
        str(found.seeds),
        amount(s, s.sd),
        amount(s, s.margin),
        passes,
        amount(s, found.different),
        amount(s, found.apart),
    )


def amount(s: Setting, difference: float | None) -> str:
    return "–" if difference is None else f"{difference:.2f} {s.unit}"


if __name__ == "__main__":
    main(build, __file__)
