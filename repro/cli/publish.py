"""`repro publish`: finished records become the published reference, and its pages show them."""

from pathlib import Path
from typing import Annotated

from repro.cli.shared.options import ProfileToRead, command, flag, given, to_read
from repro.cli.shared.terminal import say
from repro.errors import MachineError, RecordError, UsageError
from repro.plan.profiles import BEST_FIRST, Profile, known_run, runs
from repro.plan.profiles import profile as find_profile
from repro.store import Record, Snapshot, Store
from repro.store.files import write_file
from repro.store.locks import lock
from repro.store.places import CHECKOUT, NAMED, ROOT
from repro.store.reading import held
from repro.store.states import state

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


@command(
    "repro publish --profile quick",
    "repro publish --profile paper --weights mnist-lvae_bn_wu-L5-s1",
)
def publish(
    profile: ProfileToRead = None,
    weights: Annotated[
        list[str] | None, given("Also its final weights, for a few Runs.", "RUN")
    ] = None,
    allow_dirty: Annotated[
        bool, flag("--allow-dirty", "Also records made with uncommitted changes.")
    ] = False,
) -> None:
    """Copy finished records from runs/ to results/, and redraw tables, figures and pages there."""
    if not CHECKOUT:
        raise MachineError(f"{ROOT} is no checkout: only one has results/ and a README to publish")
    source, p = to_read("runs", profile)
    target = Store(NAMED["results"])
    chosen = with_weights(source, target, p, weights or [])
    copied = copy_finished(source, target, p, allow_dirty)
    say(f"{len(copied)} records of profile {p.name} published in {target.root}")
    from repro.machine.saved.weights import publish_weights

    for record in chosen:
        path = publish_weights(source, target, record)
        say(f"{path}: {path.stat().st_size / 1e6:.1f} MB of weights")
    missing = [run.id for run in runs(p) if state(target, p.name, run) == "missing"]
    if missing:
        say(f"still missing there: {', '.join(missing)}")
    draw(target, p)


def draw(target: Store, p: Profile) -> None:
    """Tables and figures of a profile, and the pages that show all of them."""
    from repro.show import gallery, layout

    for folder, render_all in (("tables", layout.render_all), ("figures", gallery.render_all)):
        place = target.folder(p.name, folder)
        say(f"{len(render_all(Snapshot(target.root), p.name, place))} files in {place}")
    if without := gallery.left_out(Snapshot(target.root), p.name):
        say(f"figures not drawn: {gallery.in_words(without)}")
    for path, text in pages(target).items():
        write_file(path, text.encode())
        say(f"{path}: results up to date")


def copy_finished(
    source: Store, target: Store, p: Profile, allow_dirty: bool = False
) -> list[Record]:
    """Copy every finished record; nothing is copied when one of them may not be published.

    Raises RecordError for a damaged record, one of another configuration, one of an unknown
    commit or with uncommitted changes (unless allowed), and when there is none. Raises
    MachineError when one of them is being written or published by another process.
    """
    records = source.records(p.name)
    if not records:
        raise RecordError(
            f"nothing to publish: no record in {source.folder(p.name)}:"
            f" `repro train --profile {p.name}` first"
        )
    for record in records:
        record.verify()
        if (asked := known_run(record.run.id, p)) is None or asked.hash != record.run.hash:
            raise RecordError(
                f"{record.folder / 'run.json'}: another configuration than profile {p.name}'s:"
                " move the record out of runs/"
            )
        _refuse_unknown(record, allow_dirty)
    with lock(source.folder(p.name), *(record.run.id for record in records)):
        for record in records:
            target.sweep(p.name, record.run.id)
        return [target.copy(record) for record in records]


def _refuse_unknown(record: Record, allow_dirty: bool) -> None:
    """Raises RecordError where nobody can say which code trained a Run or scored it again."""
    train = "move the record out of runs/ and train again"
    evaluate = "evaluate again, with --ais where it was given,"
    for remedy, env in ((train, record.env), (evaluate, record.scored_env)):
        if not env.get("commit"):
            raise RecordError(
                f"{record.folder}: made by code of unknown commit: {remedy} in a clone that"
                " git can read (`git status` there says why it cannot)"
            )
        if env.get("dirty") is not False and not allow_dirty:
            raise RecordError(
                f"{record.folder}: made with uncommitted changes: commit, {remedy} or"
                " publish with --allow-dirty"
            )


def with_weights(source: Store, target: Store, p: Profile, asked: list[str]) -> list[Record]:
    """The records whose weights are published: of the Runs asked for, and those that were before.

    Raises UsageError for a Run without a record and for more or larger models than are published;
    RecordError for one without weights, as when published ones would not be its new record's, and
    for published weights that have no record.
    """
    records = source.records(p.name)
    for name in set(asked) - {record.run.id for record in records}:
        raise UsageError(f"--weights {name}: no finished record in {source.root}: choose another")
    from repro.machine.saved.weights import published_path, refuse_publishing, weights_path

    def renewed(record: Record) -> bool:
        if not published_path(target, p.name, record.run.id).is_file():
            return False
        kept = weights_path(source.folder(p.name), record.run).is_file()
        before = target.find(p.name, record.run.id)
        return kept or before is None or before.sums != record.sums

    ids = {r.run.id for r in records}
    for path in target.root.glob("weights/*/*.safetensors"):
        here = path.parent.name == p.name and path.stem in ids
        if not (here or target.has(path.parent.name, path.stem)):
            raise RecordError(f"{path}: weights without a record in {target.root}: remove them")
    chosen = [r for r in records if r.run.id in asked or renewed(r)]
    refuse_publishing(source, target, chosen)
    return chosen


def pages(target: Store) -> dict[Path, str]:
    """What shows the published profiles, by its file. Raises RecordError, MachineError."""
    from repro.show import results, words
    from repro.show.card import card

    store, readme = Snapshot(target.root), ROOT / "README.md"
    leads = [find_profile(name) for name in held(store) if name != "smoke"]
    whole = sorted(words.in_full(leads), key=lambda p: BEST_FIRST.index(p.name))
    cards = {
        path.with_suffix(".md"): card(store.record(path.parent.name, path.stem))
        for path in sorted(target.root.glob("weights/*/*.safetensors"))
    }
    return {
        target.root / "README.md": results.page(store, *whole),
        readme: with_block(readme, results.summary(store, *leads)),
        **cards,
    }


def with_block(readme: Path, block: str) -> str:
    """The README's text with its results replaced. Raises MachineError without the markers."""
    text = readme.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise MachineError(f"{readme}: no {BEGIN} ... {END}: put the two markers back")
    return f"{head}{BEGIN}\n{block}\n{END}{tail}"
