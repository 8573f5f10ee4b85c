"""Scripts of `tables/` and `figures/`, which are found by their path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load(folder: Path, name: str) -> ModuleType:
    """A script by its path: both folders have a `ladder`. It may import its folder's modules."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    key = f"{folder.name}.{name}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, folder / f"{name}.py")
        assert spec is not None, "a path that ends with .py has a loader"
        assert spec.loader is not None
        sys.modules[key] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[key])
    return sys.modules[key]
