"""`repro status`: what is training, from another terminal. Reads only, and takes no lock."""

import contextlib
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from rich.live import Live
from rich.text import Text

from repro.cli.shared import options
from repro.cli.shared.options import AsJson, ProfileToShow, command, flag, to_read
from repro.cli.shared.terminal import print_json, screen
from repro.errors import UsageError
from repro.machine import cost as predict
from repro.machine.watch.pace import in_words, place, said
from repro.plan.profiles import BEST_FIRST, Profile, known_run, profile, runs
from repro.plan.run import Run
from repro.show.words import trains
from repro.store import Store, open_store
from repro.store.states import FINISHED, begun, recorded_state
from repro.store.status import ALIVE, Status, read_all

REFRESH = 2.0  # seconds
QUIET = 60.0  # seconds after which it is said when a stack was last heard from


@command("repro status", "repro status --watch", "repro status --profile reduced --json")
def status(
    profile: ProfileToShow = None,
    store: options.StoreTrained = "runs",
    watch: Annotated[bool, flag("--watch", "Show it anew every 2 seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is training, and how far it is; what was interrupted, and how it continues.

    Without --profile: what is begun, else the fullest profile that the store holds. It disturbs no
    training, and needs no right to write. docs/commands.md lists the keys of --json.
    """
    if watch and (as_json or not sys.stdout.isatty()):
        raise UsageError("--watch is for people at a terminal: leave it out")
    if as_json:
        opened, profiles = chosen(store, profile)
        content = [_profile(opened, p) for p in profiles]
        print_json({"store": str(opened.root), "profiles": content})
    elif watch:
        with contextlib.suppress(KeyboardInterrupt):
            _keep_showing(store, profile)
    else:
        screen().print(as_text(*chosen(store, profile)), soft_wrap=True)


def _keep_showing(store: str, name: str | None) -> None:
    with Live(console=screen(), auto_refresh=False) as live:
        while True:
            live.update(as_text(*chosen(store, name)), refresh=True)
            time.sleep(REFRESH)


def chosen(store: str, name: str | None) -> tuple[Store, list[Profile]]:
    """The store, and the profiles to speak of. Raises UsageError, RecordError."""
    opened = open_store(store, name or "")
    going = [n for n in BEST_FIRST if name is None and unfinished(opened, n)]
    return opened, [profile(n) for n in going] or [to_read(store, name)[1]]


def unfinished(store: Store, name: str) -> list[Status]:
    """The stacks of a profile that are not recorded to the last Run."""
    found = read_all(store.folder(name))
    return [s for s in found if not all(store.has(name, run_id) for run_id in s.runs)]


def _profile(store: Store, p: Profile) -> dict[str, Any]:
    now, found, failures = time.time(), unfinished(store, p.name), store.failures(p.name)
    own = store.name == "runs"  # where `repro train` goes on
    stacks = [_stack(s, now, p, failures, own) for s in found]
    busy = {i: s["state"] in ALIVE for s in stacks for i in s["runs"]}
    runs_of = {run.id: run for run in (*runs(p), *_more(store, p, busy))}
    become = {i: _become(store, p, run, busy.get(i)) for i, run in runs_of.items()}
    left = [s["seconds_left"] for s in stacks if s["seconds_left"] is not None]
    ahead = [run for i, run in runs_of.items() if become[i] in ("missing", "interrupted")]
    saved = begun(store, p.name)
    predicted = sum(predict.seconds([run], saved) for run in ahead)
    return {
        "profile": p.name,
        "stacks": sorted(stacks, key=lambda s: s["state"] not in ALIVE),
        "runs": dict(sorted(Counter(become.values()).items())),
        "seconds_left": round(max(left), 1) if left else None,  # what trains now trains at once
        "predicted_seconds": round(predicted, 1),
    }


def _more(store: Store, p: Profile, busy: Iterable[str]) -> Iterator[Run]:
    """Runs that were asked for or recorded, as the profile has them where it knows them."""
    saved = {record.run.id: record.run for record in store.records(p.name)}
    for run_id in dict.fromkeys((*busy, *store.failures(p.name), *saved)):
        if run := known_run(run_id, p) or saved.get(run_id):
            yield run


def _become(store: Store, p: Profile, run: Run, alive: bool | None) -> str:
    """What became of a Run: what is recorded; else what its stack does, unless it failed."""
    found = recorded_state(store, p.name, run)
    if found in FINISHED or alive is None or (found == "failed" and not alive):
        return found
    return "training" if alive else "interrupted"


def _stack(
    s: Status, now: float, p: Profile, failures: Mapping[str, str], own: bool
) -> dict[str, Any]:
    state = s.state(now)
    alive = state in ALIVE
    return {
        "runs": list(s.runs),
        "state": state,
        "engine": s.engine,
        "epoch": s.epoch,
        "epochs": s.epochs,
        "step": s.step,
        "steps": s.steps,
        "saved_epochs": s.saved,
        "diverged": list(s.diverged),
        "note": s.note,
        "last": s.last,
        "images_per_second": s.images_per_second if alive else None,
        "seconds_left": s.seconds_left if alive else None,
        "heard_seconds": round(max(0.0, now - s.written), 1),
        "reason": None if alive else next((failures[i] for i in s.runs if i in failures), None),
        "command": None if alive or not own else _continuing(s, p),
    }


def _continuing(s: Status, p: Profile) -> str:
    """Trains these Runs, and so goes on with them; all of the profile where one is unknown."""
    where = f" --data-dir {shlex.quote(s.data_dir)}" if s.data_dir else ""
    return trains(s.runs if all(known_run(i, p) for i in s.runs) else (), p) + where


def as_text(store: Store, profiles: list[Profile]) -> Text:
    """For people: two or three lines a stack, none of them wider than it must be."""
    return Text("\n").join(line for p in profiles for line in _lines(_profile(store, p)))


def _lines(content: dict[str, Any]) -> Iterator[Text]:
    counts = ", ".join(f"{n} {state}" for state, n in content["runs"].items())
    yield Text(f"profile {content['profile']}: {counts}", "bold")
    for stack in content["stacks"]:
        yield from _stack_lines(stack)
    if not any(stack["state"] in ALIVE for stack in content["stacks"]):
        yield Text("nothing is training")
    left, ahead = content["seconds_left"], content["predicted_seconds"]
    parts = [
        f"{in_words(left)} of training" if left else "",
        f"about {in_words(ahead)} on this CPU for what is left" if ahead else "",
    ]
    if any(parts):
        yield Text(f"time left: {', then '.join(part for part in parts if part)}")


def _stack_lines(stack: dict[str, Any]) -> Iterator[Text]:
    first, *others = stack["runs"]
    more = f" and {len(others)} more" if others else ""
    style = "green" if stack["state"] in ALIVE else "yellow"
    yield Text.assemble(f"{first}{more}: ", (stack["state"], style), f" ({stack['engine']})")
    pace = said(stack["images_per_second"], stack["seconds_left"])
    heard = stack["heard_seconds"]
    parts = [
        place(stack["epoch"], stack["epochs"]),
        stack["note"],
        *(pace if stack["state"] == "training" else ()),
        f"{len(stack['diverged'])} diverged" if stack["diverged"] else "",
        f"last heard from {in_words(heard)} ago" if heard > QUIET else "",
    ]
    yield Text(f"  {', '.join(part for part in parts if part)}")
    if stack["reason"]:
        yield Text(f"  it failed: {stack['reason']}", "red")
    if stack["command"]:
        kept = stack["saved_epochs"]
        saved = "nothing saved; begin again" if kept is None else f"saved at {kept:.4g}; continue"
        yield Text(f"  {saved} with: {stack['command']}")
