"""Combinators of the Ladder network (Pezeshki et al. 2016): test error with 100 labels."""

from repro.judge.evidence import books
from repro.plan.experiments import EXPERIMENTS
from repro.plan.profiles import profile
from repro.show.ladder_rows import COLUMNS, ours, published
from repro.show.layout import Table, main
from repro.show.words import closing, protocol
from repro.store import Store


def build(store: Store, profile_name: str) -> Table:
    """The full model's combinator first, then one row a variant. Raises UsageError, RecordError."""
    p = profile(profile_name)
    of_store = books(store, p.name)
    full, *_ = EXPERIMENTS["ladder"]
    cells = [full, *EXPERIMENTS["combinators"]]
    found = [of_store.of(c) for c in cells]
    rows = tuple((*published(e.cell), *ours(e)) for e in found)
    caption = (
        "Error on the MNIST test set in percent with 100 labels, lower is better. Published: mean"
        " over 10 seeds; the first row is Rasmus et al.'s, for Pezeshki et al.'s own Gaussian, g4"
        " is of their code, the others are Pezeshki et al.'s (their GatedGauss is not here), whose"
        " standard errors are shown as standard deviations (sd). They searched noise and cost"
        " weights for each variant, and what was found is not known here: all have the full"
        " model's, but for what a row's name changes. That search and set-up, that the errors are"
        " standard errors of ten runs, and that AMLP's weights are one set a unit, is from memory."
        f" Source and errors as in the table of Ladder networks.{closing(p, found, 'rows')}"
    )
    return Table(f"Combinators{protocol(p)}", caption, COLUMNS, rows, tuple((c,) for c in cells))


if __name__ == "__main__":
    main(build, __file__)
