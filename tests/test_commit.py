"""The commit of a record is this project's own, or unknown: never that of another repository."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fixture_checkout import committed, git

from repro.machine.commit import STAMP, WATCHED, commit, main, stamp

UNKNOWN = (None, None)
OURS = {"repro/__init__.py": "ours", "tables/t.py": "", "figures/f.py": "", "README.md": ""}
OURS[".gitignore"] = f"/repro/{STAMP}\n"


def unpacked(root: Path) -> Path:
    """The project's files, as from an archive."""
    for name in (*OURS, *WATCHED[3:]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(OURS.get(name, ""))
    return root


def begun(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "other.txt").write_text("tracked\n")
    return committed(root)


def head(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A clean clone of the project."""
    return begun(unpacked(tmp_path / "own"))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A repository of something else."""
    return begun(tmp_path / "foreign")


def shallow(own: Path) -> Path:
    git(own, "commit", "--allow-empty", "-m", "later")
    git(own.parent, "clone", "--depth", "1", own.as_uri(), "shallow")
    return own.parent / "shallow"


def worktree(own: Path) -> Path:
    git(own, "worktree", "add", "../tree")
    return own.parent / "tree"


def submodule(own: Path) -> Path:
    top = begun(own.parent / "top")
    git(top, "submodule", "add", str(own), "part")
    return top / "part"


def through_a_link(own: Path) -> Path:
    (own.parent / "link").symlink_to(own)
    return own.parent / "link"


@pytest.mark.parametrize("made", [lambda own: own, shallow, worktree, submodule, through_a_link])
def test_a_clone_of_any_kind_knows_its_commit(own, made: Callable[[Path], Path]):
    root = made(own)
    assert commit(root) == (head(root), False)
    (root / "README.md").write_text("results redrawn")
    assert commit(root) == (head(root), False)
    (root / "repro" / "new.py").write_text("")
    git(root, "config", "status.showUntrackedFiles", "no")
    assert commit(root) == (head(root), True)


def ignored(root: Path) -> None:
    (root / ".gitignore").write_text("*\n")


def staged(root: Path) -> None:
    git(root, "add", ".")


def vendored(root: Path) -> None:
    git(root, "add", ".")
    git(root, "commit", "--allow-empty", "-m", "with a copy of the project")


@pytest.mark.parametrize("place", ["", "below", "below/it", ".git/below"])
@pytest.mark.parametrize("then", [lambda _: None, ignored, staged, vendored])
def test_an_archive_unpacked_in_another_repository_is_of_no_known_commit(foreign, place, then):
    root = unpacked(foreign / place)
    then(foreign)
    its_own = then is vendored and not place  # HEAD holds the files, and nothing but them is meant
    assert commit(root) == ((head(foreign), False) if its_own else UNKNOWN)


@pytest.mark.parametrize("kind", ["bare", "own"])
def test_an_archive_alone_is_of_no_known_commit(tmp_path, kind):
    root = unpacked(tmp_path / "alone")
    git(root, "init", *(["--bare"] if kind == "bare" else []))
    assert commit(root) == UNKNOWN


def elsewhere(foreign: Path) -> list[dict[str, str]]:
    directory = {"GIT_DIR": str(foreign / ".git")}
    option = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.worktree"}
    return [
        directory,
        {**directory, "GIT_WORK_TREE": str(foreign)},
        {"GIT_WORK_TREE": str(foreign)},
        {"GIT_INDEX_FILE": str(foreign / ".git" / "index")},
        {"GIT_OBJECT_DIRECTORY": str(foreign / ".git" / "objects")},
        {"GIT_COMMON_DIR": str(foreign / ".git")},
        {"GIT_CEILING_DIRECTORIES": str(foreign.parent)},
        {"GIT_NAMESPACE": "other"},
        {**option, "GIT_CONFIG_VALUE_0": str(foreign)},
    ]


def test_no_variable_of_git_makes_it_another_commit(own, foreign, monkeypatch):
    alone = unpacked(foreign.parent / "alone")
    expected = {own: (head(own), False), alone: UNKNOWN}
    for variables in elsewhere(foreign):
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


def test_a_build_carries_the_commit_that_it_was_stamped_with(own):
    root = image(own)
    assert commit(root) == (head(own), False)
    (root / "repro" / "__init__.py").write_text("edited")
    assert commit(root) == (head(own), True)


def test_another_repository_around_an_image_does_not_count(own, foreign):
    inside = shutil.copytree(image(own), foreign / "image")
    assert commit(inside) == (head(own), False)


def test_git_counts_before_a_stamp(own):
    image(own)
    git(own, "commit", "--allow-empty", "-m", "later")
    assert commit(own) == (head(own), False)


@pytest.mark.parametrize("content", ["", "\n", "0123abc\n", "a b c\n", "é"])
def test_a_stamp_that_is_none_is_of_no_known_commit(tmp_path, content):
    root = unpacked(tmp_path / "alone")
    (root / "repro" / STAMP).write_text(content, encoding="utf-8")
    assert commit(root) == UNKNOWN


@pytest.mark.parametrize("found", [UNKNOWN, ("0123abc", True), ("0123abc", None)])
def test_what_is_of_no_commit_gets_no_stamp_and_loses_an_older_one(own, found):
    root = image(own)
    stamp(root / "repro", found)
    assert commit(root) == UNKNOWN


def test_stamping_says_why_it_cannot(own, tmp_path, capsys):
    (own / "repro" / "__init__.py").write_text("edited")
    assert main(own) == 3
    assert "uncommitted changes" in capsys.readouterr().err
    assert main(unpacked(tmp_path / "alone")) == 3
    assert "run it in a clone" in capsys.readouterr().err
