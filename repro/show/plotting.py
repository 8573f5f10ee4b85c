"""Imports matplotlib as it comes: without `MPLBACKEND` and any `matplotlibrc` of the user's.

Imported before matplotlib by whatever draws: a figure is a function of records and versions alone,
and a setting that matplotlib cannot read would end its import.
"""

import contextlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

BACKEND = "MPLBACKEND"


def import_as_it_comes() -> Any:
    """matplotlib reads the `matplotlibrc` of the current folder before any other: here its own."""
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None, "a requirement of this project"
    assert spec.origin is not None
    backend = os.environ.pop(BACKEND, None)
    try:
        with contextlib.chdir(Path(spec.origin).parent / "mpl-data"):
            return importlib.import_module("matplotlib")
    finally:
        if backend is not None:
            os.environ[BACKEND] = backend


matplotlib = sys.modules.get("matplotlib") or import_as_it_comes()
