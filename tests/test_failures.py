"""What goes wrong in training: damage, locks, full disks, failing stacks, divergence."""

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from fixture_data import refused
from safetensors.torch import save
from small_training import (
    BLOCKS,
    EPOCHS,
    OPTIONS,
    PROFILE,
    RUNS,
    STEPS,
    assert_same,
    hooked,
    interrupted,
    strays,
)

from repro.errors import MachineError, RecordError
from repro.machine import training
from repro.machine.local import train
from repro.machine.saved import recording
from repro.machine.work import Outcome
from repro.model.stack import Stack
from repro.store import Store
from repro.store.locks import lock
from repro.train.minibatch import Minibatch
from repro.train.state import State


def cut(content: bytes) -> bytes:
    return content[:-9]


def foreign(_: bytes) -> bytes:
    return save({"t": torch.zeros(1)}, {"checkpoint": "{}"})


@pytest.mark.parametrize(
    "damage",
    [cut, foreign, lambda _: b"", lambda _: b"\xff" * 99],
    ids=["cut", "foreign", "empty", "no header"],
)
def test_a_damaged_checkpoint_is_refused_with_its_name_and_the_remedy(damage, store, monkeypatch):
    path = interrupted(store, RUNS, monkeypatch)
    path.write_bytes(damage(path.read_bytes()))
    with refused(RecordError, str(path), "remove it and train again"):
        train(RUNS, store, PROFILE, OPTIONS)


def test_an_error_of_the_locked_block_is_not_one_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), lock(tmp_path, "some-run"):
        (tmp_path / "nowhere").read_bytes()


def test_another_configuration_in_the_store_is_not_overwritten(done: Store) -> None:
    other = small.run("lvae", 1, steps=STEPS, scored=(1, 2), optim={"lr": 0.5})
    with refused(RecordError, other.id, "another configuration"):
        train([other], done, PROFILE, OPTIONS)


def test_a_file_in_place_of_the_folder_is_a_machine_error(store: Store) -> None:
    store.root.mkdir()
    store.folder(PROFILE).touch()
    with refused(MachineError, PROFILE, "in the place of a folder"):
        train(RUNS, store, PROFILE, OPTIONS)
    assert list(store.root.iterdir()) == [store.folder(PROFILE)]


def fill_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Writing a file whose name contains `name` stops halfway for want of space."""
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if name not in path.name:
            return write(path, content)
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)


@pytest.mark.parametrize("name", [f"{RUNS[0].id}.safetensors", "final.json"])
def test_a_full_disk_leaves_nothing_half_written_and_training_goes_on(
    name: str, store: Store, whole: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights do not fit, or the last file of a record."""
    with monkeypatch.context() as patch:
        fill_disk(patch, name)
        with refused(MachineError, "free some space"):
            train(RUNS, store, PROFILE, OPTIONS)
    assert strays(store) == []
    assert [p.name for p in store.folder(PROFILE).glob("[!.]*")] == []
    steps = hooked(monkeypatch, lambda *_: None)
    train(RUNS, store, PROFILE, OPTIONS)
    assert steps == [0]
    assert_same(store, whole, *RUNS)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("fault", [FULL, SystemExit(1)], ids=["full", "closed pipe"])
def test_progress_that_nobody_reads_stops_at_a_checkpoint_and_blames_no_run(
    fault, store, monkeypatch
):
    """In the second block of an epoch; rich ends the process where a pipe is closed."""
    shown = iter([None, fault])

    def show(*_: object) -> None:
        if error := next(shown):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr("repro.machine.watch.progress.Progress.show", show)
        with pytest.raises(type(fault), match=re.escape(str(fault))):
            train(RUNS, store, PROFILE, OPTIONS)
    assert store.failures(PROFILE) == {}
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    assert steps == [(EPOCHS - 1) * STEPS]


def fail_for(family: str) -> Callable[[Stack, int], None]:
    def hook(stack: Stack, _: int) -> None:
        if stack.model.family == family:
            raise RuntimeError("something broke\nin two lines")

    return hook


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_a_stack_that_fails_is_noted_and_the_others_train(family, store, monkeypatch):
    runs = {f: small.run(f, 1) for f in ("vae", "lvae")}
    hooked(monkeypatch, fail_for(family))
    outcome = train(list(runs.values()), store, PROFILE, OPTIONS)
    other = runs["lvae" if family == "vae" else "vae"]
    failed = {runs[family].id: "RuntimeError: something broke"}
    assert outcome == Outcome(done=[other.id], failed=failed)


def test_the_note_of_a_failure_says_why_until_the_run_succeeds(store, monkeypatch):
    with monkeypatch.context() as patch:
        hooked(patch, fail_for("lvae"))
        train(RUNS[:1], store, PROFILE, OPTIONS)
    note = json.loads((store.folder(PROFILE) / ".failed" / f"{RUNS[0].id}.json").read_text())
    assert (note["run"], note["reason"]) == (RUNS[0].id, "RuntimeError: something broke")
    assert train(RUNS[:1], store, PROFILE, OPTIONS).done == [RUNS[0].id]
    assert list((store.folder(PROFILE) / ".failed").iterdir()) == []


def test_a_failure_in_scoring_one_lane_keeps_the_record_of_another(store, monkeypatch):
    record = recording.record_lane

    def fail_second(*args: Any) -> None:
        if args[2] == 1:  # the lane
            raise RuntimeError("no score")
        record(*args)

    monkeypatch.setattr(recording, "record_lane", fail_second)
    outcome = train(RUNS, store, PROFILE, OPTIONS)
    assert outcome == Outcome(done=[RUNS[0].id], failed={RUNS[1].id: "RuntimeError: no score"})


def test_a_diverged_run_is_recorded_with_its_epoch_and_the_others_train(store: Store) -> None:
    plain = small.run(depth=1, batch_norm=False)
    wild = small.run(depth=1, batch_norm=False, seed=2, optim={"lr": 1e30})
    outcome = train([plain, wild], store, PROFILE, OPTIONS)
    assert outcome == Outcome(done=[plain.id], diverged=[wild.id])
    final = store.record(PROFILE, wild.id).final
    assert (final["state"], final["diverged_at"], final["L1_test"]) == ("diverged", 1, None)


def test_a_run_that_diverges_after_a_score_is_recorded_as_diverged(store, monkeypatch):
    run = small.run(depth=1, epochs=4, scored=(1, 4))
    make = training.step_function

    def poisoned(stack: Stack, engine: str) -> Callable[[State, Minibatch], None]:
        step = make(stack, engine)

        def poisoned_step(state: State, batch: Minibatch) -> None:
            if float(state.t) == 2 * BLOCKS * training.loop.BLOCK:
                state.params["x.a.W"].fill_(torch.nan)
            step(state, batch)

        return poisoned_step

    monkeypatch.setattr(training, "step_function", poisoned)
    assert train([run], store, PROFILE, OPTIONS).diverged == [run.id]
    assert store.record(PROFILE, run.id).final["diverged_at"] == 3


def test_a_folder_left_by_a_killed_writer_is_no_record(done: Store) -> None:
    left = done.folder(PROFILE, f".{RUNS[1].id}.0123abcd")
    left.mkdir()
    (left / "final.json").write_text("{}")
    assert sorted(r.run.id for r in done.records(PROFILE)) == sorted(run.id for run in RUNS)
