"""What lies in a data folder under another name, or elsewhere than it is looked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.data.sources import DataSet, File

COPY = re.compile(r"\(\d+\)|[^a-z0-9]")  # marks of a second download, and how words are parted


def hint(data_set: DataSet, folder: Path) -> str:
    """Of the first missing file that seems to be there, after a semicolon; else nothing."""
    return next((h for file in data_set.missing(folder) if (h := hint_of(file, folder))), "")


def hint_of(file: File, folder: Path) -> str:
    """Where a file that is missing in `folder` seems to lie, and what to do, after a semicolon."""
    found = next((p for p in _near(folder) if _plain(file.name) in _plain(p.name)), None)
    if found is None:
        return ""
    free = file.published if (folder / file.name).exists() else file.name  # read in either packing
    return f"; seen {found}: move it to {folder / free}"


def _plain(name: str) -> str:
    return COPY.sub("", name.lower())


def _near(folder: Path) -> Iterator[Path]:
    """Files of the data folder itself, and of the data set's, however its name is written."""
    top = folder.parent
    named = [p for p in (top, *_within(top)) if p.name.lower() == folder.name.lower()]
    for place in (top, *named):
        yield from filter(os.path.isfile, _within(place))
    for place in named:
        inner = [p for sub in filter(os.path.isdir, _within(place)) for p in _within(sub)]
        deeper = [p for sub in filter(os.path.isdir, inner) for p in _within(sub)]
        yield from filter(os.path.isfile, (*inner, *deeper))  # what may not be looked at is none


def _within(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:  # absent, no folder, or not ours to read
        return []
