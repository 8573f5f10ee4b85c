"""The only reader and writer of stores.

A store is a folder `<profile>/<run id>/` of records. A record is written whole, into a
temporary folder that is then renamed, and does not change: what is measured again later is put
beside it and read over it. SHA256SUMS lists its files, and is the last to know of new ones.
"""

import io
import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from repro.errors import RecordError, StrayWarning
from repro.plan.profiles import find_run
from repro.plan.profiles import profile as find_profile
from repro.plan.run import Run, from_dict, saved
from repro.store import failures, sealed
from repro.store.files import (
    is_file,
    names_in,
    new_folder,
    settle,
    sweep_files,
    sweep_folder,
    write_file,
)
from repro.store.places import NAMED
from repro.store.sealed import DAMAGED_NPZ, FINAL, OVER, PARTS, PLAIN, RESTORE, SUMS, Arrays

RENAME = "rename or remove the folder"
RUN_ID = re.compile(r"[\w.@]+(-[\w.@]+)*-s[0-9]+")  # ladder-full-100-s1, mnist-vae@lr002-L5-s1


@dataclass(frozen=True)
class Record:
    """What is saved of a Run: config, metrics, provenance. Arrays are read when asked for."""

    folder: Path
    profile: str
    run: Run
    env: dict[str, Any]
    final: dict[str, Any]
    sums: dict[str, str]  # SHA-256 by the name of a file
    unpacked: dict[str, Arrays] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def files(self) -> set[str]:
        """Names of all that it holds, whenever that was measured."""
        return {OVER.sub("", name) for name in self.sums}

    @property
    def diverged(self) -> bool:
        return self.final.get("state") == "diverged"

    @property
    def scored_env(self) -> dict[str, Any]:
        """Where its metrics were measured: by the last rescoring, else as it was trained."""
        again: dict[str, Any] = self.env.get("evaluated_again", self.env)
        return again

    def curve(self) -> pd.DataFrame:
        """One row an epoch, with the columns that the Run's task gives it. Raises RecordError."""
        try:
            return pd.read_csv(io.BytesIO(self._bytes("curve.csv")))
        except (ValueError, UnicodeDecodeError) as e:
            raise RecordError(f"{self.folder / 'curve.csv'}: {e}: {RESTORE}") from e

    def arrays(self, name: str) -> Arrays:
        """Those of one npz file, by its stem, which is read once. Raises RecordError."""
        path = f"{name}.npz"
        try:
            if name not in self.unpacked:
                self.unpacked[name] = sealed.plain_npz(self._bytes(path))
        except DAMAGED_NPZ as e:
            raise RecordError(f"{self.folder / path}: not a plain npz ({e})") from e
        return self.unpacked[name]

    def verify(self) -> None:
        """Compare every file with its checksum. Raises RecordError."""
        for name in self.sums:
            sealed.verified(self.folder / name, self.sums)

    def _bytes(self, name: str) -> bytes:
        path = self.folder / sealed.latest(self.sums, name)
        if path.name not in self.sums:
            raise RecordError(f"{path}: not part of this record ({self.run.id}, {self.profile})")
        return sealed.verified(path, self.sums)


@dataclass(eq=False)
class Store:
    """Records by profile and run id."""

    root: Path

    @property
    def name(self) -> str:
        """How `--store` names it."""
        return next((n for n, root in NAMED.items() if root == self.root), str(self.root))

    def folder(self, profile: str, run_id: str = "") -> Path:
        return self.root / profile / run_id

    def has(self, profile: str, run_id: str) -> bool:
        """Raises RecordError where that cannot be told, as where it may not be read."""
        return bool(PLAIN.fullmatch(run_id)) and is_file(self.folder(profile, run_id) / FINAL)

    def record(self, profile: str, run_id: str) -> Record:
        """Raises RecordError when it is missing, UsageError where there is no such Run or profile,
        RecordError when it is damaged.
        """
        folder = self.folder(profile, run_id)
        if not self.has(profile, run_id):
            find_run(run_id, find_profile(profile))
            raise RecordError(
                f"no record of {run_id} in {folder.parent}: `repro train {run_id} --profile"
                f" {profile}` makes it in runs/; or choose another store or profile"
            )
        sums = sealed.sums_of(folder)
        raw, env, final = sealed.parts_of(folder, sums)
        run = from_dict(raw, str(folder / PARTS[0]))
        if run.id != run_id:
            raise _StrayError(f"{folder}: holds a record of {run.id}: {RENAME}")
        return Record(folder, profile, run, env, final, sums)

    def find(self, profile: str, run_id: str) -> Record | None:
        return self.record(profile, run_id) if self.has(profile, run_id) else None

    def records(self, profile: str) -> list[Record]:
        """Every record of a profile, by run id; StrayWarning for a folder that is no Run's.

        Raises RecordError for a damaged record, and where the profile's folder cannot be read.
        """
        found = []
        for name in sorted(names_in(self.folder(profile))):
            if name.startswith("."):  # no record's
                continue
            of_a_run = RUN_ID.fullmatch(name) is not None
            try:
                if self.has(profile, name) and of_a_run:
                    found.append(self.record(profile, name))
                elif self.has(profile, name):
                    folder = self.folder(profile, name)
                    raise _StrayError(f"{folder}: not the name of a Run: {RENAME}")
            except RecordError as e:
                if of_a_run and not isinstance(e, _StrayError):
                    raise
                warnings.warn(f"left out: {e}", StrayWarning, stacklevel=1)
        return found

    def some_records(self, profile: str) -> list[Record]:
        """At least one record of a profile. Raises RecordError."""
        if records := self.records(profile):
            return records
        raise RecordError(
            f"no record of profile {profile or '(any)'} in {self.root}: looked for"
            f" {self.folder(profile or '*', '*') / FINAL}: {self._elsewhere(profile)}"
        )

    def _elsewhere(self, profile: str) -> str:
        """What to name instead of this store or profile, by where its records lie."""
        root = self.root.resolve()
        held = sorted({path.parents[1].name for path in root.glob(f"*/*/{FINAL}")})
        if held:
            return f"choose a profile that it holds ({', '.join(held)}), or another store"
        if next(root.glob(f"*/{FINAL}"), None):
            return f"this is a profile's folder: name the one that holds it, {root.parent}"
        if is_file(root / FINAL):
            return f"this is a record: name the store that holds it, {root.parent.parent}"
        if below := next(root.glob(f"*/*/*/{FINAL}"), None):
            return f"a store lies below it: name {below.parents[2]}"
        asked = f" --profile {profile}" if profile else ""
        return f"`repro train{asked}` makes records in runs/; or choose another store"

    def failures(self, profile: str) -> dict[str, str]:
        """Why each Run failed that has no record yet, by run id."""
        return failures.reasons(self.folder(profile))

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
            "run.json": sealed.dump(saved(run)),
            "env.json": sealed.dump(env),
            "curve.csv": curve.to_csv(index=False, float_format="%.7g").encode(),
        }
        files.update({f"{name}.npz": sealed.npz(content) for name, content in arrays.items()})
        files[FINAL] = sealed.dump(final)
        return self._put(profile, run.id, {**files, SUMS: sealed.listing(sealed.digests(files))})

    def _put(self, profile: str, run_id: str, files: dict[str, bytes]) -> Record:
        with new_folder(self.folder(profile, run_id)) as tmp:
            for name, content in files.items():
                (tmp / name).write_bytes(content)
                settle(tmp / name)
        return self.record(profile, run_id)

    def add(
        self, record: Record, env: dict[str, Any], final: dict[str, Any], arrays: dict[str, Arrays]
    ) -> Record:
        """Put what was measured again beside a record, whole or not at all; it is read over it.

        env: where it was measured. Arrays that came out the same are not written. Raises
        MachineError.
        """
        files = sealed.rescoring(record.sums, {**final, "env": env}, arrays)
        for name, content in files.items():
            write_file(record.folder / name, content)
        write_file(record.folder / SUMS, sealed.listing({**record.sums, **sealed.digests(files)}))
        return self.record(record.profile, record.run.id)

    def sweep(self, profile: str, run_id: str) -> None:
        """Clear away writes that were killed halfway; only for who holds the Run's lock."""
        sweep_folder(self.folder(profile, run_id))
        sweep_files(failures.path_of(self.folder(profile), run_id))

    def copy(self, record: Record) -> Record:
        """Take over a verified record of another store as it is; one that is the same stays."""
        files = {name: sealed.verified(record.folder / name, record.sums) for name in record.sums}
        if is_file(record.folder / SUMS):
            files[SUMS] = sealed.listing(record.sums)
        folder = self.folder(record.profile, record.run.id)
        if {
            n: sealed.read_bytes(folder / n) for n in names_in(folder) if is_file(folder / n)
        } == files:
            return self.record(record.profile, record.run.id)
        return self._put(record.profile, record.run.id, files)


@dataclass(eq=False)
class Snapshot(Store):
    """A store as it was when a profile's records were first read: for who asks many times."""

    _read: dict[str, list[Record]] = field(default_factory=dict, init=False, repr=False)

    def records(self, profile: str) -> list[Record]:
        if profile not in self._read:
            self._read[profile] = super().records(profile)
        return self._read[profile]


def open_store(name: str | Path | None, profile: str) -> Store:
    """`runs`, `results` or a path; None: `runs` where it holds the profile, else `results`."""
    if name is None:
        local = Snapshot(NAMED["runs"])
        return local if local.records(profile) else Snapshot(NAMED["results"])
    if str(name) in NAMED:
        return Snapshot(NAMED[str(name)])
    if not os.path.isdir(name):  # noqa: PTH112 - a Path raises for a name that is too long
        raise RecordError(
            f"store {str(name)!r}: no such folder: use runs, results or an existing path"
        )
    root = Path(name).resolve()
    return Snapshot(next((own for own in NAMED.values() if own.resolve() == root), Path(name)))


class _StrayError(RecordError):
    """A folder that holds no record of its name, as a file manager's copy of one."""
