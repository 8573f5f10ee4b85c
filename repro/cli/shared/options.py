"""The program that commands join, and the options that several of them share."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from repro.errors import UsageError
from repro.plan.profiles import PROFILES, Profile, profile
from repro.store import Store
from repro.store.places import NAMED
from repro.store.reading import held, named_or_held

if TYPE_CHECKING:
    from repro.machine.work import Options

Command = TypeVar("Command", bound=Callable[..., Any])

app = typer.Typer(
    name="repro",
    help="A replication of Ladder Variational Autoencoders (Sønderby et al., 2016).",
    epilog="Exit codes: 0 done; 1 a check failed; 2 wrong usage; 3 data, record or environment"
    " error; 4 a Run failed or diverged; 130 interrupted; 141 the pipe it wrote to was closed.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
_NAMES = ", ".join(PROFILES)


def command(*examples: str, name: str | None = None) -> Callable[[Command], Command]:
    """Makes a function a command, of its own name unless another is given."""
    return app.command(name, epilog="\n\n".join(("Examples:", *(f"  {e}" for e in examples))))


def given(text: str, metavar: str | None = None, **more: Any) -> Any:
    """An option whose help says what holds where it is left out."""
    return typer.Option(help=text, metavar=metavar, show_default=False, **more)


def flag(name: str, text: str) -> Any:
    """An option without a value, and without its opposite."""
    return typer.Option(name, help=text)


ProfileToTrain = Annotated[
    str | None, given(f"{_NAMES}. Default: paper with a CUDA device, else quick.", "P")
]
ProfileToRead = Annotated[
    str | None, given(f"{_NAMES}. Default: the fullest with the 5-layer LVAE.", "P")
]
ProfileToShow = Annotated[str | None, given(f"{_NAMES}. Default: as said above.", "P")]
StoreToRead = Annotated[
    str | None,
    given(
        "runs, results or a folder. Default: runs where it holds the profile, else results.", "S"
    ),
]
StoreTrained = Annotated[str, given("runs, results or a folder. Default: runs.", "S")]
# That a path cannot be read is an error of what reads it, and says so there.
OutDir = Annotated[Path | None, given("Default: a folder of the store.", "DIR", readable=False)]
DataDir = Annotated[
    Path | None,
    given("Folder of the data sets. Default: $REPRO_DATA, else data/.", "D", readable=False),
]
AsJson = Annotated[bool, flag("--json", "Print JSON on stdout.")]
Threads = Annotated[int | None, given("CPU threads.", "N", min=1, max=1024)]
Rows = Annotated[
    int | None,
    given("Rows of a scoring chunk, images times samples: bounds its memory.", "N", min=64),
]
Precision = StrEnum("Precision", ["float32", "tf32", "bfloat16"])
PrecisionOption = Annotated[
    Precision | None,
    given(
        "How matrix products are rounded. Default: tf32 on CUDA, else float32. bfloat16: to train,"
        " where the processor has units for it."
    ),
]


def has_cuda() -> bool:
    """Whether training would find a CUDA device; asks torch only where a driver is installed."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


def scoring_options(
    data_dir: Path | None, threads: int | None, precision: Precision | None, rows: int | None = None
) -> Options:
    """Of a command that trains nothing. Raises UsageError for bfloat16."""
    from repro.machine.work import Options

    if precision is Precision.bfloat16:
        raise UsageError("--precision bfloat16: scoring is in float32 or tf32: choose one of them")
    asked = precision and precision.value
    return Options(data_dir, threads=threads, precision=asked, scoring_rows=rows)


def profile_to_train(name: str | None) -> Profile:
    """The named profile, or what this machine can afford. Raises UsageError."""
    return profile(name or ("paper" if has_cuda() else "quick"))


def to_read(store: str | None, profile_name: str | None) -> tuple[Store, Profile]:
    """As `named_or_held`; where nothing is held, the profile that would be trained."""
    opened, p = named_or_held(store, profile_name)
    return opened, p or profile_to_train(None)


def holding(run: str, profile_name: str | None, store: str | None) -> tuple[Store, Profile]:
    """Where the Run is: the first of the stores asked for, and of its profiles, that has it.

    Raises ReproError.
    """
    opened, p = to_read(store, profile_name)
    for each in [opened] if store is not None else [opened, *map(Store, NAMED.values())]:
        for name in [p.name] if profile_name is not None else held(each):
            if each.has(name, run):
                return each, profile(name)
    opened.record(p.name, run)  # says what is missing, and where
    return opened, p
