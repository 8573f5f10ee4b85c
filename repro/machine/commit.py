"""Which commit the code that runs here is of: what git says of a checkout, else a build's stamp.

A wheel is stamped by `setup.py`. `python -m repro.machine.commit` stamps a checkout, for an image
that gets its files without `.git`. Nothing but the standard library is imported.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

STAMP = "_commit.txt"  # in the package: the commit, and the digest of the sources it was put on
# Publishing redraws results/ and the README: they do not change what is computed.
WATCHED = ("repro", "tables", "figures", "pyproject.toml", "requirements.txt")


def commit(root: Path) -> tuple[str | None, bool | None]:
    """The commit of the `repro` in a folder, and whether files differ from it; None if unknown."""
    return _of_git(root) or _of_stamp(root / "repro") or (None, None)


def stamp(package: Path, found: tuple[str | None, bool | None]) -> None:
    """Put a commit on a copy of its sources; none where it is unknown or files differ from it."""
    head, dirty = found
    (package / STAMP).unlink(missing_ok=True)
    if head and dirty is False:
        (package / STAMP).write_text(f"{head} {_digest(package)}\n", encoding="ascii")


def _of_git(root: Path) -> tuple[str, bool] | None:
    """None unless the folder is the top of a repository whose HEAD holds these files.

    Unpacked inside another repository, it would answer with that one's commit.
    """
    held = [f"HEAD:{path}" for path in WATCHED]
    try:
        found = _git(root, "rev-parse", "HEAD", *held, "--show-toplevel")
        head, *_, top = found.removesuffix(b"\n").split(b"\n", len(WATCHED) + 1)
        if not Path(os.fsdecode(top)).samefile(root):
            return None
        changed = _git(root, "status", "--porcelain", "--untracked-files=normal", "--", *WATCHED)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return head.decode(), bool(changed)


def _git(root: Path, *arguments: str) -> bytes:
    """What git prints; its variables may name another repository, index or configuration."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, env=own, capture_output=True, check=True).stdout


def _of_stamp(package: Path) -> tuple[str, bool] | None:
    try:
        head, digest = (package / STAMP).read_text(encoding="ascii").split()
        return head, digest != _digest(package)
    except (OSError, ValueError):
        return None


def _digest(package: Path) -> str:
    """SHA-256 over name and content of every source file."""
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(package).as_posix()} {content}\n".encode())
    return total.hexdigest()


def main(root: Path) -> int:
    """Stamp a checkout; the exit status."""
    head, dirty = found = commit(root)
    if head is None or dirty:
        why = "uncommitted changes: commit them" if head else "no commit known: run it in a clone"
        print(f"{root}: {why}", file=sys.stderr)
        return 3
    stamp(root / "repro", found)
    print(f"{root / 'repro' / STAMP}: {head}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[2]))
