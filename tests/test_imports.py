"""Imports run downward only: data floor, compute floor, presentation, command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.store import ROOT

DATA_FLOOR = {
    "errors",
    "places",
    "commit",
    "files",
    "plain",
    "conditions",
    "config",
    "experiments",
    "profiles",
    "seeds",
    "targets",
    "output",
    "sealed",
    "store",
    "status",
    "scripts",
    "measures",
    "needed",
}
COMPUTE = {
    *(
        "data",
        "distributions",
        "batch_norm",
        "bfloat16",
        "layers",
        "combinators",
        "hierarchy",
        "models",
        "objectives",
        "stack",
    ),
    *("streams", "log", "tasks", "train", "evaluate", "score", "ladder_score", "engine", "bench"),
    "api",
}
PRESENTATION = {
    *("claims", "verdicts", "compare", "check", "report"),
    *("tables", "figures"),
}
TOP = {"cli"}
TORCH = {"torch", "safetensors"}
MODELS_MAY_NOT = {"train", "evaluate", "engine", "store"}
TORCH_FREE = {"data"}  # numpy alone
# What commands read that only say what there is, or refuse what cannot be.
TORCH_FREE_FILES = {
    "engine/predict.py",
    "engine/toolchain.py",
    "engine/events.py",
    "engine/__init__.py",
}

REMEDY = {
    "floor": "pass the value in",
    "torch": "read the number from a record",
    "models": "move what they share to hierarchy.py, layers.py or distributions.py",
    "drawn": "scripts draw what the store and targets hold",
    "scripts": "these folders are scripts: move what is shared to repro/",
    "results": "presentation never computes: read a record of the store",
}


def sources() -> list[Path]:
    """Every file of the checkout that the rules speak of, relative to it."""
    folders = (ROOT / "repro", ROOT / "tables", ROOT / "figures")
    return sorted(p.relative_to(ROOT) for folder in folders for p in folder.rglob("*.py"))


def imported(path: Path, source: str) -> Iterator[str]:
    """Dotted names a file imports, wherever in the file; `from a import b` gives a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.parent.parts[: len(path.parent.parts) - node.level + 1]
            base = [*package] if node.level else []
            base += [node.module] if node.module else []
            yield from (".".join([*base, alias.name]) for alias in node.names)


def place(path: Path) -> tuple[str, str]:
    """The module or folder the rules speak of, and the file's short name."""
    parts = path.parts[1:] if path.parts[0] == "repro" else path.parts
    return parts[0].removesuffix(".py"), "/".join(parts)


def violations(path: Path, source: str) -> list[str]:
    """What a file imports against the rules, each with the remedy."""
    unit, short = place(path)
    found = dict.fromkeys(
        f"{short} may not import {name}: {REMEDY[why]}"
        for dotted in imported(path, source)
        if (name := _name(dotted)) and (why := _broken(unit, short, name, dotted))
    )
    return list(found)


def _name(dotted: str) -> str:
    head, _, rest = dotted.partition(".")
    return rest.partition(".")[0] if head == "repro" else head


def _broken(unit: str, short: str, name: str, dotted: str) -> str | None:
    ours = dotted.startswith("repro.")
    torch_free = unit in DATA_FLOOR | PRESENTATION | TORCH_FREE or short in TORCH_FREE_FILES
    if name in ("tables", "figures"):
        return "scripts"
    if name in TORCH:
        return "torch" if torch_free else None
    if not ours or unit in TOP or (name == unit and unit != "models"):
        return None
    if unit == "models" and name == "models" and short != "models/__init__.py":
        return "models"
    if unit == "models" and name in MODELS_MAY_NOT:
        return "floor"
    if unit in PRESENTATION and name in COMPUTE:
        return "results"
    if unit in ("tables", "figures"):
        return None if name in DATA_FLOOR else "drawn"
    return "floor" if _floor(name) > _floor(unit) else None


def _floor(name: str) -> int:
    floors = (DATA_FLOOR, COMPUTE, PRESENTATION, TOP)
    return next((i for i, floor in enumerate(floors) if name in floor), 0)


@pytest.mark.parametrize("path", sources(), ids=str)
def test_imports_run_downward(path: Path) -> None:
    assert violations(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sources(), ids=str)
def test_every_module_has_a_floor(path: Path) -> None:
    unit, _ = place(path)
    known = DATA_FLOOR | COMPUTE | PRESENTATION | TOP | {"__init__", "__main__"}
    assert unit in known, f"{path}: name its floor in {Path(__file__).name} and ARCHITECTURE.md"


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("repro/models/lvae.py", "from repro.train import loop", "models/lvae.py may not import"
         " train: pass the value in"),
        ("repro/models/lvae.py", "from repro.models import vae", "models/lvae.py may not import"
         " models: move what they share to hierarchy.py, layers.py or distributions.py"),
        ("repro/models/lvae.py", "from . import vae", "models/lvae.py may not import models:"
         " move what they share to hierarchy.py, layers.py or distributions.py"),
        ("repro/store.py", "def f():\n    import torch", "store.py may not import torch:"
         " read the number from a record"),
        ("repro/config.py", "import repro.layers", "config.py may not import layers:"
         " pass the value in"),
        ("repro/engine/local.py", "from repro import check", "engine/local.py may not import"
         " check: pass the value in"),
        ("repro/check.py", "from repro.evaluate import score", "check.py may not import evaluate:"
         " presentation never computes: read a record of the store"),
        ("figures/figure2.py", "from torch import nn", "figures/figure2.py may not import torch:"
         " read the number from a record"),
        ("tables/table1.py", "from repro.check import check", "tables/table1.py may not import"
         " check: scripts draw what the store and targets hold"),
        ("repro/cli/drawing.py", "import tables.table1", "cli/drawing.py may not import tables:"
         " these folders are scripts: move what is shared to repro/"),
    ],
)  # fmt: skip
def test_the_rules_catch_an_offender(path: str, source: str, complaint: str) -> None:
    assert violations(Path(path), source) == [complaint]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("repro/models/__init__.py", "from repro.models import lvae, vae"),
        ("repro/models/lvae.py", "from repro.layers import Net\nimport torch"),
        ("repro/check.py", "from repro.store import Store\nimport numpy"),
        ("repro/engine/local.py", "from repro.train import loop\nfrom repro.store import Store"),
        ("repro/cli/training.py", "from repro.engine import local\nfrom repro import check"),
        ("figures/figure2.py", "from style import save\nfrom repro.targets import TARGETS"),
    ],
)
def test_the_rules_allow_what_the_design_allows(path: str, source: str) -> None:
    assert violations(Path(path), source) == []
