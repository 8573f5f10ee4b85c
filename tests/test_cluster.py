"""What is sent to a Ray cluster, and what a worker does there, in one process without Ray."""

import contextlib
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import small
from fixture_data import refused
from ray_tasks import EPOCH, IDS, OPTIONS, PROFILE, RUNS, STEPS, WIDE, cluster, in_place, steps
from trainee import differences

from repro.errors import MachineError
from repro.machine.ray import nodes
from repro.machine.work import Outcome
from repro.store import Store
from repro.store.locks import lock


@pytest.fixture(autouse=True)
def tiny_images(monkeypatch: pytest.MonkeyPatch) -> None:
    in_place(monkeypatch)


def test_what_a_run_starts_from_is_trained_first_and_a_spent_budget_names_what_is_left(
    store, monkeypatch
):
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


def test_before_ray_starts_a_held_run_is_refused_and_what_is_recorded_left_out(
    store, whole, monkeypatch
):
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
