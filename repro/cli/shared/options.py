"""Options that several commands share, and their defaults."""

from __future__ import annotations

import ctypes
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from repro.errors import UsageError
from repro.plan.profiles import PROFILES, Profile, profile, runs
from repro.plan.seeds import LARGEST, MOST, Seeds, parsed
from repro.store import Store, open_store
from repro.store.places import NAMED
from repro.store.sealed import FINAL

BEST_FIRST = tuple(reversed(PROFILES))  # paper, reduced, quick, smoke

_NAMES = ", ".join(PROFILES)


def given(text: str, *names: str, metavar: str | None = None, **more: Any) -> Any:
    """An option without a default of its own: its help says what holds where it is left out."""
    return typer.Option(*names, help=text, metavar=metavar, show_default=False, **more)


ProfileToTrain = Annotated[
    str | None,
    given(f"{_NAMES}. Default: paper with a CUDA device, else quick.", "--profile", metavar="P"),
]
ProfileToRead = Annotated[
    str | None,
    given(f"{_NAMES}. Default: the fullest with the 5-layer LVAE.", "--profile", metavar="P"),
]
StoreToRead = Annotated[
    str | None,
    given(
        "runs, results or a folder. Default: runs where it holds the profile, else results.",
        "--store",
        metavar="S",
    ),
]
SeedsToTrain = Annotated[
    str | None,
    given(
        f"Seeds 1..N of every Run, at most {MOST}; or a range A-B, or a list A,B.",
        "--seeds",
        metavar="N",
    ),
]
SeedToTrain = Annotated[
    int | None,
    given("Seed N alone of every Run.", "--seed", min=1, max=LARGEST, metavar="N"),
]
OutDir = Annotated[
    Path | None,
    given("Default: a folder of the store.", "--out", metavar="DIR", readable=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
DataDir = Annotated[
    Path | None,
    # That it cannot be read is an error of the data, said where they are.
    given(
        "Folder of the data sets. Default: $REPRO_DATA, else data/.",
        "--data-dir",
        metavar="D",
        readable=False,
    ),
]
Threads = Annotated[int | None, given("CPU threads.", min=1, metavar="N")]
Lanes = Annotated[
    int | None,
    given(
        "Runs in a stack at most: fewer make more stacks. Default: what memory holds.",
        "--lanes",
        min=1,
        metavar="N",
    ),
]


class Precision(StrEnum):
    float32 = "float32"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


PrecisionOption = Annotated[
    Precision | None,
    given(
        "How matrix products are rounded. Default: tf32 on CUDA, else float32. bfloat16: where"
        " the processor has units for it.",
        "--precision",
    ),
]
Rows = Annotated[
    int | None,
    given(
        "Rows of a scoring chunk, images times samples: bounds its memory.",
        "--rows",
        min=64,
        metavar="N",
    ),
]

CheckpointEvery = Annotated[
    str | None,
    given(
        "Save a checkpoint every 90s or 5m. Default: 30s on a CPU, 5m on CUDA.",
        "--checkpoint-every",
        metavar="T",
    ),
]


def examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\n\n".join(("Examples:", *(f"  {c}" for c in commands)))


def has_cuda() -> bool:
    """Whether training would find a CUDA device; asks torch only where a driver is installed."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


def scoring_precision(asked: Precision | None) -> str | None:
    """Of a command that trains nothing. Raises UsageError for bfloat16."""
    if asked is Precision.bfloat16:
        raise UsageError("--precision bfloat16: scoring is in float32 or tf32: choose one of them")
    return asked and asked.value


def profile_to_train(name: str | None) -> Profile:
    """The named profile, or what this machine can afford. Raises UsageError."""
    return profile(name or ("paper" if has_cuda() else "quick"))


def seeds_asked(seed: int | None, seeds: str | None) -> Seeds:
    """What --seed and --seeds ask for. Raises UsageError for both."""
    if seed is not None and seeds is not None:
        raise UsageError(f"--seed {seed} --seeds {seeds}: give one of them")
    if seeds is not None:
        return parsed(seeds)
    return None if seed is None else [seed]


def held(store: Store) -> list[str]:
    """The profiles a store has records of, fullest first; before the others those with a Run of
    Table 1's own row, and `smoke`, which shows nothing, last.
    """
    names = [p for p in BEST_FIRST if any(store.folder(p).glob(f"*/{FINAL}"))]
    return sorted(names, key=lambda name: name == "smoke" or not _has_own_row(store, name))


def _has_own_row(store: Store, name: str) -> bool:
    stems = (run.id.rpartition("-s")[0] for run in runs(profile(name), ["table1"]))
    return any(any(store.folder(name).glob(f"{stem}-s*/{FINAL}")) for stem in stems)


def to_read(store: str | None, profile_name: str | None) -> tuple[Store, Profile]:
    """Where a reading command reads: by default the first held profile of `runs`, else `results`.

    Raises UsageError for an unknown profile, RecordError for a store that does not exist.
    """
    if profile_name is not None:
        p = profile(profile_name)
        return open_store(store, p.name), p
    candidates = [open_store(store, "")] if store is not None else [Store(NAMED[n]) for n in NAMED]
    for candidate in candidates:
        if names := held(candidate):
            return candidate, profile(names[0])
    return candidates[0], profile_to_train(None)


def holding(run: str, profile_name: str | None, store: str | None) -> tuple[Store, Profile]:
    """Where the Run is: the first of the stores asked for, and of its profiles, that has it.

    Raises ReproError.
    """
    opened, p = to_read(store, profile_name)
    for each in [opened] if store is not None else [opened, *map(Store, NAMED.values())]:
        for name in [p.name] if profile_name is not None else held(each):
            if each.has(name, run):
                return each, profile(name)
    opened.record(p.name, run)
    return opened, p
