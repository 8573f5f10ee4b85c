"""Where commands and scripts read of which nobody says the store or the profile."""

from repro.plan.profiles import BEST_FIRST, Profile, profile, runs
from repro.store import RUN_ID, Store, open_store
from repro.store.files import names_in
from repro.store.places import NAMED
from repro.store.sealed import FINAL


def held(store: Store) -> list[str]:
    """The profiles a store has records of, fullest first; before the others those with a Run of
    Table 1's own row, and `smoke`, which shows nothing, last. Raises RecordError where a folder
    cannot be read.
    """

    def last(name: str) -> bool:
        stems = (run.id.rpartition("-s")[0] for run in runs(profile(name), ["table1"]))
        own = (next(store.folder(name).glob(f"{stem}-s*/{FINAL}"), None) for stem in stems)
        return name == "smoke" or not any(own)

    def any_record(name: str) -> bool:
        found = filter(RUN_ID.fullmatch, names_in(store.folder(name)))
        return any(store.has(name, run_id) for run_id in found)

    return sorted(filter(any_record, BEST_FIRST), key=last)


def named_or_held(store: str | None, profile_name: str | None) -> tuple[Store, Profile | None]:
    """The store and profile of these names; by default the first held profile of `runs`, else
    `results`. None: nothing is held.

    Raises UsageError for an unknown profile, RecordError for a store that does not exist.
    """
    if profile_name is not None:
        p = profile(profile_name)
        return open_store(store, p.name), p
    candidates = [open_store(n, "") for n in ((store,) if store is not None else NAMED)]
    for candidate in candidates:
        if names := held(candidate):
            return candidate, profile(names[0])
    return candidates[0], None
