"""`--engine ray`: what is sent, what a worker does, and that all is recorded as by one machine."""

import contextlib
import os
import signal
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray_tasks
import small
from fixture_data import refused
from ray_tasks import EPOCH, IDS, OPTIONS, PROFILE, RUNS, SINGLE, STEPS, WIDE, cluster, steps
from trainee import differences

from repro.errors import MachineError
from repro.machine import local
from repro.machine.ray import nodes
from repro.machine.saved import checkpoint
from repro.machine.work import Outcome
from repro.model.stack import Stack
from repro.store import Store
from repro.store.locks import lock

ALONE = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}


@pytest.fixture(autouse=True)
def tiny_images(monkeypatch):
    ray_tasks.in_place(monkeypatch)


# In one process, without Ray


def test_a_start_is_trained_first_and_a_spent_budget_names_what_is_left(store, monkeypatch):
    """In place of Ray, this process does one task after the other."""
    monkeypatch.setattr(nodes, "connected", contextlib.nullcontext)
    monkeypatch.setattr(nodes, "share", lambda *_: nodes.Share(1, 0, 1))
    monkeypatch.setattr(nodes, "send", lambda f, *a, **_: lambda: f(*a))
    monkeypatch.setattr(nodes, "results", lambda tasks, _: ((w, t()) for t, w in tasks.items()))
    spent = replace(OPTIONS, budget_seconds=0.0)
    assert cluster.train(RUNS, store, PROFILE, spent) == Outcome(unfinished=IDS)
    tuned = replace(RUNS[1], variant="tiny_tuned", start=RUNS[1])
    assert cluster.train([tuned], store, PROFILE, spent).failed == {}
    assert cluster.train([tuned], store, PROFILE, OPTIONS).done == [RUNS[1].id, tuned.id]
    locks = (store.folder(PROFILE) / ".locks").iterdir()  # no file of the driver stays there
    assert {p.name for p in locks} == {f"{run_id}.lock" for run_id in (*IDS, tuned.id)}


@pytest.mark.parametrize("stopped", [False, True], ids=["who asks", "the notice"])
def test_what_runs_is_told_to_save_where_the_output_breaks(stopped, monkeypatch):
    """Closed with its tasks about, or unable to say that they stop, it waits for them."""
    told, awaited = [], []

    def wait(tasks: list[str], timeout: float = 0.0, num_returns: int = 1) -> Any:
        awaited.append(num_returns)
        return tasks[:num_returns], tasks[num_returns:]

    def unheard(*_: Any) -> None:
        raise BrokenPipeError

    ended = SimpleNamespace(wait=wait, get=str, cancel=lambda task, force: told.append(task))
    monkeypatch.setattr(nodes, "ray", ended)
    monkeypatch.setattr(nodes, "notice", unheard)
    found = nodes.results(dict.fromkeys("abc"), lambda: stopped)
    with pytest.raises(BrokenPipeError) if stopped else contextlib.closing(found):
        next(found)
    assert (set(told), awaited[-1]) == ({"b", "c"}, 2)


def job(store: Store, **changes: Any) -> Any:
    token = store.folder(PROFILE) / ".locks" / "driver"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.touch()
    return replace(cluster.Job(store, PROFILE, OPTIONS, token, nodes.software(), None), **changes)


def test_an_attempt_stops_at_the_deadline_and_the_next_goes_on(store, whole):
    assert cluster.attempt(job(store, deadline=time.time() + 0.05), WIDE).unfinished == IDS[:2]
    assert sorted(cluster.attempt(job(store), WIDE).done) == sorted(IDS[:2])
    assert steps(store, WIDE)[0] % EPOCH in (0, small.BLOCK)
    assert sum(steps(store, WIDE)) == STEPS
    assert differences(store, whole, WIDE) == []


def test_fewer_lanes_make_more_stacks(store):
    stacks, _ = cluster.plan(job(store, options=replace(OPTIONS, lanes=1)), RUNS)
    assert [len(runs) for runs in stacks] == [1, 1, 1]
    assert [len(runs) for runs in cluster.plan(job(store), RUNS)[0]] == [2, 1]


def test_what_a_killed_attempt_recorded_is_said_by_the_next_which_waits_for_its_locks(store, whole):
    held = lock(store.folder(PROFILE), IDS[1])
    store.copy(whole.record(PROFILE, IDS[0]))
    held.__enter__()
    threading.Timer(0.5, held.__exit__, (None, None, None)).start()
    assert sorted(cluster.attempt(job(store), WIDE).done) == sorted(IDS[:2])


def test_a_worker_that_does_not_see_the_store_or_computes_otherwise_is_refused(store, tmp_path):
    token = tmp_path / "elsewhere" / ".locks" / "driver"
    with refused(MachineError, str(tmp_path / "elsewhere"), "does not see", "all nodes share"):
        cluster.attempt(job(store, token=token), WIDE)
    for name, other in (("commit", "0123abc"), ("dirty", None), ("versions", {"torch": "1.0"})):
        with refused(MachineError, f"instead of {other}: use the same commit"):
            cluster.attempt(job(store, software=nodes.software() | {name: other}), WIDE)


def test_a_held_run_and_a_recorded_one_need_no_ray(store, whole, monkeypatch):
    monkeypatch.setattr(nodes.ray, "init", None)
    assert cluster.train(WIDE, whole, PROFILE, OPTIONS) == Outcome()
    with lock(store.folder(PROFILE), IDS[1]), refused(MachineError, IDS[1], "another process"):
        cluster.train(RUNS, store, PROFILE, OPTIONS)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_does_not_answer_is_named(address, store):
    with refused(MachineError, f"Ray at {address}", "ray start --head"):
        cluster.train(RUNS, store, PROFILE, OPTIONS, address)


def among(monkeypatch: pytest.MonkeyPatch, *machines: dict[str, float]) -> None:
    """The cluster has these nodes, and one that is dead."""
    found = [{"Alive": True, "Resources": resources} for resources in machines]
    monkeypatch.setattr(nodes.ray, "nodes", lambda: [*found, {"Alive": False, "Resources": {}}])


@pytest.mark.parametrize(
    ("machines", "stacks", "threads", "expected"),
    [
        ([{"CPU": 8.0}], 1, None, nodes.Share(1, 0, 8)),
        ([{"CPU": 8.0}, {"CPU": 8.0}], 3, None, nodes.Share(2, 0, 4)),
        ([{"CPU": 2.0}], 3, None, nodes.Share(1, 0, 1)),
        ([{"CPU": 8.0}], 3, 3, nodes.Share(1, 0, 3)),
        ([{"CPU": 8.0}, {"CPU": 4.0, "GPU": 2.0}], 3, None, nodes.Share(2, 1, 1)),
    ],
    ids=["all", "shared", "in turns", "asked", "gpus"],
)
def test_stacks_share_the_cluster(machines, stacks, threads, expected, monkeypatch):
    among(monkeypatch, *machines)
    assert nodes.share(stacks, threads) == expected


def test_more_threads_than_a_node_has_are_refused(monkeypatch):
    among(monkeypatch, {"CPU": 4.0}, {"CPU": 4.0})
    with refused(MachineError, "--threads 5", "4 CPUs"):
        nodes.share(2, 5)


# On a cluster, whatever happens to the workers


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What the local engine records."""
    store = Store(tmp_path_factory.mktemp("alone"))
    with pytest.MonkeyPatch.context() as patch:
        ray_tasks.in_place(patch)
        local.train(RUNS, store, PROFILE, OPTIONS)
    return store


@pytest.fixture(scope="module")
def address():
    """A cluster of two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        two = Cluster()
        for _ in range(2):
            two.add_node(num_cpus=1, object_store_memory=nodes.OBJECT_BYTES, **ALONE)
        yield two.address
        two.shutdown()


@pytest.mark.slow
def test_a_cluster_records_what_the_local_engine_does(store, alone, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        outcome = cluster.train(RUNS, store, PROFILE, OPTIONS)
        assert list(Path(folder).iterdir()) == []
    assert (sorted(outcome.done), outcome.unfinished) == (sorted(IDS), [])
    assert differences(store, alone, RUNS) == []
    env = store.record(PROFILE, IDS[0]).env
    assert (env["placed_by"], env["engine"], env["stack_width"]) == ("ray", "eager", 2)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_a_killed_worker_s_stack_goes_on_or_fails_alone(store, alone, address, monkeypatch):
    """One stack's worker is killed once, in its second epoch; the other's every time."""
    ray_tasks.arrange(store, WIDE, "deaths", EPOCH + 8)
    ray_tasks.arrange(store, SINGLE, "deaths", 30, 1, 1, 1)
    monkeypatch.setattr(nodes, "RETRIES", 1)
    outcome = cluster.train(RUNS, store, PROFILE, OPTIONS, address)
    assert (sorted(outcome.done), outcome.unfinished) == (sorted(IDS[:2]), [])
    assert differences(store, alone, WIDE) == []
    assert steps(store, WIDE) == [EPOCH + 7, STEPS - EPOCH]
    reason = outcome.failed[SINGLE[0].id]
    assert "worker died in each of 2 attempts (WorkerCrashedError)" in reason
    assert store.failures(PROFILE) == {SINGLE[0].id: reason}


@pytest.mark.slow
def test_what_was_interrupted_is_continued_by_the_local_engine(store, alone, address):
    ray_tasks.arrange(store, WIDE, "ctrl-c", os.getpid())
    with pytest.raises(KeyboardInterrupt):
        cluster.train(RUNS, store, PROFILE, OPTIONS, address)
    assert checkpoint.path_of(store.folder(PROFILE) / ".checkpoints", Stack(tuple(WIDE))).exists()
    assert local.train(RUNS, store, PROFILE, OPTIONS).unfinished == []
    assert differences(store, alone, RUNS) == []


@pytest.mark.slow
def test_a_worker_of_another_commit_stops_the_training(store, address, monkeypatch):
    monkeypatch.setattr(cluster, "software", lambda: {"commit": "0123abc"})
    with refused(MachineError, "instead of 0123abc", "same commit"):
        cluster.train(RUNS, store, PROFILE, OPTIONS, address)
