"""No pickle is ever loaded, and no archive extracted: no code of the project asks for either."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.store.places import ROOT

UNPICKLE = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
EXTRACT = {"tarfile", "patoolib", "py7zr", "rarfile"}
MODULES = UNPICKLE | EXTRACT
CALLS = {
    *("read_pickle", "to_pickle", "unpickle", "load_module", "eval", "exec"),
    *("extract", "extractall", "unpack_archive", "Unzip", "Untar", "Decompress"),
}
HARMLESS = {"eval"}  # as a method: of a torch module
FOLDERS = ("repro", "tables", "figures", "benchmarks")


def offences(source: str) -> Iterator[str]:
    """What a file says that could load a pickle, run a string or extract an archive."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            yield from (n for n in names if n.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES:
                yield str(node.module)
            yield from (alias.name for alias in node.names if alias.name in CALLS)
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


def sources() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_no_code_loads_a_pickle_or_extracts_an_archive() -> None:
    found = {str(p.relative_to(ROOT)): [*offences(p.read_text("utf-8"))] for p in sources()}
    assert len(found) > 100
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("from pooch import Unzip", "Unzip"),
        ("import tarfile", "tarfile"),
        ("torch.load(path)", "torch.load"),
        ("torch.load(path, weights_only=False)", "torch.load"),
        ("np.load(path)", "np.load"),
        ("np.load(path, allow_pickle=True)", "np.load"),
        ("numpy.load(path, 'r', True)", "np.load"),
        ("f(allow_pickle=True)", "allow_pickle=True"),
        ("pd.read_pickle(path)", "read_pickle"),
        ("archive.extractall(folder)", "extractall"),
        ("shutil.unpack_archive(path)", "unpack_archive"),
        ("pooch.retrieve(url, None, processor=pooch.Untar())", "Untar"),
        ("eval(text)", "eval"),
    ],
)
def test_the_rule_catches_an_offender(source: str, offence: str) -> None:
    assert offence in offences(source)


@pytest.mark.parametrize(
    "source",
    [
        "np.load(content, allow_pickle=False)",
        "torch.load(path, weights_only=True)",
        "safetensors.torch.load(content)",
        "model.eval()",
        "archive.open(info)",
        "json.load(f)",
    ],
)
def test_the_rule_allows_what_loads_no_pickle(source: str) -> None:
    assert [*offences(source)] == []
