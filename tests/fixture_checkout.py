"""Copies of this checkout in which a test may train, write and patch; and repositories."""

import os
import shutil
import subprocess
from pathlib import Path

from repro.store.places import ROOT


def copy_checkout(root: Path, names: tuple[str, ...]) -> Path:
    """Files and folders of this checkout in a new folder, without what Python compiled."""
    root.mkdir()
    for name in names:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, root / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, root / name)
    return root


def git(folder: Path, *arguments: str) -> str:
    """What git says, without the settings of whoever runs the tests."""
    who = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    quiet = dict.fromkeys(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"), os.devnull)
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **quiet, **dict.fromkeys(who, "x@y.z")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def committed(root: Path) -> Path:
    """A repository of all that is in a folder, with one commit."""
    for command in (("init",), ("add", "."), ("commit", "-m", "x")):
        git(root, *command)
    return root
