"""A clone has the bytes that were committed, whatever a machine's git does to line ends."""

from pathlib import Path

import pytest
from commands import LVAE
from fixture_checkout import committed, copy_checkout, git

from repro.store import Store
from repro.store.places import ROOT

RECORD = f"results/reduced/{LVAE}"
COPIED = (".gitattributes", "run_all.sh", "tables", RECORD)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository of some of this checkout's files, and of a record."""
    return committed(copy_checkout(tmp_path / "origin", COPIED))


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.autocrlf=input", "core.eol=crlf"])
def test_a_clone_has_the_committed_bytes(origin, tmp_path, setting):
    git(tmp_path, "clone", "--config", setting, "origin", "clone")
    paths = [p.relative_to(origin) for p in origin.rglob("*") if p.is_file()]
    ours = [p for p in paths if p.parts[0] != ".git"]
    changed = [p for p in ours if (tmp_path / "clone" / p).read_bytes() != (ROOT / p).read_bytes()]
    assert (changed, len(ours) > 10) == ([], True)
    Store(tmp_path / "clone" / "results").record("reduced", LVAE).verify()
