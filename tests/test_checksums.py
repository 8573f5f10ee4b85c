"""Nothing saved is believed unverified: one changed byte anywhere is an error, never a number."""

import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fixture_store
import numpy as np
import pytest
import small
import torch
from commands import LVAE, quick_run
from fixture_data import refused
from small import CPU
from small_training import (
    EPOCHS,
    OLD_RUNS,
    OPTIONS,
    PROFILE,
    RUNS,
    STEPS,
    assert_same,
    hooked,
    interrupted,
    unsealed,
)

from repro.errors import RecordError
from repro.machine.local import train
from repro.machine.saved import tensors
from repro.machine.saved.checkpoint import load_checkpoint, load_header
from repro.machine.saved.weights import load_adam, load_statistics, load_weights, weights_path
from repro.plan.profiles import PROFILES
from repro.store import Record, Store
from repro.store.places import NAMED
from repro.store.sealed import FINAL, SUMS, listing
from repro.train.minibatch import BLOCK

ONES = np.ones(3)
BYTES = 120  # changed one at a time, in each file
HEADS = 40  # of them among a file's first bytes and last


def changes(content: bytes, seed: int) -> list[bytes]:
    """`content` with one byte changed: at both ends, and anywhere."""
    draw = random.Random(seed)
    places = [*range(HEADS), *range(len(content) - HEADS, len(content))]
    places += [draw.randrange(len(content)) for _ in range(BYTES - len(places))]
    found = []
    for at in places:
        other = draw.randrange(255)
        changed = bytearray(content)
        changed[at] = other + (other >= content[at])
        found.append(bytes(changed))
    return found


def accepted(path: Path, read: Callable[[], Any]) -> int:
    """How many changes of one byte of a file are read without a RecordError."""
    content, count = path.read_bytes(), 0
    for changed in changes(content, seed=len(content)):
        path.write_bytes(changed)
        try:
            read()
        except RecordError:
            continue
        count += 1
    path.write_bytes(content)
    read()
    return count


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The checkpoint of a training that was stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.data.load", small.raw)
        return interrupted(Store(tmp_path_factory.mktemp("stopped")), RUNS, patch).read_bytes()


@pytest.fixture
def path(saved: bytes, tmp_path: Path) -> Path:
    """That checkpoint, to be damaged."""
    found = tmp_path / "checkpoint"
    found.write_bytes(saved)
    return found


@pytest.mark.parametrize("read", [load_header, lambda path: load_checkpoint(path, CPU)])
def test_a_changed_byte_of_a_checkpoint_is_refused(read: Callable[[Path], Any], path: Path) -> None:
    assert accepted(path, lambda: read(path)) == 0
    with refused(RecordError, str(path), "damaged", "remove it and train again"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        read(path)


@pytest.mark.parametrize(
    "read", [load_weights, load_adam, lambda path: load_statistics(path, RUNS[0])]
)
def test_a_changed_byte_of_weights_is_refused(read: Callable[[Path], Any], whole: Store) -> None:
    path = weights_path(whole.folder(PROFILE), RUNS[0])
    assert accepted(path, lambda: read(path)) == 0


def test_weights_of_a_version_without_checksum_are_read(whole: Store, tmp_path: Path) -> None:
    path, old = weights_path(whole.folder(PROFILE), RUNS[0]), tmp_path / "old.safetensors"
    old.write_bytes(unsealed(path))
    (run, params), (expected, same) = load_weights(old), load_weights(path)
    assert run == expected
    assert params.keys() == same.keys()
    assert all(params[n].equal(same[n]) for n in params)


def test_a_checkpoint_of_a_version_without_checksum_is_continued(store, whole, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    path.write_bytes(unsealed(path))
    left = hooked(monkeypatch, lambda *_: None)
    train(RUNS, store, PROFILE, OPTIONS)
    assert left == [EPOCHS * STEPS - BLOCK]
    assert_same(store, whole, *RUNS)


@pytest.mark.parametrize("part", ["pinned", "log", "lanes", "runs", "t", "m/x.out.W"])
def test_a_checkpoint_of_another_version_is_refused_with_the_remedy(part: str, path: Path) -> None:
    strings, content = tensors.read(path)
    header = json.loads(strings["checkpoint"])
    if part in header:
        header[part] = {"new": 1} if isinstance(header[part], dict) else [{"new": 1}]
    else:
        del content[part]
    tensors.write(path, content, {"checkpoint": json.dumps(header)})
    with refused(RecordError, "remove it and train again" if part != "runs" else path.name):
        load_header(path)
        load_checkpoint(path, CPU)


def test_no_value_of_a_header_is_taken_for_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a"
    strings = {"a": json.dumps({tensors.KEY: tensors.BLANK.decode()}, separators=(",", ":"))}
    tensors.write(path, {"W": torch.ones(3)}, strings)
    assert tensors.metadata(path) == strings
    assert accepted(path, lambda: tensors.read(path)) == 0


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return fixture_store.write(Store(tmp_path), "quick", quick_run())


def everything(record: Record) -> Callable[[], Any]:
    """Read all there is of a record, as if for the first time."""

    def read() -> None:
        found = Store(record.folder.parents[1]).record("quick", LVAE)
        found.verify()
        found.curve()
        for name in ARRAYS:
            found.arrays(name)

    return read


ARRAYS = ("per_image", "kl_units", "pca", "samples")
FILES = ["run.json", "env.json", "curve.csv", FINAL, *(f"{name}.npz" for name in ARRAYS)]


@pytest.mark.parametrize("name", [*FILES, SUMS])
def test_a_changed_byte_of_a_record_is_refused(name: str, record: Record) -> None:
    assert accepted(record.folder / name, everything(record)) == 0
    assert {p.name for p in record.folder.iterdir()} == {*FILES, SUMS}
    path = record.folder / name
    path.write_bytes(b"damaged")
    said = "not a whole list" if name == SUMS else "checksum differs"
    with refused(RecordError, str(path), said, "remove the record"):
        everything(record)()


def test_no_file_of_a_record_is_forgotten(record: Record) -> None:
    """Neither in a list that was cut off, at any of its lines, nor without a list."""
    path = record.folder / SUMS
    lines = path.read_text().splitlines(keepends=True)
    for kept in range(len(lines)):
        path.write_text("".join(lines[:kept]))
        with refused(RecordError, str(path), "not a whole list of checksums", "remove the record"):
            everything(record)()
    path.unlink()
    with refused(RecordError, FINAL, f"no {SUMS} is beside it", "remove the record"):
        everything(record)()


def test_sha256sum_checks_a_record_and_finds_what_is_damaged(record: Record) -> None:
    record = Store(record.folder.parents[1]).add(record, {}, {"K": 1}, {"pca": {"z1": ONES}})
    record.verify()
    assert "rescored_pca.npz: OK\n" in checked(record)[1]
    assert checked(record) == (0, "".join(f"{name}: OK\n" for name in record.sums))
    (record.folder / "curve.csv").write_bytes(b"damaged")
    code, said = checked(record)
    assert (code, said.count("OK\n")) == (1, len(record.sums) - 1)
    assert "curve.csv: FAILED\n" in said


def checked(record: Record) -> tuple[int, str]:
    """Exit code of `sha256sum -c`, and what it says of each file."""
    command = ["sha256sum", "--check", SUMS]
    done = subprocess.run(command, cwd=record.folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture
def old(tmp_path: Path) -> Record:
    """A record of a version that put the checksums into final.json."""
    folder = shutil.copytree(
        Path(__file__).parent / "old" / "record", tmp_path / "a" / OLD_RUNS[0].id
    )
    return Store(folder.parents[1]).record("a", OLD_RUNS[0].id)


def test_a_changed_byte_of_an_old_record_is_refused(old: Record) -> None:
    store = Store(old.folder.parents[1])
    assert not (old.folder / SUMS).exists()
    for name in ("run.json", FINAL):
        assert accepted(old.folder / name, lambda: store.record("a", OLD_RUNS[0].id).verify()) == 0


def test_a_record_of_a_version_without_its_own_checksum_is_read(old: Record) -> None:
    path = old.folder / FINAL
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))
    assert Store(old.folder.parents[1]).record("a", OLD_RUNS[0].id).final == old.final


def test_published_records_are_whole_and_small() -> None:
    results = Store(NAMED["results"])
    records = [r for name in PROFILES for r in results.records(name)]
    for found in records:
        found.verify()
        assert sum(path.stat().st_size for path in found.folder.iterdir()) < 600_000
    assert len(records) == len([*results.root.glob("*/*/final.json")])


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..", ".hidden", "a\\b", ""])
def test_a_record_cannot_name_a_file_outside_its_folder(name: str, record: Record) -> None:
    path = record.folder / SUMS
    path.write_bytes(listing({**record.sums, name: "0" * 64}))
    with refused(RecordError, str(path), repr(name) if name else "not a whole list"):
        everything(record)()
