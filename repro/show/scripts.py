"""The scripts of `tables/` and `figures/`: found by listing the folder, loaded by their path.

They are no package, as an installed one called `tables` would shadow PyTables.
"""

import argparse
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from repro.errors import MachineError
from repro.show.output import ended
from repro.store import Store
from repro.store.places import SCRIPTS
from repro.store.reading import named_or_held

# What every script has: a function (store, profile); of a figure also what it must hold.
ENTRY = {"tables": ("build",), "figures": ("draw", "NEEDS")}


def names(folder: str) -> list[str]:
    """Every script of a folder, the paper's own in their order first. Raises MachineError."""
    place = SCRIPTS / folder
    found = [path.stem for path in place.glob("*.py")]
    if not found:
        raise MachineError(f"{place}: not found: run from a checkout, or install its wheel")
    return sorted(found, key=_in_order)


def _in_order(name: str) -> tuple[bool, int, str]:
    number = re.search(r"\d+$", name)
    return number is None, int(number[0]) if number else 0, name


def load(folder: str, name: str) -> ModuleType:
    """A script as a module. Raises MachineError where it is missing or is none of this folder."""
    path, key = SCRIPTS / folder / f"{name}.py", f"repro.{folder}.{name}"
    if key in sys.modules:
        return sys.modules[key]
    if not path.is_file():
        raise MachineError(f"{path}: not found: run from a checkout, or install its wheel")
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None, "a path that ends with .py has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if without := [name for name in ENTRY[folder] if not hasattr(module, name)]:
        raise MachineError(
            f"{path}: has no {', no '.join(without)}: give it one, or move it out of {folder}/"
        )
    sys.modules[key] = module
    return module


def main(script: str, write: Callable[[Store, str, Path], str]) -> None:
    """The command line of one script, given its file; an error ends the process with its code.

    `write` puts what a profile of a store shows at a stem, and returns what to print.
    """
    path = Path(script)
    folder, name = path.parent.name, path.stem
    parser = argparse.ArgumentParser(
        description=f"Make {name} from saved records.",
        epilog=f"example: python {folder}/{name}.py --store results --profile quick",
    )
    parser.add_argument("--store", help="runs, results or a path (default: runs, else results)")
    parser.add_argument("--profile", help="default: the fullest with the 5-layer LVAE")
    parser.add_argument("--out", type=Path, help=f"folder (default: <store>/<profile>/{folder})")
    args = parser.parse_args()

    def make() -> None:
        store, p = named_or_held(args.store, args.profile)
        profile = p.name if p else "quick"
        store.some_records(profile)
        print(write(store, profile, (args.out or store.folder(profile, folder)) / name))

    if code := ended(make):
        sys.exit(code)
