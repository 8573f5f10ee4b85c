"""No pickle is ever loaded, and no archive extracted: no code of the project asks for either."""

import ast
from collections.abc import Iterator

import pytest

from repro.store.places import ROOT

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
