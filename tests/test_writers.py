"""Several processes on one store: all of them end well or are told so, and nothing is torn."""

import errno
import os
import signal
import threading
from pathlib import Path

import fixture_store
import pytest
import trainee
from commands import LVAE, one_line, quick_run
from fixture_data import refused
from small_training import OPTIONS, PROFILE, RUNS, assert_same, hooked, strays
from writer import rescoring, training

from repro import cli
from repro.cli.publish import copy_finished
from repro.errors import MachineError
from repro.machine import local as engine
from repro.machine.local import train
from repro.plan.profiles import profile
from repro.store import Store
from repro.store.locks import lock

RESCORINGS = 60  # of one record


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What one process records that nobody disturbs."""
    store = Store(tmp_path_factory.mktemp("alone"))
    assert training(store, 0, 1, 2).ended()[0] == 0
    return store


@pytest.mark.slow
@pytest.mark.parametrize("paused_at", [".checkpoints", "curve.csv"])
def test_who_wants_the_same_runs_is_refused_and_disturbs_nothing(paused_at, alone, tmp_path):
    store = Store(tmp_path)
    first = training(store, 0, 1, pause=paused_at)
    assert first.pid
    _, status = os.waitpid(first.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    code, said = training(store, 0, 1).ended()
    os.kill(first.pid, signal.SIGCONT)
    assert (code, said.count("\n")) == (3, 1)
    assert f"{trainee.RUNS[0].id} is being trained by another process" in said
    assert "wait for it, or stop it" in said
    assert first.ended()[0] == 0
    assert trainee.differences(store, alone, trainee.RUNS[:2]) == []
    assert strays(store) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "codes"),
    [([(0, 1, 2), (0, 1, 2)], ([0, 0], [0, 3])), ([(0, 1), (2,)], ([0, 0],))],
    ids=["the same Runs", "others"],
)
def test_processes_that_begin_together_record_what_one_records(asked, codes, alone, tmp_path):
    store = Store(tmp_path)
    both = [training(store, *numbers) for numbers in asked]
    assert sorted(p.ended()[0] for p in both) in codes
    assert trainee.differences(store, alone) == []
    assert strays(store) == []


@pytest.fixture
def versions(tmp_path: Path) -> list[Store]:
    """Two stores with different records of one Run."""
    stores = [Store(tmp_path / name) for name in ("one", "other")]
    for number, store in enumerate(stores):
        fixture_store.write(store, "quick", quick_run(), L1_test=-80.0 - number)
    return stores


@pytest.mark.slow
def test_a_reader_sees_one_whole_record_while_it_is_scored_again(versions):
    store, seen = versions[0], set()
    process = rescoring(store, RESCORINGS)
    while process.is_alive():
        (record,) = store.records("quick")
        seen.add(record.final["L1_test"])
        again = record.env.get("evaluated_again", {"number": 0})
        values = record.arrays("per_image")["L1"]
        assert again["number"] in (0, -record.final["L1_test"])
        assert again["number"] in (0, -values[0])
        versions[1].copy(record).verify()
    assert process.ended() == (0, "")
    assert len(seen) > 1
    record = store.record("quick", LVAE)
    record.verify()
    assert record.final["L1_test"] == -RESCORINGS


@pytest.mark.parametrize(
    ("stop", "seen"),
    [
        (OSError(errno.ENOSPC, "No space"), refused(MachineError, LVAE, "free some space")),
        (KeyboardInterrupt(), pytest.raises(KeyboardInterrupt)),
    ],
    ids=["full", "interrupt"],
)
def test_a_record_that_cannot_be_replaced_is_put_back(stop, seen, versions, monkeypatch):
    store, expected = versions[0], versions[0].record("quick", LVAE)
    real, stops = Path.replace, [stop]  # between the two renames

    def replace(path: Path, target: Path) -> Path:
        if target.name == LVAE and not target.exists() and stops:
            raise stops.pop()
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with seen:
        store.copy(versions[1].record("quick", LVAE))
    assert store.record("quick", LVAE) == expected
    assert [p.name for p in store.folder("quick").iterdir()] == [LVAE]


def test_who_asks_whether_a_run_is_training_refuses_no_training(tmp_path):
    asked = threading.Event()

    def ask() -> None:
        with lock(tmp_path, LVAE):
            asked.set()
            threading.Event().wait(0.1)

    asking = threading.Thread(target=ask)
    asking.start()
    asked.wait()
    with lock(tmp_path, LVAE):
        asking.join()


@pytest.mark.parametrize("finished", [RUNS, RUNS[:1]], ids=["all", "one"])
def test_what_another_has_recorded_is_not_trained_again(finished, store, whole, monkeypatch):
    """It finishes between this one's plan and its locks."""
    usual = engine.locks.lock

    def late(*asked, **more):
        for run in finished:
            store.copy(whole.record(PROFILE, run.id))
        return usual(*asked, **more)

    monkeypatch.setattr(engine.locks, "lock", late)
    stacks: list[int] = []
    hooked(monkeypatch, lambda stack, _: stacks.append(len(stack.runs)))
    outcome = train(RUNS, store, PROFILE, OPTIONS)
    rest = [run.id for run in RUNS if run not in finished]
    assert (outcome.done, outcome.unfinished) == (rest, [])
    assert set(stacks) == ({1} if rest else set())
    assert_same(store, whole, *finished)


def test_a_record_that_is_being_written_is_not_published(full, capsys):
    with lock(full.folder("quick"), LVAE):
        assert cli.run(["publish", "--profile", "quick"]) == 3
    assert f"{LVAE} is being trained by another process" in one_line(capsys)


def test_publishing_clears_away_what_a_killed_publisher_left(full):
    target = Store(full.root.parent / "results")
    left = target.folder("quick", f".{LVAE}.0123abcd")
    left.mkdir(parents=True)
    copy_finished(full, target, profile("quick"))
    assert not left.exists()
    target.record("quick", LVAE).verify()
