"""Copies of this checkout in which a test may train, write and patch."""

from __future__ import annotations

import shutil
from pathlib import Path

from repro.store.places import ROOT


def copy_checkout(root: Path, names: tuple[str, ...]) -> Path:
    """Files and folders of this checkout in a new folder, without what Python compiled."""
    root.mkdir()
    for name in names:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, root / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, root / name)
    return root
