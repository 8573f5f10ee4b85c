"""Training on this machine: records, interruptions, locks, full disks, failures."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from fixture_data import refused
from numpy.testing import assert_array_equal

from repro.config import Run
from repro.engine import checkpoint, local
from repro.engine.checkpoint import load_checkpoint, load_header, path_of
from repro.engine.local import Options, Outcome, evaluate, train
from repro.engine.locks import lock
from repro.engine.recording import weights_path
from repro.engine.step import Minibatch, State
from repro.errors import MachineError, RecordError
from repro.stack import Stack
from repro.store import Store

PROFILE = "tiny"
OPTIONS = Options(engine="eager", threads=1)
EPOCHS, BLOCKS = 2, small.BLOCKS
RUNS = [small.run("lvae", 3, scored=(1, 2)), small.run("lvae", 2, scored=(1, 2))]
ARRAYS = ("per_image", "kl_units", "pca", "samples")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, and tiny images wherever a data set is loaded."""
    monkeypatch.setattr("repro.data.load", small.raw)
    return Store(tmp_path / "runs")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The records of RUNS from one uninterrupted training."""
    store = Store(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.data.load", small.raw)
        train(RUNS, store, PROFILE, OPTIONS)
    return store


def assert_same(ours: Store, expected: Store, run: Run) -> None:
    """Equal in all that was measured."""
    a, b = (s.record(PROFILE, run.id) for s in (ours, expected))
    assert a.curve().equals(b.curve())
    assert {**a.final, "files": 0} == {**b.final, "files": 0}
    for name in ARRAYS:
        left, right = a.arrays(name), b.arrays(name)
        assert left.keys() == right.keys()
        for key in left:
            assert_array_equal(left[key], right[key], err_msg=f"{name}/{key}")


def hooked(monkeypatch: pytest.MonkeyPatch, hook: Callable[[Stack, int], None]) -> list[int]:
    """Call `hook(stack, n)` before the n-th step of this test, n = 1, 2, ...; returns the count."""
    make, count = local.step_function, [0]

    def make_hooked(stack: Stack, engine: str) -> Callable[[State, Minibatch], None]:
        step = make(stack, engine)

        def hooked_step(state: State, batch: Minibatch) -> None:
            count[0] += 1
            hook(stack, count[0])
            step(state, batch)

        return hooked_step

    monkeypatch.setattr(local, "step_function", make_hooked)
    return count


def send(number: int, at: int, times: int = 1) -> Callable[[Stack, int], None]:
    def hook(_: Stack, n: int) -> None:
        for _ in range(times if n == at else 0):
            os.kill(os.getpid(), number)

    return hook


def checkpoints(store: Store) -> list[Path]:
    return list((store.folder(PROFILE) / ".checkpoints").glob("*"))


def strays(store: Store) -> list[str]:
    """Temporary files and folders left behind."""
    keep = {".checkpoints", ".locks", ".weights", ".failed"}
    found = [p for p in store.folder(PROFILE).rglob(".*") if p.name not in keep]
    return [str(p) for p in found]


def test_training_records_every_run(store: Store) -> None:
    outcome = train(RUNS, store, PROFILE, OPTIONS)
    assert outcome == Outcome(done=[run.id for run in RUNS])
    assert [r.run for r in store.records(PROFILE)] == sorted(RUNS, key=lambda run: run.id)


def test_a_finished_training_leaves_no_checkpoint_and_no_stray(store: Store) -> None:
    train(RUNS, store, PROFILE, OPTIONS)
    assert checkpoints(store) == []
    assert strays(store) == []


def test_a_recorded_run_is_not_trained_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    train(RUNS, store, PROFILE, OPTIONS)
    steps = hooked(monkeypatch, lambda *_: None)
    assert train(RUNS, store, PROFILE, OPTIONS) == Outcome()
    assert steps == [0]


def test_a_run_trains_to_the_same_record_in_a_stack_and_alone(store: Store, whole: Store) -> None:
    train(RUNS[1:], store, PROFILE, OPTIONS)
    ours, theirs = (s.record(PROFILE, RUNS[1].id).final for s in (store, whole))
    assert ours["LK_test"] == pytest.approx(theirs["LK_test"], abs=0.01)


def test_every_run_is_scored_on_the_same_binary_test_images(store: Store) -> None:
    runs = [small.run(seed=1), small.run(seed=2), small.run("vae", 1)]
    train(runs, store, PROFILE, OPTIONS)
    shown = [store.record(PROFILE, run.id).arrays("samples")["true"] for run in runs]
    assert_array_equal(shown[0], shown[1])
    assert_array_equal(shown[0], shown[2])


def test_the_record_says_how_it_was_made(store: Store) -> None:
    train(RUNS, store, PROFILE, OPTIONS)
    env = store.record(PROFILE, RUNS[0].id).env
    assert (env["engine"], env["threads"], env["stack_width"]) == ("eager", 1, 2)
    assert env["data"] == {"name": "tiny", "source": "made here", "hash": "none"}
    assert env["wall_seconds"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("at", [1, 26, 27, 60, 104])
def test_an_interrupted_training_continues_to_the_same_numbers(
    number: int, at: int, store: Store, whole: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        hooked(patch, send(number, at))
        with pytest.raises(KeyboardInterrupt):
            train(RUNS, store, PROFILE, OPTIONS)
    assert len(checkpoints(store)) == 1
    assert train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    for run in RUNS:
        assert_same(store, whole, run)


def test_the_first_interrupt_finishes_its_block(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = hooked(monkeypatch, send(signal.SIGINT, 3))
    with pytest.raises(KeyboardInterrupt):
        train(RUNS, store, PROFILE, OPTIONS)
    assert steps == [26]


def test_the_second_interrupt_stops_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = hooked(monkeypatch, send(signal.SIGINT, 3, times=2))
    with pytest.raises(KeyboardInterrupt):
        train(RUNS, store, PROFILE, OPTIONS)
    assert steps == [3]


def test_signal_handlers_are_put_back(store: Store) -> None:
    before = signal.getsignal(signal.SIGINT)
    train(RUNS[1:], store, PROFILE, OPTIONS)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_spent_budget_stops_after_a_block_and_continues_to_the_same_numbers(
    store: Store, whole: Store
) -> None:
    spent = Options(engine="eager", threads=1, budget_seconds=0.0)
    calls = 0
    while train(RUNS, store, PROFILE, spent).unfinished:
        calls += 1
        assert calls < 20
    assert calls >= EPOCHS * BLOCKS
    for run in RUNS:
        assert_same(store, whole, run)


def test_a_spent_budget_names_what_is_unfinished(store: Store) -> None:
    spent = Options(engine="eager", threads=1, budget_seconds=0.0)
    assert train(RUNS, store, PROFILE, spent).unfinished == [run.id for run in RUNS]
    assert store.records(PROFILE) == []


def interrupted(store: Store, runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a training that was stopped in its first epoch."""
    with monkeypatch.context() as patch:
        hooked(patch, send(signal.SIGINT, 3))
        with pytest.raises(KeyboardInterrupt):
            train(runs, store, PROFILE, OPTIONS)
    (path,) = checkpoints(store)
    return path


def test_an_interrupted_stack_continues_whole_when_one_of_its_runs_is_wanted(
    store: Store, whole: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(store, RUNS, monkeypatch)
    outcome = train(RUNS[1:], store, PROFILE, OPTIONS)
    assert outcome.done == [run.id for run in RUNS]
    assert_same(store, whole, RUNS[0])


def test_a_checkpoint_holds_state_and_log_as_they_were(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Any] = []
    save = checkpoint.save_checkpoint
    monkeypatch.setattr(
        checkpoint, "save_checkpoint", lambda *args: saved.append(args) or save(*args)
    )
    with monkeypatch.context() as patch:
        hooked(patch, send(signal.SIGINT, 60))
        with pytest.raises(KeyboardInterrupt):
            train(RUNS, store, PROFILE, OPTIONS)
    path, stack, state, log, pinned = saved[-1]
    loaded, again = load_checkpoint(path, small.CPU)
    for part in ("params", "m", "v"):
        ours, expected = getattr(loaded, part), getattr(state, part)
        assert list(ours) == list(expected)
        assert all(torch.equal(ours[n], expected[n]) for n in expected)
    assert (loaded.t, loaded.sums.tolist()) == (state.t, state.sums.tolist())
    assert (again.epoch, again.step, again.seconds) == (log.epoch, log.step, log.seconds)
    assert [lane.rows for lane in again.lanes] == [lane.rows for lane in log.lanes]
    assert_array_equal(again.lanes[1].kl_test, log.lanes[1].kl_test)
    assert load_header(path) == (list(stack.runs), pinned)


def test_loaded_tensors_are_aligned_like_fresh_ones(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, _ = load_checkpoint(interrupted(store, RUNS, monkeypatch), small.CPU)
    for part in (state.params, state.m, state.v):
        assert [n for n, p in part.items() if p.data_ptr() % 64] == []


def cut(content: bytes) -> bytes:
    return content[:-9]


def foreign(_: bytes) -> bytes:
    return checkpoint.save({"t": torch.zeros(1)}, {"checkpoint": "{}"})


@pytest.mark.parametrize(
    "damage",
    [cut, foreign, lambda _: b"", lambda _: bytes(99), lambda _: b"\xff" * 99],
    ids=["cut", "foreign", "empty", "zeros", "ones"],
)
def test_a_damaged_checkpoint_is_refused_with_its_name_and_the_remedy(
    damage: Callable[[bytes], bytes], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted(store, RUNS, monkeypatch)
    path.write_bytes(damage(path.read_bytes()))
    with refused(RecordError, str(path), "remove it and train again"):
        train(RUNS, store, PROFILE, OPTIONS)


def test_a_run_locked_by_another_is_refused_by_name(store: Store) -> None:
    with (
        lock(store.folder(PROFILE), RUNS[1].id),
        refused(MachineError, RUNS[1].id, "another process"),
    ):
        train(RUNS, store, PROFILE, OPTIONS)


def test_locks_are_free_after_a_failure(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(store, RUNS, monkeypatch)
    for run in RUNS:
        with lock(store.folder(PROFILE), run.id):
            pass


def test_an_error_of_the_locked_block_is_not_one_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), lock(tmp_path, "some-run"):
        (tmp_path / "nowhere").read_bytes()


def test_another_configuration_in_the_store_is_not_overwritten(store: Store) -> None:
    train(RUNS[1:], store, PROFILE, OPTIONS)
    other = small.run("lvae", 2, scored=(1, 2), optim={"lr": 0.5})
    with refused(RecordError, other.id, "another configuration"):
        train([other], store, PROFILE, OPTIONS)


def test_a_file_in_place_of_the_folder_is_a_machine_error(store: Store) -> None:
    store.root.mkdir()
    store.folder(PROFILE).touch()
    with refused(MachineError, PROFILE, "writable"):
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


@pytest.mark.parametrize("name", [".safetensors", "curve.csv", "per_image.npz", "final.json"])
def test_a_full_disk_leaves_nothing_half_written(
    name: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, name)
    with refused(MachineError, "free some space"):
        train(RUNS, store, PROFILE, OPTIONS)
    assert strays(store) == []
    assert [p.name for p in store.folder(PROFILE).glob("[!.]*")] == []


@pytest.mark.parametrize("name", [f"{RUNS[0].id}.safetensors", "curve.csv"])
def test_with_space_again_training_ends_with_the_same_numbers(
    name: str, store: Store, whole: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch, name)
        with refused(MachineError, "free some space"):
            train(RUNS, store, PROFILE, OPTIONS)
    steps = hooked(monkeypatch, lambda *_: None)
    train(RUNS, store, PROFILE, OPTIONS)
    assert steps == [0]
    for run in RUNS:
        assert_same(store, whole, run)


def fail_for(family: str) -> Callable[[Stack, int], None]:
    def hook(stack: Stack, _: int) -> None:
        if stack.model.family == family:
            raise RuntimeError("something broke\nin two lines")

    return hook


@pytest.mark.parametrize("family", ["vae", "lvae"])
def test_a_stack_that_fails_is_noted_and_the_others_train(
    family: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {f: small.run(f) for f in ("vae", "lvae")}
    hooked(monkeypatch, fail_for(family))
    outcome = train(list(runs.values()), store, PROFILE, OPTIONS)
    other = runs["lvae" if family == "vae" else "vae"]
    failed = {runs[family].id: "RuntimeError: something broke"}
    assert outcome == Outcome(done=[other.id], failed=failed)


def test_the_note_of_a_failure_says_why(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hooked(monkeypatch, fail_for("lvae"))
    train(RUNS[:1], store, PROFILE, OPTIONS)
    note = json.loads((store.folder(PROFILE) / ".failed" / f"{RUNS[0].id}.json").read_text())
    assert (note["run"], note["reason"]) == (RUNS[0].id, "RuntimeError: something broke")


def test_a_failed_run_that_later_succeeds_loses_its_note(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        hooked(patch, fail_for("lvae"))
        train(RUNS[:1], store, PROFILE, OPTIONS)
    assert train(RUNS[:1], store, PROFILE, OPTIONS).done == [RUNS[0].id]
    assert list((store.folder(PROFILE) / ".failed").iterdir()) == []


def test_a_failure_in_scoring_one_lane_keeps_the_record_of_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = local.record_lane

    def fail_second(*args: Any) -> None:
        if args[2] == RUNS[1]:
            raise RuntimeError("no score")
        record(*args)

    monkeypatch.setattr(local, "record_lane", fail_second)
    outcome = train(RUNS, store, PROFILE, OPTIONS)
    assert outcome == Outcome(done=[RUNS[0].id], failed={RUNS[1].id: "RuntimeError: no score"})


def test_a_diverged_run_is_recorded_with_its_epoch_and_the_others_train(store: Store) -> None:
    plain = small.run(batch_norm=False)
    wild = small.run(batch_norm=False, seed=2, optim={"lr": 1e30})
    outcome = train([plain, wild], store, PROFILE, OPTIONS)
    assert outcome == Outcome(done=[plain.id], diverged=[wild.id])
    final = store.record(PROFILE, wild.id).final
    assert (final["state"], final["diverged_at"], final["L1_test"]) == ("diverged", 1, None)


def test_a_run_that_diverges_after_a_score_is_recorded_as_diverged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small.run(epochs=4, scored=(1, 4))
    make = local.step_function

    def poisoned(stack: Stack, engine: str) -> Callable[[State, Minibatch], None]:
        step = make(stack, engine)

        def poisoned_step(state: State, batch: Minibatch) -> None:
            if float(state.t) == 2 * BLOCKS * local.loop.BLOCK:
                state.params["x.a.W"].fill_(torch.nan)
            step(state, batch)

        return poisoned_step

    monkeypatch.setattr(local, "step_function", poisoned)
    assert train([run], store, PROFILE, OPTIONS).diverged == [run.id]
    assert store.record(PROFILE, run.id).final["diverged_at"] == 3


EVALUATED = [
    small.run("lvae"),
    small.run("vae"),
    small.run("vae", 2, batch_norm=False),
    small.run("lvae", 2, shared=False, head_batch_norm=False),
]


@pytest.mark.parametrize("run", EVALUATED, ids=["lvae", "vae", "plain", "separate"])
def test_evaluating_saved_weights_gives_the_same_numbers(run: Run, store: Store) -> None:
    train([run], store, PROFILE, OPTIONS)
    before = Store(store.root.parent / "before")
    before.copy(store.record(PROFILE, run.id))
    assert evaluate([run.id], store, PROFILE, OPTIONS) == Outcome(done=[run.id])
    assert_same(store, before, run)


def test_evaluating_again_is_noted(store: Store) -> None:
    train(RUNS[1:], store, PROFILE, OPTIONS)
    evaluate([RUNS[1].id], store, PROFILE, OPTIONS)
    assert "evaluated_again" in store.record(PROFILE, RUNS[1].id).env


def test_evaluating_without_weights_names_the_file(store: Store) -> None:
    train(RUNS[1:], store, PROFILE, OPTIONS)
    path = weights_path(store.folder(PROFILE), RUNS[1])
    path.unlink()
    with refused(RecordError, str(path), "train again"):
        evaluate([RUNS[1].id], store, PROFILE, OPTIONS)


def test_evaluating_weights_of_another_configuration_is_refused(store: Store) -> None:
    train(RUNS[1:], store, PROFILE, OPTIONS)
    other = small.run("lvae", 2, scored=(1, 2), optim={"lr": 0.5})
    path = weights_path(store.folder(PROFILE), RUNS[1])
    checkpoint.save_weights(path, other, checkpoint.load_weights(path)[1])
    with refused(RecordError, str(path), "another configuration"):
        evaluate([RUNS[1].id], store, PROFILE, OPTIONS)


def test_a_folder_left_by_a_killed_writer_is_no_record(store: Store) -> None:
    train(RUNS[1:], store, PROFILE, OPTIONS)
    left = store.folder(PROFILE, f".{RUNS[1].id}.0123abcd")
    left.mkdir()
    (left / "final.json").write_text("{}")
    assert [r.run.id for r in store.records(PROFILE)] == [RUNS[1].id]


def test_checkpoints_are_named_by_runs_in_lane_order(tmp_path: Path) -> None:
    runs = small.run(seed=1), small.run(seed=2)
    one, other = (path_of(tmp_path, Stack(order)) for order in (runs, runs[::-1]))
    assert one != other
