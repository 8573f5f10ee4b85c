"""The commit of a record is this project's own, or unknown: never that of another repository.

And a clone has the bytes that were committed, whatever a machine's git does to line ends.
"""

import os
import shutil
from pathlib import Path

import pytest
from commands import LVAE
from fixture_checkout import committed, copy_checkout, git

from repro.machine.commit import STAMP, WATCHED, commit, main, stamp
from repro.store import Store
from repro.store.places import ROOT

UNKNOWN = (None, None)
OURS = ("repro/__init__.py", "tables/t.py", "figures/f.py", "README.md", *WATCHED[3:])
IGNORED = f"/repro/{STAMP}\n"


def unpacked(root: Path) -> Path:
    """The project's files, as from an archive."""
    for name in OURS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / ".gitignore").write_text(IGNORED)
    return root


def head(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A clean clone of the project."""
    return committed(unpacked(tmp_path / "own"))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A repository of something else."""
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "other.txt").write_text("tracked\n")
    return committed(tmp_path / "foreign")


def test_a_clone_of_any_kind_knows_its_commit(own, foreign):
    beside = own.parent
    git(own, "commit", "--allow-empty", "-m", "later")
    git(own, "worktree", "add", "../tree")
    git(beside, "clone", "--depth", "1", own.as_uri(), "shallow")
    git(foreign, "submodule", "add", str(own), "part")
    (beside / "link").symlink_to(own)
    assert commit(beside / "link") == (head(own), False)
    for root in (own, beside / "tree", beside / "shallow", foreign / "part"):
        assert commit(root) == (head(root), False)
        (root / "README.md").write_text("results redrawn")
        assert commit(root) == (head(root), False)
        (root / "repro" / "new.py").write_text("")
        git(root, "config", "status.showUntrackedFiles", "no")
        assert commit(root) == (head(root), True)


@pytest.mark.parametrize("place", ["", "below", "below/it", ".git/below"])
def test_an_archive_unpacked_in_another_repository_is_of_no_known_commit(foreign, place):
    """Ignored there, untracked, staged or committed, but where HEAD holds these very files."""
    root = unpacked(foreign / place)
    for ignored in ("*\n", IGNORED):
        (foreign / ".gitignore").write_text(ignored)
        assert commit(root) == UNKNOWN
    git(foreign, "add", ".")
    assert commit(root) == UNKNOWN
    git(foreign, "commit", "--allow-empty", "-m", "with a copy of the project")
    assert commit(root) == (UNKNOWN if place else (head(foreign), False))


@pytest.mark.parametrize("kind", [[], ["init"], ["init", "--bare"]])
def test_an_archive_alone_is_of_no_known_commit(tmp_path, kind):
    root = unpacked(tmp_path / "alone")
    if kind:
        git(root, *kind)
    assert commit(root) == UNKNOWN


def test_no_variable_of_git_makes_it_another_commit(own, foreign, monkeypatch):
    expected = {own: (head(own), False), unpacked(foreign.parent / "alone"): UNKNOWN}
    git_dir, tree = {"GIT_DIR": f"{foreign}/.git"}, {"GIT_WORK_TREE": str(foreign)}
    setting = {"GIT_CONFIG_KEY_0": "core.worktree", "GIT_CONFIG_VALUE_0": str(foreign)}
    for variables in (
        *(git_dir, tree, git_dir | tree, setting | {"GIT_CONFIG_COUNT": "1"}),
        {"GIT_INDEX_FILE": f"{foreign}/.git/index"},
        {"GIT_OBJECT_DIRECTORY": f"{foreign}/.git/objects"},
        {"GIT_COMMON_DIR": f"{foreign}/.git"},
        {"GIT_CEILING_DIRECTORIES": str(foreign.parent)},
        {"GIT_NAMESPACE": "other"},
    ):
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert {root: commit(root) for root in expected} == expected, variables


@pytest.mark.parametrize("fault", [None, "exit 128", "echo nonsense", "printf '\\n\\n'"])
def test_where_git_cannot_tell_the_commit_is_unknown(own, tmp_path, monkeypatch, fault):
    """None: git is not installed; 128: the folder belongs to somebody else."""
    (tmp_path / "bin").mkdir()
    if fault:
        (tmp_path / "bin" / "git").write_text(f"#!/bin/sh\n{fault}\n")
        (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert commit(own) == UNKNOWN


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_a_folder_of_somebody_else_is_of_no_known_commit(own, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for path in (own, own / ".git"):
        os.chown(path, 12345, 12345)
    assert commit(own) == UNKNOWN


def image(own: Path) -> Path:
    """A stamped clone's files without `.git`."""
    assert main(own) == 0
    ignore = shutil.ignore_patterns(".git")
    return Path(shutil.copytree(own, own.parent / "image", ignore=ignore))


def test_a_build_carries_the_commit_that_it_was_stamped_with(own, foreign):
    """Another repository around it does not count; in a clone git counts before the stamp."""
    root = image(own)
    for place in (root, shutil.copytree(root, foreign / "image")):
        assert commit(place) == (head(own), False)
        (place / "repro" / "__init__.py").write_text("edited")
        assert commit(place) == (head(own), True)
    git(own, "commit", "--allow-empty", "-m", "later")
    assert commit(own) == (head(own), False)


def test_a_stamp_that_is_none_is_of_no_known_commit_and_what_is_of_none_gets_none(own):
    root = image(own)
    path = root / "repro" / STAMP
    stamped = path.read_text()
    for content in ("", "\n", "0123abc\n", "a b c\n", "é"):
        path.write_text(content, encoding="utf-8")
        assert commit(root) == UNKNOWN
    for found in (UNKNOWN, ("0123abc", True), ("0123abc", None)):
        path.write_text(stamped)
        stamp(root / "repro", found)
        assert commit(root) == UNKNOWN


def test_stamping_says_why_it_cannot(own, tmp_path, capsys):
    (own / "repro" / "__init__.py").write_text("edited")
    faults = {own: "uncommitted changes", unpacked(tmp_path / "a"): "run it in a clone"}
    for root, said in faults.items():
        assert main(root) == 3
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.autocrlf=input", "core.eol=crlf"])
def test_a_clone_has_the_committed_bytes(tmp_path, setting):
    record = f"results/reduced/{LVAE}"
    copied = (".gitattributes", "run_all.sh", "tables", record)
    origin = copy_checkout(tmp_path / "origin", copied)
    ours = [p.relative_to(origin) for p in origin.rglob("*") if p.is_file()]
    committed(origin)
    git(tmp_path, "clone", "--config", setting, "origin", "clone")
    changed = [p for p in ours if (tmp_path / "clone" / p).read_bytes() != (ROOT / p).read_bytes()]
    assert (changed, len(ours) > 10) == ([], True)
    Store(tmp_path / "clone" / "results").record("reduced", LVAE).verify()
