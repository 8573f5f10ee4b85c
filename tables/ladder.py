"""Ladder networks: test error on MNIST by number of labels and variant, published and ours."""

from collections.abc import Sequence

from repro.judge.evidence import Evidence, books
from repro.judge.targets.target import TEST_IMAGES
from repro.plan.experiments import EXPERIMENTS, label_of
from repro.plan.experiments.ladder import EVERY, cell
from repro.plan.profiles import Profile, profile, run_of
from repro.show.ladder_rows import COLUMNS, ours, published
from repro.show.layout import Table, main
from repro.show.words import closing, protocol
from repro.store import Store


def build(store: Store, profile_name: str) -> Table:
    """One row per cell; errors in percent. Raises UsageError, RecordError."""
    p = profile(profile_name)
    cells = sorted(EXPERIMENTS["ladder"], key=lambda c: (c.labels, list(EVERY).index(c.variant)))
    of_store = books(store, p.name)
    found = [of_store.of(c) for c in cells]
    rows = tuple((*published(e.cell), *ours(e)) for e in found)
    title = f"Ladder networks{protocol(p)}"
    return Table(title, caption(p, found), COLUMNS, rows, tuple((c,) for c in cells))


def caption(p: Profile, found: Sequence[Evidence]) -> str:
    """What a port's Run cannot hold of it is said beside its number."""
    images = p.ladder.test_images or TEST_IMAGES["mnist"]
    said = [EVERY[e.cell.variant].departure for e in found if e.trainings]
    departures = "".join(f" {departure}" for departure in said if departure)
    usual = run_of(cell("full"), p).schedule
    ran = ((label_of(e.cell), e.trainings[0].run.schedule) for e in found if e.trainings)
    otherwise = "".join(f" {n}: {s.epochs} epochs, its own rate." for n, s in ran if s != usual)
    return (
        "Error on the MNIST test set in percent, lower is better, of the model after the last"
        " epoch. Published: mean and standard deviation (sd) where it is known, by recollection"
        " over 10 seeds; a port's is one run (kzky's: around 98% right). Source: read in public"
        " text; where none was found, no number is shown and there is no target. The Lasagne"
        " port's is an error on validation images of another split, quoted and judged against no"
        " Run. Ours:"
        f" mean and sd over seeds on {images:,} test images, each seed with its own weights and"
        " its own draw of labels, if not all images have one, balanced but for kzky's; parmesan's"
        f" are the first 100 images of the file.{departures} s.e.: of one seed's error over test"
        f" images.{otherwise}{closing(p, found, 'rows')}"
    )


if __name__ == "__main__":
    main(build, __file__)
