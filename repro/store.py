"""The only reader and writer of stores.

A store is a folder `<profile>/<run id>/` of records. A record is written whole: into a
temporary folder, then renamed; `final.json` holds the checksum of every other file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from repro.config import Run, from_dict, to_dict
from repro.errors import MachineError, RecordError

ROOT = Path(__file__).resolve().parents[1]
NAMED = {"runs": ROOT / "runs", "results": ROOT / "results"}
FINAL = "final.json"
DAMAGED_NPZ = (
    *(ValueError, OSError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
LARGEST_ARRAYS = 64 * 2**20  # bytes of one npz file, unpacked; a real one has less than 2 MiB

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Record:
    """What is saved of a Run: config, metrics, provenance. Arrays are read when asked for."""

    folder: Path
    profile: str
    run: Run
    env: dict[str, Any]
    final: dict[str, Any]

    @property
    def diverged(self) -> bool:
        return self.final.get("state") == "diverged"

    def curve(self) -> pd.DataFrame:
        """One row an epoch: epoch, beta, lr, L1_train_running, L1_train, L1_test, KL_1..KL_L."""
        try:
            return pd.read_csv(io.BytesIO(self._bytes("curve.csv")))
        except (ValueError, UnicodeDecodeError) as e:
            raise RecordError(f"{self.folder / 'curve.csv'}: {e}: remove the record") from e

    def arrays(self, name: str) -> Arrays:
        """One of `per_image`, `kl_units`, `pca`, `samples`. Raises RecordError."""
        path = f"{name}.npz"
        try:
            return _plain_npz(self._bytes(path))
        except DAMAGED_NPZ as e:
            raise RecordError(f"{self.folder / path}: not a plain npz ({e})") from e

    def verify(self) -> None:
        """Compare every file with its checksum. Raises RecordError."""
        for name in self.final.get("files", {}):
            self._bytes(name)

    def _bytes(self, name: str) -> bytes:
        path = self.folder / name
        expected = self.final.get("files", {}).get(name)
        if expected is None:
            raise RecordError(f"{path}: not part of this record ({self.run.id}, {self.profile})")
        content = _read(path)
        if hashlib.sha256(content).hexdigest() != expected:
            raise RecordError(
                f"{path}: checksum differs from {FINAL}: restore the file, or remove the record"
                " and train again"
            )
        return content


class Store:
    """Records by profile and run id."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def folder(self, profile: str, run_id: str = "") -> Path:
        return self.root / profile / run_id

    def has(self, profile: str, run_id: str) -> bool:
        return (self.folder(profile, run_id) / FINAL).is_file()

    def record(self, profile: str, run_id: str) -> Record:
        """Raises RecordError when it is missing or damaged."""
        folder = self.folder(profile, run_id)
        if not (folder / FINAL).is_file():
            raise RecordError(
                f"no record of {run_id} in {folder.parent}: `repro train --profile {profile}`"
            )
        run = from_dict(_json(folder / "run.json"), str(folder / "run.json"))
        if run.id != run_id:
            raise RecordError(f"{folder / 'run.json'}: holds {run.id}: remove the record")
        return Record(folder, profile, run, _json(folder / "env.json"), _json(folder / FINAL))

    def find(self, profile: str, run_id: str) -> Record | None:
        return self.record(profile, run_id) if self.has(profile, run_id) else None

    def records(self, profile: str) -> list[Record]:
        """Every record of a profile, by run id."""
        ids = sorted(p.parent.name for p in self.folder(profile).glob(f"*/{FINAL}"))
        # A name with a dot is what a killed writer left behind.
        return [self.record(profile, i) for i in ids if not i.startswith(".")]

    def seeds(self, profile: str, run: Run) -> list[Record]:
        """The finished records that differ from `run` in their seed alone, by seed."""
        stem = run.id.rpartition("-s")[0]
        found = [r for r in self.records(profile) if r.run.id.rpartition("-s")[0] == stem]
        return sorted((r for r in found if not r.diverged), key=lambda r: r.run.seed)

    def failures(self, profile: str) -> dict[str, str]:
        """Why each Run failed that has no record yet, by run id."""
        notes = sorted(self.folder(profile, ".failed").glob("*.json"))
        return {note.stem: _reason(note) for note in notes}

    def write(
        self,
        profile: str,
        run: Run,
        env: dict[str, Any],
        final: dict[str, Any],
        curve: pd.DataFrame,
        arrays: dict[str, Arrays],
    ) -> Record:
        """Save a record whole or not at all; an older one of the same Run is replaced."""
        files = {
            "run.json": _dump(to_dict(run)),
            "env.json": _dump(env),
            "curve.csv": curve.to_csv(index=False, float_format="%.7g").encode(),
        }
        files.update({f"{name}.npz": _npz(content) for name, content in arrays.items()})
        sums = {n: hashlib.sha256(content).hexdigest() for n, content in files.items()}
        files[FINAL] = _dump({**final, "files": sums})
        with _replacing(self.folder(profile, run.id)) as tmp:
            for name, content in files.items():
                (tmp / name).write_bytes(content)
        return self.record(profile, run.id)

    def sweep(self, profile: str, run_id: str) -> None:
        """Undo a write that was killed halfway; only for who holds the Run's lock."""
        folder = self.folder(profile, run_id)
        for left in folder.parent.glob(f".{run_id}.*"):
            if left.suffix == ".old" and not folder.exists():
                left.replace(folder)
            else:
                shutil.rmtree(left, ignore_errors=True)

    def copy(self, record: Record) -> Record:
        """Take over a verified record of another store."""
        record.verify()
        with _replacing(self.folder(record.profile, record.run.id)) as tmp:
            for name in (*record.final["files"], FINAL):
                shutil.copyfile(record.folder / name, tmp / name)
        return self.record(record.profile, record.run.id)


def open_store(name: str | Path | None, profile: str) -> Store:
    """`runs`, `results` or a path; None: `runs` where it holds the profile, else `results`."""
    if name is None:
        local = Store(NAMED["runs"])
        return local if local.records(profile) else Store(NAMED["results"])
    if str(name) in NAMED:
        return Store(NAMED[str(name)])
    if not Path(name).is_dir():
        raise RecordError(f"store {name}: no such folder: use runs, results or an existing path")
    return Store(Path(name))


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises MachineError."""
    tmp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            tmp.write_bytes(content)
            tmp.replace(path)
        finally:
            tmp.unlink(missing_ok=True)


def sweep_files(path: Path) -> None:
    """Remove what killed calls of `write_file` left beside a path."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `folder` when the block ends well."""
    tmp = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    with _disk_errors(folder):
        try:
            tmp.mkdir(parents=True)
            yield tmp
            if folder.exists():
                old = tmp.with_name(tmp.name + ".old")
                folder.replace(old)
                tmp.replace(folder)
                shutil.rmtree(old)
            else:
                tmp.replace(folder)
        finally:
            shutil.rmtree(tmp, ignore_errors=True)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        remedy = "free some space" if e.errno == 28 else "make the folder writable, or move it"
        raise MachineError(f"{path}: cannot write ({e.strerror}): {remedy}") from e


def _dump(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def _npz(content: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)  # type: ignore[arg-type]
    return buffer.getvalue()


def _plain_npz(content: bytes) -> Arrays:
    """Arrays without pickles, and without what only unpacks to more than a record may hold."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > LARGEST_ARRAYS:
        raise ValueError(f"{size} bytes unpacked, at most {LARGEST_ARRAYS} expected")
    with np.load(io.BytesIO(content), allow_pickle=False) as z:
        return {k: z[k] for k in z.files}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise RecordError(f"{path}: cannot read ({e.strerror}): remove the record") from e


def _reason(note: Path) -> str:
    """What a failure's note says; a damaged one hides no other Run."""
    try:
        return str(_json(note).get("reason", "no reason noted"))
    except RecordError as e:
        return str(e)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read(path))
    except (ValueError, RecursionError) as e:
        raise RecordError(f"{path}: not JSON ({e}): remove the record and train again") from e
    if not isinstance(value, dict):
        raise RecordError(f"{path}: expected an object: remove the record and train again")
    return value
