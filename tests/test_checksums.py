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
import safetensors.torch
import small
import torch
from commands import LVAE, quick_run
from fixture_data import refused
from small_training import OLD_RUNS, PROFILE, RUNS, interrupted

from repro.errors import RecordError
from repro.machine.saved import tensors
from repro.machine.saved.checkpoint import load_checkpoint, load_header
from repro.machine.saved.weights import load_adam, load_statistics, load_weights, weights_path
from repro.plan.profiles import PROFILES
from repro.store import Record, Store
from repro.store.places import NAMED
from repro.store.sealed import FINAL, SUMS, listing

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


@pytest.fixture
def path(store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a training that was stopped, to be damaged."""
    return interrupted(store, RUNS, monkeypatch)


def load(path: Path) -> Any:
    return load_checkpoint(path, small.CPU)


def test_damage_of_a_checkpoint_is_refused_with_its_name_and_the_remedy(path):
    foreign = safetensors.torch.save({"t": torch.zeros(1)}, {"checkpoint": "{}"})
    saved = path.read_bytes()
    for read in (load_header, load):
        path.write_bytes(saved)
        assert accepted(path, lambda read=read: read(path)) == 0
        for content in (saved[:-1] + b"?", saved[:-9], foreign, b"", b"\xff" * 99):
            path.write_bytes(content)
            with refused(RecordError, str(path), "remove it and train again"):
                read(path)


def test_a_changed_byte_of_weights_is_refused(whole):
    path = weights_path(whole.folder(PROFILE), RUNS[0])
    for read in (load_weights, load_adam, lambda path: load_statistics(path, RUNS[0])):
        assert accepted(path, lambda read=read: read(path)) == 0


def test_a_checkpoint_of_another_version_is_refused_with_the_remedy(path):
    strings, saved = tensors.read(path)
    for part in ("pinned", "log", "lanes", "runs", "t", "m/x.out.W"):
        header, content = json.loads(strings["checkpoint"]), dict(saved)
        if part in header:
            header[part] = {"new": 1} if isinstance(header[part], dict) else [{"new": 1}]
        else:
            del content[part]
        tensors.write(path, content, {"checkpoint": json.dumps(header)})
        with refused(RecordError, "remove it and train again" if part != "runs" else path.name):
            load_header(path)
            load(path)


def test_no_value_of_a_header_is_taken_for_the_checksum(tmp_path):
    path = tmp_path / "a"
    strings = {"a": json.dumps({tensors.KEY: tensors.BLANK.decode()}, separators=(",", ":"))}
    tensors.write(path, {"W": torch.ones(3)}, strings)
    assert tensors.metadata(path) == strings
    assert accepted(path, lambda: tensors.read(path)) == 0


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return fixture_store.write(Store(tmp_path), "quick", quick_run())


def everything(record: Record) -> None:
    """Read all there is of a record, as if for the first time."""
    found = Store(record.folder.parents[1]).record("quick", LVAE)
    found.verify()
    found.curve()
    for name in ARRAYS:
        found.arrays(name)


ARRAYS = ("per_image", "kl_units", "pca", "samples")
FILES = ["run.json", "env.json", "curve.csv", FINAL, *(f"{name}.npz" for name in ARRAYS)]


@pytest.mark.parametrize("name", [*FILES, SUMS])
def test_a_changed_byte_of_a_record_is_refused(name, record):
    assert accepted(record.folder / name, lambda: everything(record)) == 0
    assert {p.name for p in record.folder.iterdir()} == {*FILES, SUMS}
    path = record.folder / name
    path.write_bytes(b"damaged")
    said = "not a whole list" if name == SUMS else "checksum differs"
    with refused(RecordError, str(path), said, "remove the record"):
        everything(record)


def test_no_file_of_a_record_is_forgotten(record):
    """Neither in a list that was cut off, at any of its lines, nor without a list."""
    path = record.folder / SUMS
    lines = path.read_text().splitlines(keepends=True)
    for kept in range(len(lines)):
        path.write_text("".join(lines[:kept]))
        with refused(RecordError, str(path), "not a whole list of checksums", "remove the record"):
            everything(record)
    path.unlink()
    with refused(RecordError, FINAL, f"no {SUMS} is beside it", "remove the record"):
        everything(record)


def test_sha256sum_checks_a_record_and_finds_what_is_damaged(record):
    record = Store(record.folder.parents[1]).add(record, {}, {"K": 1}, {"pca": {"z1": np.ones(3)}})
    record.verify()
    assert "rescored_pca.npz" in record.sums
    (record.folder / "curve.csv").write_bytes(b"damaged")
    command = ["sha256sum", "--check", SUMS]
    done = subprocess.run(command, cwd=record.folder, capture_output=True, text=True)
    states = {name: "FAILED" if name == "curve.csv" else "OK" for name in record.sums}
    said = "".join(f"{name}: {state}\n" for name, state in states.items())
    assert (done.returncode, done.stdout) == (1, said)


def test_a_changed_byte_of_an_old_record_is_refused_but_it_may_lack_its_own_checksum(tmp_path):
    """Of a version that put the checksums into final.json."""
    run_id, place = OLD_RUNS[0].id, tmp_path / "a" / OLD_RUNS[0].id
    folder = shutil.copytree(Path(__file__).parent / "old" / "record", place)
    store = Store(tmp_path)
    old = store.record("a", run_id)
    assert not (folder / SUMS).exists()
    for name in ("run.json", FINAL):
        assert accepted(folder / name, lambda: store.record("a", run_id).verify()) == 0
    content = json.loads((folder / FINAL).read_text())
    del content["sha256"]
    (folder / FINAL).write_text(json.dumps(content))
    assert Store(tmp_path).record("a", run_id).final == old.final


def test_published_records_are_whole_and_small():
    results = Store(NAMED["results"])
    records = [r for name in PROFILES for r in results.records(name)]
    for found in records:
        found.verify()
        assert sum(path.stat().st_size for path in found.folder.iterdir()) < 600_000
    assert len(records) == len([*results.root.glob("*/*/final.json")])


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..", ".hidden", "a\\b", ""])
def test_a_record_cannot_name_a_file_outside_its_folder(name, record):
    path = record.folder / SUMS
    path.write_bytes(listing({**record.sums, name: "0" * 64}))
    with refused(RecordError, str(path), repr(name) if name else "not a whole list"):
        everything(record)
