"""The only reader and writer of stores.

A store is a folder `<profile>/<run id>/` of records. A record is written whole: into a
temporary folder, then renamed; `final.json` holds the checksum of every other file, and ends
with its own. Who reads while another process rewrites a record waits that moment, and gets the
old one or the new one, never parts of both.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from repro.config import Run, from_dict, to_dict
from repro.errors import RecordError
from repro.files import aside, names_in, patiently, replacing, sweep_folder
from repro.places import NAMED as NAMED
from repro.places import ROOT as ROOT

FINAL = "final.json"
PARTS = "run.json", "env.json"
DAMAGED_NPZ = (
    *(ValueError, OSError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n\Z')  # of all that is before it, and END
END = b"\n}\n"
RESTORE = "restore the file, or remove the record and train again"
PLAIN = re.compile(r"[^./\\][^/\\]*")  # a file of a record, in its own folder
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
        sums = self.final["files"]
        if name not in sums:
            path = self.folder / name
            raise RecordError(f"{path}: not part of this record ({self.run.id}, {self.profile})")

        def read() -> bytes:
            try:
                return _verified(self.folder / name, sums)
            except RecordError:
                _refuse_rewritten(self, _final(self.folder))
                raise

        return patiently(self.folder, read)


class Store:
    """Records by profile and run id."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def folder(self, profile: str, run_id: str = "") -> Path:
        return self.root / profile / run_id

    def has(self, profile: str, run_id: str) -> bool:
        folder = self.folder(profile, run_id)
        try:
            patiently(folder, lambda: _present(folder))
        except RecordError:
            return False
        return True

    def record(self, profile: str, run_id: str) -> Record:
        """Raises RecordError when it is missing or damaged."""
        folder = self.folder(profile, run_id)

        def read() -> Record:
            _present(folder)
            final = _final(folder)
            run, env = (_json(folder / n, _verified(folder / n, final["files"])) for n in PARTS)
            return Record(folder, profile, from_dict(run, str(folder / PARTS[0])), env, final)

        record = patiently(folder, read)
        if record.run.id != run_id:
            raise RecordError(f"{folder / PARTS[0]}: holds {record.run.id}: remove the record")
        return record

    def find(self, profile: str, run_id: str) -> Record | None:
        return self.record(profile, run_id) if self.has(profile, run_id) else None

    def records(self, profile: str) -> list[Record]:
        """Every record of a profile, by run id."""
        names = names_in(self.folder(profile))
        # Other names with a dot are what a killed writer left behind.
        ids = {n for n in names if not n.startswith(".")} | aside(names)
        return [self.record(profile, i) for i in sorted(ids) if self.has(profile, i)]

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
        files[FINAL] = _sealed(_dump({**final, "files": sums}))
        with replacing(self.folder(profile, run.id)) as tmp:
            for name, content in files.items():
                (tmp / name).write_bytes(content)
        return self.record(profile, run.id)

    def sweep(self, profile: str, run_id: str) -> None:
        """Undo a write that was killed halfway; only for who holds the Run's lock."""
        sweep_folder(self.folder(profile, run_id))

    def copy(self, record: Record) -> Record:
        """Take over a verified record of another store."""
        content = {name: record._bytes(name) for name in record.final["files"]}
        content[FINAL] = _read(record.folder / FINAL)
        _refuse_rewritten(record, _final(record.folder, content[FINAL]))
        with replacing(self.folder(record.profile, record.run.id)) as tmp:
            for name, written in content.items():
                (tmp / name).write_bytes(written)
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


def _present(folder: Path) -> None:
    if not (folder / FINAL).is_file():
        run_id, profile = folder.name, folder.parent.name
        raise RecordError(
            f"no record of {run_id} in {folder.parent}: `repro train --profile {profile}`"
        )


def _refuse_rewritten(record: Record, final: dict[str, Any]) -> None:
    if final != record.final:
        raise RecordError(
            f"{record.folder}: was rewritten while it was read: run the command again"
        )


def _final(folder: Path, content: bytes | None = None) -> dict[str, Any]:
    """What final.json says, verified where it holds its own checksum: older ones have none."""
    path = folder / FINAL
    content = _read(path) if content is None else content
    if seal := SEAL.search(content):
        content = content[: seal.start()] + END
        if hashlib.sha256(content).hexdigest().encode() != seal[1]:
            raise RecordError(f"{path}: checksum differs from its content: {RESTORE}")
    final = _json(path, content)
    sums = final.get("files")
    if list(final)[-1:] != ["files"] or not isinstance(sums, dict) or not sums.keys() >= {*PARTS}:
        raise RecordError(f"{path}: does not end with checksums: {RESTORE}")
    if strange := [name for name in sums if not PLAIN.fullmatch(name)]:
        raise RecordError(f"{path}: {strange[0]!r} is no file of a record: {RESTORE}")
    return final


def _verified(path: Path, sums: dict[str, str]) -> bytes:
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != sums[path.name]:
        raise RecordError(f"{path}: checksum differs from {FINAL}: {RESTORE}")
    return content


def _sealed(final: bytes) -> bytes:
    """A final.json that ends with the checksum of the rest."""
    digest = hashlib.sha256(final).hexdigest()
    return final.removesuffix(END) + f',\n "sha256": "{digest}"'.encode() + END


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
        return str(_json(note, _read(note)).get("reason", "no reason noted"))
    except RecordError as e:
        return str(e)


def _json(path: Path, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise RecordError(f"{path}: not JSON ({e}): remove the record and train again") from e
    if not isinstance(value, dict):
        raise RecordError(f"{path}: expected an object: remove the record and train again")
    return value
