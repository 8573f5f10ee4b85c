"""What the sources may not do: import upward, load a pickle, extract an archive."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.store.places import ROOT

ORDER = ("plan", "store", "data", "model", "train", "machine", "bench", "judge", "show", "cli")
FIRST = ("errors", "needed")  # modules of the package itself: below every folder
NO_TORCH = ("plan", "store", "data", "judge", "show", "tables", "figures", *FIRST)
# What commands read that only say what there is, or refuse what cannot be.
NO_TORCH_FILES = (
    *("machine/__init__.py", "machine/cost.py", "machine/toolchain.py", "machine/commit.py"),
    *("machine/watch/__init__.py", "machine/watch/events.py", "machine/watch/pace.py"),
)
# What presents reads records alone; scripts only format what the package made of them.
SEES = {
    **{folder: ORDER[:i] for i, folder in enumerate(ORDER)},
    "judge": ("plan", "store"),
    "show": ("plan", "store", "judge"),
    **dict.fromkeys(("tables", "figures"), ("plan", "store", "judge", "show")),
    "api": ORDER[: ORDER.index("bench")],
    "cli": (*ORDER, "api"),
    **dict.fromkeys((*FIRST, "__init__"), ()),
}
MODELS = ("vae", "lvae", "ladder_network")


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


def violations(path: Path, source: str) -> list[str]:
    """What a file imports against the rules of its folder, or of a module of the package itself."""
    short = path.as_posix().removeprefix("repro/")
    unit = short.partition("/")[0].removesuffix(".py")
    if unit not in SEES:
        return [f"{short}: give {unit} a place in ORDER and in ARCHITECTURE.md"]
    found = (_broken(unit, short, name) for name in imported(path, source))
    return [f"{short} may not import {name}" for name in dict.fromkeys(found) if name]


def _broken(unit: str, short: str, dotted: str) -> str | None:
    """What of an import is against the rules."""
    head, *rest = dotted.split(".")
    if head in ("tables", "figures"):
        return head
    if head in ("torch", "safetensors"):
        return head if unit in NO_TORCH or short in NO_TORCH_FILES else None
    if head != "repro" or not rest:
        return None
    name, *inner = rest
    if short.startswith("model/") and short[6:-3] in MODELS and inner[:1] and inner[0] in MODELS:
        return f"{name}.{inner[0]}"
    return None if name in (unit, *FIRST, *SEES[unit]) else name


@pytest.mark.parametrize("path", sources(), ids=str)
def test_imports_run_downward_and_join_at_most_twelve_parts_of_the_project(path: Path) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert violations(path, source) == []
    top = ast.parse(source).body
    names = [n.module or "" for n in top if isinstance(n, ast.ImportFrom)]
    names += [a.name for n in top if isinstance(n, ast.Import) for a in n.names]
    assert sum(name.partition(".")[0] == "repro" for name in names) <= 12


def test_no_folder_holds_more_than_fourteen_modules() -> None:
    modules = (p for p in sources() if p.name not in ("__init__.py", "__main__.py"))
    fullest, most = Counter(p.parent for p in modules if p.parts[0] == "repro").most_common(1)[0]
    assert most <= 14, f"{fullest} holds {most} modules"


@pytest.mark.parametrize(
    ("path", "source", "offender"),
    [
        ("repro/model/lvae.py", "from repro.train import loop", "train"),
        ("repro/model/lvae.py", "from . import vae", "model.vae"),
        ("repro/store/files.py", "def f():\n    import torch", "torch"),
        ("repro/plan/run.py", "import repro.model.layers", "model"),
        ("repro/errors.py", "from repro.plan.run import Run", "plan"),
        ("repro/machine/local.py", "from repro.judge import check", "judge"),
        ("repro/machine/cost.py", "import torch", "torch"),
        ("repro/judge/check.py", "from repro.train.evaluate import score", "train"),
        ("repro/api.py", "from repro.judge.check import check", "judge"),
        ("figures/figure2.py", "from torch import nn", "torch"),
        ("figures/figure2.py", "from repro.data import load", "data"),
        ("repro/cli/draw.py", "import tables.table1", "tables"),
    ],
)
def test_the_rules_catch_an_offender(path, source, offender):
    """What they allow is what the files import."""
    said = f"{path.removeprefix('repro/')} may not import {offender}"
    assert violations(Path(path), source) == [said]


MODULES = {
    *("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"),
    *("tarfile", "patoolib", "py7zr", "rarfile"),
}
CALLS = {
    *("read_pickle", "to_pickle", "unpickle", "load_module", "eval", "exec"),
    *("extract", "extractall", "unpack_archive", "Unzip", "Untar", "Decompress"),
}
HARMLESS = {"eval"}  # as a method: of a torch module


def offences(source: str) -> Iterator[str]:
    """What a file says that could load a pickle, run a string or extract an archive."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            yield from (n for n in names if n in CALLS or n.partition(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(call: ast.Call) -> Iterator[str]:
    where, _, name = ast.unparse(call.func).rpartition(".")
    if name in CALLS and not (where and name in HARMLESS):
        yield name
    given = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
    if given.get("allow_pickle"):
        yield "allow_pickle=True"
    if (where, name) == ("torch", "load") and given.get("weights_only") is not True:
        yield "torch.load"
    if (where, name) in {("np", "load"), ("numpy", "load")} and given.get("allow_pickle", 1):
        yield "np.load"


def test_no_code_loads_a_pickle_or_extracts_an_archive():
    folders = [ROOT / folder for folder in ("repro", "tables", "figures", "benchmarks")]
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    found = {str(path): [*offences(path.read_text("utf-8"))] for path in paths}
    assert len(found) > 100
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("from pooch import Unzip", "Unzip"),
        ("torch.load(path)", "torch.load"),
        ("torch.load(path, weights_only=False)", "torch.load"),
        ("np.load(path)", "np.load"),
        ("np.load(path, allow_pickle=True)", "np.load"),
        ("numpy.load(path, 'r', True)", "np.load"),
        ("f(allow_pickle=True)", "allow_pickle=True"),
        ("archive.extractall(folder)", "extractall"),
        ("pooch.retrieve(url, None, processor=pooch.Untar())", "Untar"),
        ("eval(text)", "eval"),
    ],
)
def test_the_rule_catches_an_offender(source, offence):
    assert offence in offences(source)


def test_the_rule_allows_what_loads_no_pickle():
    harmless = (
        *("np.load(content, allow_pickle=False)", "torch.load(path, weights_only=True)"),
        *("safetensors.torch.load(content)", "json.load(f)", "model.eval()", "archive.open(info)"),
    )
    assert [*offences("\n".join(harmless))] == []
